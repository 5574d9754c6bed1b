"""Requests to addresses that people configured: where they may go, how they are signed and sent. No Django."""
