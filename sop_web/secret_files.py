"""Secrets from files: where NAME may be set, NAME_FILE may name a file that holds it (Docker's and systemd's way).

A variable stands in `docker inspect` and in /proc of every child; a file of mode 0400 does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

SECRET_NAMES = (
    "DATABASE_URL", "REDIS_URL", "SOP_SECRET_KEY", "SOP_TURN_SECRET", "SOP_SMTP_URL", "SOP_METRICS_TOKEN",
)  # fmt: skip
OPTIONAL = ("SOP_SMTP_URL",)  # an empty file says that there is none: Compose refuses a file that is not there
_MOST_BYTES = 64 * 1024


class SecretFileInvalid(ValueError):
    """A NAME_FILE that cannot be used; the message names the variable and never its content."""


def with_secret_files(values: Mapping[str, str]) -> Mapping[str, str]:
    """Return `values` with every NAME of SECRET_NAMES that only NAME_FILE gives.

    Raises: SecretFileInvalid if both are set, or the file cannot be read, is no text of one line, or is empty and its
    NAME is none of OPTIONAL.
    """
    read = {name: _secret(values, name) for name in SECRET_NAMES if values.get(f"{name}_FILE")}
    return {**values, **read} if read else values


def _secret(values: Mapping[str, str], name: str) -> str:
    variable = f"{name}_FILE"
    if values.get(name):
        raise SecretFileInvalid(f"{name} and {variable} are both set: set one of them")
    path = Path(values[variable])
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SecretFileInvalid(f"{variable}: cannot read {path}: {problem}") from None
    if not text and name in OPTIONAL:
        return ""
    if not text or len(text) > _MOST_BYTES or len(text.splitlines()) != 1:
        raise SecretFileInvalid(f"{variable}: {path} must hold one line of text")
    return text
