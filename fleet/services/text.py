"""Text from robots, browsers and programs on its way into rows."""

from __future__ import annotations

import unicodedata

from fleet.errors import InvalidRequest

# These turn the reading direction of what follows: a name could look like another one.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


def storable(text: str) -> str:
    """Return the text without zero characters, which PostgreSQL does not hold and anybody may send."""
    return text.replace("\x00", "")


def clean_text(text: str, *, field: str, limit: int, allowed: str = "") -> str:
    """Return the text composed (NFC) and without spaces around it. `allowed`: control characters that may stay.

    Raises: InvalidRequest naming the field.
    """
    cleaned = unicodedata.normalize("NFC", text).strip()
    if any(unicodedata.category(char) in ("Cc", "Cs") and char not in allowed for char in cleaned):
        raise InvalidRequest(f"'{field}' holds control characters", field=field)
    if _TURNING & set(cleaned):
        raise InvalidRequest(f"'{field}' holds characters that turn the reading direction", field=field)
    if len(cleaned) > limit:
        raise InvalidRequest(f"'{field}' has more than {limit} characters", field=field)
    return cleaned
