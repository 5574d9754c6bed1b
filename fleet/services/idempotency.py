"""A request under an Idempotency-Key is done once: the first claims the key, its answer is kept for a day.

The claim is committed by itself, so that a second request sees it at once. The work and its kept answer are then one
transaction (`api/idempotency.py`): either both are there or neither. A claim whose process died ends after LOCK_S.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.utils import timezone

from fleet.errors import IdempotencyKeyBusy, IdempotencyKeyReused, RateLimited
from fleet.models import IdempotentRequest

KEPT = timedelta(hours=24)
LOCK_S = 120.0  # twice the longest statement
MAX_A_USER = 10_000
MAX_BODY_CHARS = 1_000_000
SWEEP_ROWS = 5_000


@dataclass(frozen=True)
class KeptAnswer:
    """What was answered before."""

    status: int
    headers: Mapping[str, str]
    body: str


def idempotency_claim(*, user: AbstractBaseUser, key: str, fingerprint: str) -> uuid.UUID | KeptAnswer:
    """Claim the key for this request, or return what the same request was answered.

    Raises: IdempotencyKeyReused for another request under this key, IdempotencyKeyBusy while the first is being done,
    RateLimited beyond MAX_A_USER kept keys.
    """
    now = timezone.now()
    mine = IdempotentRequest.objects.filter(user=user.pk)
    if not mine.filter(key=key).exists() and mine.count() >= MAX_A_USER:
        raise RateLimited(f"{MAX_A_USER} idempotency keys of yours are kept; send fewer a day", wait_s=3600.0)
    values = {"fingerprint": fingerprint, "expires_at": now + KEPT, "locked_until": now + timedelta(seconds=LOCK_S)}
    try:
        with transaction.atomic():
            mine.filter(key=key, expires_at__lte=now).delete()
            return IdempotentRequest.objects.create(user_id=user.pk, key=key, created_at=now, **values).pk
    except IntegrityError:
        return _second(user, key, fingerprint)


@transaction.atomic
def _second(user: AbstractBaseUser, key: str, fingerprint: str) -> uuid.UUID | KeptAnswer:
    now = timezone.now()
    row = IdempotentRequest.objects.select_for_update().filter(user=user.pk, key=key).first()
    if row is None:  # the first failed just now, and its claim with it
        raise IdempotencyKeyBusy("another request under this key has just ended", wait_s=0.1)
    if row.fingerprint != fingerprint:
        raise IdempotencyKeyReused("this Idempotency-Key was sent with another request; choose a new one")
    if row.status is not None:
        return KeptAnswer(row.status, row.headers, row.body)
    if row.locked_until > now:
        raise IdempotencyKeyBusy("the first request under this key is still being done", wait_s=1.0)
    row.locked_until = now + timedelta(seconds=LOCK_S)
    row.save(update_fields=["locked_until"])
    return row.pk


def idempotency_keep(*, claim: uuid.UUID, answer: KeptAnswer) -> None:
    """Keep the answer, in the transaction of the work. Raises: IdempotencyKeyBusy if the claim was lost meanwhile."""
    rows = IdempotentRequest.objects.filter(pk=claim, status__isnull=True)
    kept = rows.update(status=answer.status, headers=dict(answer.headers), body=answer.body)
    if not kept:
        raise IdempotencyKeyBusy("this request took so long that another under its key went first", wait_s=1.0)


def idempotency_release(*, claim: uuid.UUID) -> None:
    """Give a key back whose request was refused or failed: it changed nothing and may come again."""
    IdempotentRequest.objects.filter(pk=claim, status__isnull=True).delete()


def idempotency_sweep() -> int:
    """Forget what is older than a day, so many rows at a time; return how many went."""
    old = IdempotentRequest.objects.filter(expires_at__lte=timezone.now()).values_list("pk", flat=True)[:SWEEP_ROWS]
    return IdempotentRequest.objects.filter(pk__in=list(old)).delete()[0]
