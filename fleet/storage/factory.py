"""From OBJECT_STORE_URL to a store."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from fleet.storage.base import ConfigurationInvalid, KeyInvalid, ObjectStore, check_key
from fleet.storage.local import LocalStore

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ENDPOINT = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?/?")
_S3_FORM = "s3://bucket/prefix?endpoint=http://host:port&region=name"


def open_store(url: str, *, signing_key: bytes | None = None, is_marker_required: bool = False) -> ObjectStore:
    """Return the store behind `file:///absolute/folder` or `s3://bucket/prefix?endpoint=...&region=...`.

    A folder is made on the first write; a bucket must exist. Prefix and both parameters may be left out: without an
    endpoint it is AWS. `signing_key`: needed only by those who sign URLs of a folder. `is_marker_required`: see
    LocalStore. Raises: ConfigurationInvalid.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        folder = Path(unquote(parts.path))
        if parts.netloc or not folder.is_absolute() or folder == Path("/"):
            raise ConfigurationInvalid(f"OBJECT_STORE_URL must be file:///absolute/folder, not '{url}'")
        return LocalStore(folder, signing_key=signing_key, is_marker_required=is_marker_required)
    if parts.scheme == "s3":
        return _open_s3(parts)
    raise ConfigurationInvalid("OBJECT_STORE_URL must begin with file:/// or s3://")


def check_s3_url(url: str, *, what: str) -> None:
    """Raises: ConfigurationInvalid, naming the variable `what`, unless it is an s3:// URL as `open_store` takes it."""
    parts = urlsplit(url)
    if parts.scheme != "s3":
        raise ConfigurationInvalid(f"{what} must be {_S3_FORM}")
    _s3_place(parts, what)


def _open_s3(parts: SplitResult) -> ObjectStore:
    prefix, options = _s3_place(parts, "OBJECT_STORE_URL")
    from fleet.storage.s3 import S3Store  # boto3 costs 40 MB and 0.5 s, which a folder does not need

    return S3Store(parts.netloc, prefix, endpoint=options.get("endpoint"), region=options.get("region"))


def _s3_place(parts: SplitResult, what: str) -> tuple[str, dict[str, str]]:
    """Return prefix and options. The messages do not repeat the URL: someone may have put credentials into it."""
    given = parse_qsl(parts.query, keep_blank_values=True)
    options = dict(given)
    prefix = unquote(parts.path).strip("/")
    if not _BUCKET.fullmatch(parts.netloc) or parts.fragment:
        raise ConfigurationInvalid(f"{what} must be {_S3_FORM}; credentials go into AWS_* variables")
    if len(options) != len(given) or not set(options) <= {"endpoint", "region"} or "" in options.values():
        raise ConfigurationInvalid(f"{what}: endpoint and region, each once at most: {_S3_FORM}")
    if "endpoint" in options and not _ENDPOINT.fullmatch(options["endpoint"]):
        raise ConfigurationInvalid(f"{what}: the endpoint must be http(s)://host:port: {_S3_FORM}")
    try:
        if prefix:
            check_key(prefix)
    except KeyInvalid:
        raise ConfigurationInvalid(f"{what}: the prefix must be a path of plain names") from None
    return prefix, options
