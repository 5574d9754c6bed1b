"""Standard Webhooks signatures (standardwebhooks.com, "v1"): HMAC-SHA256 over "id.timestamp.body"."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

SECRET_PREFIX = "whsec_"


def secret_text(secret: bytes) -> str:
    """Return a secret as people copy it."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def signed_headers(*, message_id: str, timestamp_s: int, body: bytes, secrets: Sequence[bytes]) -> dict[str, str]:
    """Return the three headers; one signature a secret, so that receivers may change theirs while both hold."""
    text = b".".join((message_id.encode(), str(timestamp_s).encode(), body))
    signatures = (base64.b64encode(hmac.new(secret, text, hashlib.sha256).digest()).decode() for secret in secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
