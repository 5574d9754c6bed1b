"""Files that the configurations of training runs name, such as RECAP's value function (`value.file`)."""

from __future__ import annotations

import hashlib

from fleet.errors import InvalidRequest
from fleet.selectors.objects import object_store
from fleet.storage import keys

MAX_BYTES = 256 * 1024**2


def training_file_store(*, data: bytes) -> str:
    """Store a file by its content and return its SHA-256; storing it again changes nothing.

    Raises: InvalidRequest if it is empty or larger than MAX_BYTES.
    """
    if not 0 < len(data) <= MAX_BYTES:
        raise InvalidRequest(f"the file has {len(data)} bytes, allowed are 1 to {MAX_BYTES}", field="file")
    sha256 = hashlib.sha256(data).hexdigest()
    object_store().put(keys.training_file(sha256), data)
    return sha256
