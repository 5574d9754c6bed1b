"""Where people are signed in: noted as they come back, ended for good."""

from __future__ import annotations

import uuid

from django.contrib.auth.models import AbstractBaseUser
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db import transaction
from django.utils import timezone

from fleet.errors import NotFound
from fleet.events import hint_person
from fleet.models import UserSession
from fleet.services.audit import audit_record
from fleet.services.text import storable

NOTED_EVERY_S = 60


def session_noted(*, user: AbstractBaseUser, session_key: str, address: str | None, agent: str) -> None:
    """Note that a session is in use, at most once a minute: most requests cost one look into the cache."""
    if not cache.add(f"session-noted:{session_key}", 1, timeout=NOTED_EVERY_S):
        return
    now = timezone.now()
    values = {"user_id": user.pk, "last_seen_at": now, "address": address, "agent": storable(agent)[:300]}
    UserSession.objects.update_or_create(
        session_key=session_key, defaults=values, create_defaults={**values, "created_at": now}
    )


def session_forget(*, session_key: str) -> None:
    """Its person signed out."""
    UserSession.objects.filter(session_key=session_key).delete()
    cache.delete(f"session-noted:{session_key}")


@transaction.atomic
def session_end(*, user: AbstractBaseUser, session_id: uuid.UUID) -> None:
    """End one of this user's sessions. Raises: NotFound."""
    row = UserSession.objects.filter(user_id=user.pk, id=session_id).first()
    if row is None:
        raise NotFound("you have no such session")
    _end([row.session_key])
    audit_record(action="session.end", subject=user, kind="person", after={"address": row.address})
    hint_person(user.pk)


@transaction.atomic
def sessions_end(*, user: AbstractBaseUser, but: str = "") -> int:
    """End all of this user's sessions, `but` one by its key; return how many. Open sockets close at once."""
    keys = list(
        UserSession.objects.filter(user_id=user.pk).exclude(session_key=but).values_list("session_key", flat=True)
    )
    ended = _end(keys)
    if ended:
        audit_record(action="session.end", subject=user, kind="person", after={"sessions": ended})
    hint_person(user.pk)
    return ended


def _end(keys: list[str]) -> int:
    ended, _ = Session.objects.filter(session_key__in=keys).delete()
    UserSession.objects.filter(session_key__in=keys).delete()
    return ended
