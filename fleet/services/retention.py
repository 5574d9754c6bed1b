"""Retention: rules are made, changed and previewed by people, and applied once a day by the worker.

An episode's row goes first and its objects after the commit, so nobody sees a row without objects; what a crash leaves
between the two has no row and is the garbage collector's. Learners take an episode that went as lost.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from fleet.errors import InvalidRequest, NameTaken, NotFound
from fleet.events import hint_consoles
from fleet.models import Episode, RetentionRule, Task
from fleet.queue import enqueue_retention
from fleet.selectors.objects import object_store
from fleet.selectors.retention import retention_doomed
from fleet.selectors.row_version import retention_version
from fleet.services.audit import audit_record
from fleet.services.revision import version_check
from fleet.services.rollup import rollup_episodes_changed
from fleet.storage import StorageError, keys

logger = logging.getLogger(__name__)

BATCH = 50  # episodes a transaction
RUN_S = 20.0  # one task's time; what is left is another task's
MAX_BYTES = 2**60


def retention_rule_build(
    *,
    task_id: uuid.UUID | None,
    kinds: Sequence[str],
    keep_days: int | None = None,
    keep_bytes: int | None = None,
    takes_interventions: bool = False,
    is_active: bool = False,
) -> RetentionRule:
    """Return a rule that is not saved, for a preview. Raises: InvalidRequest, NotFound."""
    if not kinds or not set(kinds) <= set(RetentionRule.Kind.values):
        raise InvalidRequest(f"choose from {', '.join(RetentionRule.Kind.values)}", field="kinds")
    if keep_days is None and keep_bytes is None:
        raise InvalidRequest("say for how many days or up to how many bytes episodes are kept", field="keep_days")
    if keep_days is not None and not 1 <= keep_days <= 36500:
        raise InvalidRequest("episodes are kept for 1 to 36,500 days", field="keep_days")
    if keep_bytes is not None and not 0 <= keep_bytes <= MAX_BYTES:
        raise InvalidRequest("keep_bytes is a number of bytes", field="keep_bytes")
    task = Task.objects.filter(id=task_id).first() if task_id is not None else None
    if task_id is not None and task is None:
        raise NotFound("there is no such task")
    return RetentionRule(
        task=task,
        kinds=sorted(set(kinds)),
        keep_days=keep_days,
        keep_bytes=keep_bytes,
        takes_interventions=takes_interventions,
        is_active=is_active,
    )


@transaction.atomic
def retention_rule_create(*, user: AbstractBaseUser, **values: object) -> RetentionRule:
    """Save a new rule. Raises: as retention_rule_build; NameTaken if the task has one."""
    rule = retention_rule_build(**values)  # type: ignore[arg-type]
    if RetentionRule.objects.select_for_update().filter(task=rule.task).exists():
        raise NameTaken(f"there is a rule for {rule} already", field="task")
    rule.changed_by_id = user.pk
    rule.save(force_insert=True)
    audit_record(action="retention.create", subject=rule, after=_shown(rule))
    return rule


@transaction.atomic
def retention_rule_change(
    *, rule_id: uuid.UUID, user: AbstractBaseUser, version: str | None = None, **changes: object
) -> RetentionRule:
    """Change what is given, but for the task. `version`: of what was read, if it is to be compared.

    Raises: as retention_rule_build; PreconditionFailed if somebody was quicker.
    """
    rule = _locked(rule_id)
    version_check(retention_version(rule), expected=version)
    before = _shown(rule)
    wanted = retention_rule_build(task_id=rule.task_id, **{**_values(rule), **changes})  # type: ignore[arg-type]
    for name in _values(rule):
        setattr(rule, name, getattr(wanted, name))
    rule.changed_at, rule.changed_by_id = timezone.now(), user.pk
    rule.save()
    audit_record(action="retention.change", subject=rule, before=before, after=_shown(rule))
    return rule


@transaction.atomic
def retention_rule_remove(*, rule_id: uuid.UUID, version: str | None = None) -> None:
    """Forget a rule; what it removed stays removed. Raises: NotFound, PreconditionFailed."""
    rule = _locked(rule_id)
    version_check(retention_version(rule), expected=version)
    audit_record(action="retention.forget", subject=rule, before=_shown(rule))
    rule.delete()


def retention_run(*, now: datetime | None = None, clock_s: Callable[[], float] = time.monotonic) -> int:
    """Apply the rules that are on, for RUN_S at most, then ask to go on; return how many episodes went."""
    now, ends_s, removed = now or timezone.now(), clock_s() + RUN_S, 0
    for rule in RetentionRule.objects.filter(is_active=True).order_by("id"):
        while gone := _apply_rule(rule, now):
            removed += gone
            if clock_s() > ends_s:
                enqueue_retention()
                return removed
        RetentionRule.objects.filter(id=rule.id).update(last_run_at=now)
    return removed


@transaction.atomic
def _apply_rule(rule: RetentionRule, now: datetime) -> int:
    """Remove a batch; the rule counts as it is now, and so does what protects an episode."""
    active = RetentionRule.objects.select_for_update().filter(is_active=True)
    current = active.order_by("id").filter(id=rule.id).first()
    if current is None:
        return 0
    ids = list(retention_doomed(rule=current, now=now).values_list("id", flat=True)[:BATCH])
    rows = list(Episode.objects.select_for_update().filter(id__in=ids).order_by("id"))
    # Locked, they are asked for again: a label or a dataset may have come first.
    still = set(retention_doomed(rule=current, now=now).filter(id__in=ids).values_list("id", flat=True))
    doomed = [row for row in rows if row.id in still]
    if not doomed:
        return 0
    gone, size = [row.id for row in doomed], sum(row.size_bytes for row in doomed)
    with rollup_episodes_changed(episode_ids=gone):
        Episode.objects.filter(id__in=gone).delete()
    RetentionRule.objects.filter(id=rule.id).update(
        removed=F("removed") + len(gone), removed_bytes=F("removed_bytes") + size
    )
    audit_record(
        action="retention.remove", subject=current, after={"episodes": len(gone), "bytes": size, "ids": _words(gone)}
    )
    transaction.on_commit(lambda: _forget_objects(gone))
    hint_consoles("metrics")
    logger.info("episodes removed", extra={"event": {"rule": str(current), "episodes": len(gone), "bytes": size}})
    return len(gone)


def _forget_objects(episode_ids: Sequence[uuid.UUID]) -> None:
    """Remove the objects of rows that are gone; what fails is left to the garbage collector."""
    store = object_store()
    try:
        for episode_id in episode_ids:
            for key in list(store.list(keys.episode_object(str(episode_id), ""))):
                store.delete(key)
    except (StorageError, OSError):
        logger.warning("objects of removed episodes stay for store_gc", exc_info=True)


def _locked(rule_id: uuid.UUID) -> RetentionRule:
    rule = RetentionRule.objects.select_for_update(of=("self",)).select_related("task").filter(id=rule_id).first()
    if rule is None:
        raise NotFound("there is no such rule")
    return rule


def _values(rule: RetentionRule) -> dict[str, object]:
    names = ("kinds", "keep_days", "keep_bytes", "takes_interventions", "is_active")
    return {name: getattr(rule, name) for name in names}


def _shown(rule: RetentionRule) -> dict[str, object]:
    return {"task": str(rule), **_values(rule)}


def _words(ids: Sequence[uuid.UUID]) -> str:
    return " ".join(map(str, ids))
