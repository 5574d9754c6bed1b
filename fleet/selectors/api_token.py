"""Who a token speaks for."""

from __future__ import annotations

import hashlib

from django.utils import timezone

from fleet.models import ApiToken

PREFIX = "sop_"  # so that secret scanners, and people, recognise one
MAX_SECRET = 100


def api_token_sha256(*, secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def api_token_find(*, secret: str) -> ApiToken | None:
    """Return the token with its owner if both may be used now; why not is told to nobody."""
    if not secret.startswith(PREFIX) or len(secret) > MAX_SECRET:
        return None
    rows = ApiToken.objects.select_related("created_by").filter(
        token_sha256=api_token_sha256(secret=secret),
        revoked_at__isnull=True,
        expires_at__gt=timezone.now(),
        created_by__is_active=True,
    )
    return rows.first()
