"""From OBJECT_STORE_URL to a store."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from fleet.storage.base import ConfigurationInvalid, ObjectStore
from fleet.storage.local import LocalStore


def open_store(url: str, *, signing_key: bytes | None = None) -> ObjectStore:
    """Return the store behind `file:///absolute/folder`; the folder is made on the first write.

    `signing_key`: needed only by those who sign URLs. Raises: ConfigurationInvalid.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        folder = Path(unquote(parts.path))
        if parts.netloc or not folder.is_absolute() or folder == Path("/"):
            raise ConfigurationInvalid(f"OBJECT_STORE_URL must be file:///absolute/folder, not '{url}'")
        return LocalStore(folder, signing_key=signing_key)
    if parts.scheme == "s3":
        raise ConfigurationInvalid("OBJECT_STORE_URL: s3:// is not built yet (issue 7); use file:///absolute/folder")
    raise ConfigurationInvalid(f"OBJECT_STORE_URL: unknown scheme in '{url}'")
