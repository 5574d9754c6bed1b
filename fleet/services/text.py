"""Text from robots and browsers on its way into rows."""

from __future__ import annotations


def storable(text: str) -> str:
    """Return the text without zero characters, which PostgreSQL does not hold and anybody may send."""
    return text.replace("\x00", "")
