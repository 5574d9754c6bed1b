"""What a read's ETag says of the revision (`fleet/api/etag.py`)."""

from __future__ import annotations

from typing import Any


def revision_in(answer: Any) -> str:
    """Return the ETag without the digest of the bytes, as answers of changes have it: `"3"`."""
    revision, dot, digest = answer.headers["ETag"].strip('"').partition(".")
    assert dot and len(digest) == 32, "a read's ETag names its bytes"
    return f'"{revision}"'
