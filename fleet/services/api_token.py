"""A person's API tokens: made with scopes and an end, used, revoked."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from fleet.errors import InvalidRequest, NotFound
from fleet.models import ApiToken
from fleet.scopes import Scope
from fleet.selectors.api_token import PREFIX, api_token_sha256
from fleet.services.audit import audit_record

MAX_LIVE = 50  # that one person has at a time
MAX_KEPT = 100  # beyond which the oldest that no longer work are forgotten
USE_NOTED_EVERY = timedelta(minutes=1)
_SHOWN = len(PREFIX) + 6


@dataclass(frozen=True)
class Created:
    """A new token and its secret, which is shown only here."""

    token: ApiToken
    secret: str


@transaction.atomic
def api_token_create(*, user: AbstractBaseUser, name: str, scopes: Sequence[Scope], valid_s: float) -> Created:
    """Make a token that works for `valid_s` seconds.

    Raises: InvalidRequest for a name that cannot be shown, no scope, a life beyond SOP_TOKEN_LIFE_S, too many tokens.
    """
    name = name.strip()
    if not 1 <= len(name) <= 100 or not name.isprintable():
        raise InvalidRequest("a token's name has 1 to 100 printable characters", field="name")
    if not scopes:
        raise InvalidRequest("choose at least one scope", field="scopes")
    if not 60 <= valid_s <= settings.SOP_TOKEN_LIFE_S:
        days = settings.SOP_TOKEN_LIFE_S / 86400
        raise InvalidRequest(f"a token works for a minute at least and {days:g} days at most", field="valid_s")
    get_user_model().objects.select_for_update().get(pk=user.pk)  # one at a time, or two requests pass the limit
    now = timezone.now()
    mine = ApiToken.objects.filter(created_by=user.pk)
    live = Q(revoked_at__isnull=True, expires_at__gt=now)
    if mine.filter(live).count() >= MAX_LIVE:
        raise InvalidRequest(f"you have {MAX_LIVE} tokens; revoke one first", field="name")
    forgotten = mine.filter(~live).order_by("-created_at").values_list("pk", flat=True)[MAX_KEPT:]
    ApiToken.objects.filter(pk__in=list(forgotten)).delete()
    secret = PREFIX + secrets.token_urlsafe(32)
    row = ApiToken.objects.create(
        created_by_id=user.pk,
        name=name,
        prefix=secret[:_SHOWN],
        token_sha256=api_token_sha256(secret=secret),
        scopes=sorted({str(scope) for scope in scopes}),
        created_at=now,
        expires_at=now + timedelta(seconds=valid_s),
    )
    after = {"prefix": row.prefix, "scopes": row.scopes, "expires_at": row.expires_at}
    audit_record(action="token.create", subject=row, name=row.name, after=after)
    return Created(row, secret)


@transaction.atomic
def api_token_revoke(*, user: AbstractBaseUser, token_id: uuid.UUID) -> None:
    """End one of this user's tokens, at once and for good; again changes nothing. Raises: NotFound."""
    row = ApiToken.objects.select_for_update().filter(created_by=user.pk, id=token_id).first()
    if row is None:
        raise NotFound("you have no such token")
    if row.revoked_at is None:
        row.revoked_at = timezone.now()
        row.save(update_fields=["revoked_at"])
        audit_record(action="token.revoke", subject=row, name=row.name, after={"revoked_at": row.revoked_at})


def api_token_use(*, token: ApiToken, address: str | None) -> None:
    """Note when and from where a token was used, at most once a minute: a script's requests must not queue on a row."""
    now = timezone.now()
    if token.last_used_at is None or token.last_used_at < now - USE_NOTED_EVERY:
        stale = Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - USE_NOTED_EVERY)
        ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=now, last_used_ip=address)
