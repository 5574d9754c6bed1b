"""The configured object store of this process."""

from __future__ import annotations

import functools

from django.conf import settings
from django.utils.crypto import salted_hmac

from fleet.storage import ObjectStore, open_store


@functools.cache
def _open(url: str, secret: str, is_marker_required: bool) -> ObjectStore:
    signing_key = salted_hmac("fleet.storage.signed-url", "v1", secret=secret, algorithm="sha256").digest()
    return open_store(url, signing_key=signing_key, is_marker_required=is_marker_required)


def object_store() -> ObjectStore:
    """Return the store of OBJECT_STORE_URL, able to sign URLs; opened once a process. Raises: ConfigurationInvalid."""
    return _open(settings.SOP_OBJECT_STORE_URL, settings.SECRET_KEY, settings.SOP_STORE_REQUIRE_MARKER)
