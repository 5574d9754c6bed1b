"""Filters of the library that a user keeps under a name."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from fleet.errors import InvalidRequest, NotFound
from fleet.models import SavedFilter
from fleet.services.audit import audit_record

MAX_A_USER = 100


@transaction.atomic
def saved_filter_set(*, user: AbstractBaseUser, name: str, query: Mapping[str, object]) -> SavedFilter:
    """Keep `query` under this name, over what this user had there. Raises: InvalidRequest beyond MAX_A_USER."""
    get_user_model().objects.select_for_update().get(pk=user.pk)  # one at a time, or two requests pass the limit
    rows = SavedFilter.objects.filter(user=user.pk)
    if not rows.filter(name=name).exists() and rows.count() >= MAX_A_USER:
        raise InvalidRequest(f"you have {MAX_A_USER} filters; remove one first", field="name")
    before = rows.filter(name=name).values("query").first()
    row, _ = SavedFilter.objects.update_or_create(user_id=user.pk, name=name, defaults={"query": dict(query)})
    audit_record(action="filter.save", subject=row, before=before, after={"query": row.query})
    return row


@transaction.atomic
def saved_filter_remove(*, user: AbstractBaseUser, filter_id: uuid.UUID) -> None:
    """Remove one of this user's filters. Raises: NotFound."""
    row = SavedFilter.objects.select_for_update().filter(user=user.pk, id=filter_id).first()
    if row is None:
        raise NotFound("there is no such filter of yours")
    audit_record(action="filter.remove", subject=row, before={"query": row.query})
    row.delete()
