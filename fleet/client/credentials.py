"""Where `sop login` keeps the server's address and the token: a file that only its owner may read."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

import msgspec

from fleet.client.errors import ClientError


class Credentials(msgspec.Struct, frozen=True):
    url: str
    token: str


def credentials_path(environment: Mapping[str, str] = os.environ) -> Path:
    root = environment.get("XDG_CONFIG_HOME") or str(Path(environment.get("HOME", "~")).expanduser() / ".config")
    return Path(root) / "sop" / "credentials.json"


def credentials_read(environment: Mapping[str, str] = os.environ) -> Credentials:
    """Return SOP_URL and SOP_TOKEN, or what was kept. Raises: ClientError, also for a file that others may read."""
    if environment.get("SOP_TOKEN") and environment.get("SOP_URL"):
        return Credentials(environment["SOP_URL"], environment["SOP_TOKEN"])
    path = credentials_path(environment)
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        content = path.read_bytes()
    except FileNotFoundError:
        raise ClientError("not signed in: run `sop login URL`, or set SOP_URL and SOP_TOKEN") from None
    if mode & 0o077:
        raise ClientError(f"others may read {path}: run `chmod 600 {path}`")
    try:
        return msgspec.json.decode(content, type=Credentials)
    except msgspec.MsgspecError:
        raise ClientError(f"{path} is damaged: run `sop login URL` again") from None


def credentials_keep(found: Credentials, environment: Mapping[str, str] = os.environ) -> Path:
    """Write the file in one step, never readable by others."""
    path = credentials_path(environment)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(found))
    return new.replace(path)


def credentials_forget(environment: Mapping[str, str] = os.environ) -> bool:
    path = credentials_path(environment)
    is_there = path.exists()
    path.unlink(missing_ok=True)
    return is_there
