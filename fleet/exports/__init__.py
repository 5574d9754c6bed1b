"""Datasets leave in the formats that others read. Pure: no Django, no Celery, no network; see docs/exports.md."""
