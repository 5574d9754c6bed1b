"""Datasets of others as episodes: read, checked, mapped to our columns, converted. No Django; see docs/imports.md."""
