"""The keys with which this server signs what robots shall drive with. Ed25519, two at most count: the newest signs, the
one before endorses it, so that robots which trust that one take the newest.

The file (`SOP_SIGNING_KEYS_FILE`, mode 0600) holds a seed in hex a line, the newest first; `manage.py signing_key`
makes and rotates it. Without a file nothing is signed. It is read again when it changes, so rotating needs no restart.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

from fleet.protocol.messages import PolicyKey
from fleet.protocol.policy import key_statement

KEPT_KEYS = 2


@dataclass(frozen=True)
class SigningKey:
    """A private key and, in hex, its public one."""

    private: Ed25519PrivateKey
    public: str

    def sign(self, statement: bytes) -> str:
        """Return the signature in hex."""
        return self.private.sign(statement).hex()

    def __repr__(self) -> str:
        return f"SigningKey({self.public})"


def signing_keys() -> tuple[SigningKey, ...]:
    """Return the keys, the newest first; none where the file is missing. Raises: ValueError if it is no key file."""
    path = Path(settings.SOP_SIGNING_KEYS_FILE)
    try:
        return _read(path, path.stat().st_mtime_ns)
    except FileNotFoundError:
        return ()


@lru_cache(maxsize=4)
def _read(path: Path, stamp_ns: int) -> tuple[SigningKey, ...]:
    seeds = path.read_text("ascii").split()
    return tuple(_key(bytes.fromhex(seed)) for seed in seeds[:KEPT_KEYS])


def _key(seed: bytes) -> SigningKey:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    return SigningKey(private, private.public_key().public_bytes_raw().hex())


def public_keys(keys: Sequence[SigningKey]) -> tuple[PolicyKey, ...]:
    """Return what robots are told: each key, endorsed by the one after it, which is older."""
    found = []
    for index, key in enumerate(keys):
        older = keys[index + 1] if index + 1 < len(keys) else None
        endorsement = older.sign(key_statement(key.public)) if older is not None else ""
        found.append(PolicyKey(public=key.public, endorsed_by=older.public if older else "", endorsement=endorsement))
    return tuple(found)


def signing_key_make(*, is_rotated: bool) -> str:
    """Make the first key, or with `is_rotated` a newer one in front; return the public key that signs from now on.

    A key that exists stays unless it is rotated; the oldest beyond two goes.
    """
    path = Path(settings.SOP_SIGNING_KEYS_FILE)
    seeds = path.read_text("ascii").split() if path.exists() else []
    if is_rotated or not seeds:
        seeds = [secrets.token_bytes(32).hex(), *seeds][:KEPT_KEYS]
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write("\n".join(seeds) + "\n")
        temporary.replace(path)
    return _key(bytes.fromhex(seeds[0])).public
