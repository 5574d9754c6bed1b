"""The audit log's one door: every service that changes something calls it, within the same transaction.

tests/architecture/test_audit.py fails for a service that writes and does not, unless it says there why.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction
from django.db.models import Model

from fleet.acting import Actor, ActorKind, acting
from fleet.models import AuditEntry, Robot
from fleet.services.text import storable

MAX_VALUE = 2000  # characters of one text, so that no change makes an entry too long to read
_SECRET = re.compile(r"password|secret|sha256|credential|recovery|totp|private|access_key|api_key")
_HIDDEN = "(hidden)"


class _Encoder(DjangoJSONEncoder):
    def default(self, o: Any) -> Any:
        try:
            return super().default(o)
        except TypeError:
            return sorted(map(str, o)) if isinstance(o, set | frozenset) else str(o)


def audit_record(
    *,
    action: str,
    subject: Model | None = None,
    kind: str = "",
    name: str = "",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    actor: Actor | None = None,
) -> AuditEntry | None:
    """Note a change; return None if `before` and `after` are there and equal, for then nothing changed.

    `subject`: the row that changed. `kind`, `name`: in place of it, or to call it otherwise. `actor`: other than who
    acts in this request. Raises: TransactionManagementError outside of a transaction: a change without its entry, or
    an entry without its change, must not be.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("a change and its audit entry are written in one transaction")
    if before is not None and after is not None:
        fields = {field for field in (*before, *after) if before.get(field) != after.get(field)}
        if not fields:
            return None
        before = {field: value for field, value in before.items() if field in fields}
        after = {field: value for field, value in after.items() if field in fields}
    who = actor or acting()
    return AuditEntry.objects.create(
        actor_kind=who.kind.value,
        actor_id=who.id,
        actor_name=storable(who.name)[:200],
        action=action,
        object_kind=kind or (subject._meta.model_name or "" if subject is not None else ""),
        object_id=str(subject.pk) if subject is not None else "",
        object_name=storable(name or (str(subject) if subject is not None else ""))[:200],
        before=_shown(before),
        after=_shown(after),
        address=who.address,
        request_id=who.request_id,
    )


def robot_actor(robot: Robot) -> Actor:
    """A robot that reports what was done at it, or does it by itself."""
    return Actor(ActorKind.ROBOT, str(robot.id), robot.name)


def _shown(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the values as JSON takes them: secrets hidden, long texts cut, dates and ids as text."""
    if values is None:
        return None
    plain = json.loads(json.dumps(dict(values), cls=_Encoder).replace("\\u0000", ""))  # PostgreSQL holds no zeros
    return {field: _HIDDEN if _SECRET.search(field) else _cut(value) for field, value in plain.items()}


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > MAX_VALUE:
        return value[:MAX_VALUE] + "…"
    if isinstance(value, dict):
        return {key: _HIDDEN if _SECRET.search(key) else _cut(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_cut(each) for each in value[:200]]
    return value
