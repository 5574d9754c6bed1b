"""The help queue's changes: a robot asks, a person comes, it ends. What it is ranked by is in selectors/help.py.

Heartbeats say again and again what the robot asks for. `HelpNote`, which the robot's connection keeps, remembers what
the rows say of it, so that a heartbeat without news costs no query. The connection drops its note when the robot's
lease changes (consumers/robot.py).
"""

from __future__ import annotations

import contextlib
import logging
import math
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from fleet import live
from fleet.errors import PreconditionFailed
from fleet.events import hint_consoles
from fleet.models import HelpRequest, HelpSettings, Lease, PolicyVersion, Task
from fleet.protocol.authority import Source
from fleet.protocol.messages import HelpRanking, HelpReason, HelpSignal, RobotStatus
from fleet.services.audit import audit_record
from fleet.services.robot import robot_lock
from fleet.services.text import storable
from fleet.services.webhook_event import help_event

logger = logging.getLogger(__name__)

SCORE_STEP = 0.1  # a score that differs by less is no news
CHECK_S = 10.0  # after so long the rows are looked at again: a lease may have ended the request


@dataclass(frozen=True)
class HelpNote:
    """What the rows said of a robot's request at `checked_s`. Until `pinned_until_s` it keeps its rank, and its place.

    Times are monotonic seconds of this process. `reason` None: there was no request.
    """

    checked_s: float
    pinned_until_s: float = 0.0
    reason: HelpReason | None = None
    score: float = 0.0


def help_is_news(*, note: HelpNote | None, signal: HelpSignal | None, now_s: float) -> bool:
    """Whether a heartbeat's signal may change a row. `note`: of the newest `help_seen`, None on a new connection."""
    if note is None:
        return True
    is_pinned = now_s < note.pinned_until_s
    if signal is None:
        return note.reason is not None and not is_pinned
    if note.reason is None:
        return not is_pinned
    is_changed = signal.reason is not note.reason or abs(_score(signal) - note.score) >= SCORE_STEP
    return (is_changed and not is_pinned) or now_s - note.checked_s >= CHECK_S


@transaction.atomic
def help_seen(*, robot_id: str, status: RobotStatus, now_s: float, now: datetime | None = None) -> HelpNote:
    """Bring the robot's request to what it asks for; call it when `help_is_news` says so. Raises: NotFound.

    Opens one, takes over reason and score, or closes it as withdrawn; the latter two not before SOP_HELP_PIN_S have
    passed, so that the list does not jump under the reader's hand. One that a person serves is left to their lease.
    """
    robot = robot_lock(robot_id=robot_id)  # leases lock it too: nobody takes the robot meanwhile
    now = now or timezone.now()
    request = HelpRequest.objects.filter(robot=robot, closed_at__isnull=True).first()
    signal = status.help
    if request is None:
        if signal is None or _is_person_driving(robot.id, now):
            return HelpNote(checked_s=now_s, pinned_until_s=now_s + (CHECK_S if signal is not None else 0.0))
        request = _open(robot.id, status, signal, now)
    elif request.state == HelpRequest.State.OPEN and now >= request.ranked_at + _pin():
        if signal is None:
            _close(request, HelpRequest.Ending.WITHDRAWN, now)
            return HelpNote(checked_s=now_s)
        _rank_anew(request, signal, now)
    is_waiting = request.state == HelpRequest.State.OPEN
    left_s = (request.ranked_at + _pin() - now).total_seconds() if is_waiting else 0.0
    return HelpNote(now_s, now_s + max(0.0, left_s), reason=HelpReason(request.reason), score=request.score)


def help_claimed(*, lease: Lease) -> None:
    """A person took the robot: service of its request begins, or goes on after another's. Within a transaction."""
    unclosed = HelpRequest.objects.filter(robot_id=lease.robot_id, closed_at__isnull=True)
    request = unclosed.first() if lease.source == Source.PERSON.value else None
    if request is None:
        return
    request.state, request.lease, request.operator = HelpRequest.State.SERVED, lease, lease.operator
    request.claimed_at = request.claimed_at or max(lease.granted_at, request.opened_at)
    request.save(update_fields=["state", "lease", "operator", "claimed_at"])
    hint_consoles("help", request.id)


def help_served(*, lease: Lease, now: datetime) -> None:
    """The person's lease ended and nobody took it over: so did the service. Within a transaction."""
    if lease.source != Source.PERSON.value:
        return
    request = HelpRequest.objects.filter(robot_id=lease.robot_id, lease=lease, closed_at__isnull=True).first()
    if request is not None:
        _close(request, HelpRequest.Ending.SERVED, now)


def help_sweep(*, now: datetime | None = None) -> int:
    """Close requests of robots that left, and those whose lease ended unseen; return how many."""
    now = now or timezone.now()
    unclosed = list(HelpRequest.objects.filter(closed_at__isnull=True).select_related("lease"))
    statuses = live.statuses_get([request.robot_id for request in unclosed])
    closed = 0
    for request, status in zip(unclosed, statuses, strict=True):
        is_left = request.state == HelpRequest.State.OPEN and status is None
        is_over = request.state == HelpRequest.State.SERVED and (not request.lease or request.lease.released_at)
        if is_left or is_over:
            closed += _close_still(request, now)
    return closed


@transaction.atomic
def _close_still(request: HelpRequest, now: datetime) -> bool:
    """Close the request unless it changed since it was read."""
    robot_lock(robot_id=request.robot_id)
    same = HelpRequest.objects.filter(id=request.id, state=request.state, lease=request.lease).first()
    if same is None:
        return False
    is_served = same.state == HelpRequest.State.SERVED
    _close(same, HelpRequest.Ending.SERVED if is_served else HelpRequest.Ending.OFFLINE, now)
    return True


@transaction.atomic
def help_ranking_set(*, ranking: HelpRanking, over: HelpRanking, user: AbstractBaseUser) -> None:
    """Rank the queue by this rule from now on, for everyone. `over`: the rule that the asker saw.

    Raises: PreconditionFailed if another is in force.
    """
    values = {"ranking": settings.SOP_HELP_RANKING, "changed_at": timezone.now(), "changed_by": user}
    HelpSettings.objects.get_or_create(id=1, defaults=values)
    row = HelpSettings.objects.select_for_update().get(id=1)
    if row.ranking != over.value:
        raise PreconditionFailed(f"the queue is ranked by {row.ranking} by now, not {over.value}")
    row.ranking, row.changed_at, row.changed_by = ranking.value, timezone.now(), user  # type: ignore[assignment]
    row.save()
    before, after = {"ranking": over.value}, {"ranking": ranking.value}
    audit_record(action="help.rank", subject=row, name="help queue", before=before, after=after)
    hint_consoles("help")


def _is_person_driving(robot_id: uuid.UUID, now: datetime) -> bool:
    """Whether help is there already, though the robot's heartbeat was too early to know."""
    people = Lease.objects.filter(robot_id=robot_id, source=Source.PERSON.value)
    return people.filter(released_at__isnull=True, expires_at__gt=now).exists()


def _open(robot_id: uuid.UUID, status: RobotStatus, signal: HelpSignal, now: datetime) -> HelpRequest:
    task_id, version_id = _uuid(status.task_id), _uuid(status.policy_version_id)
    request = HelpRequest.objects.create(
        robot_id=robot_id,
        reason=signal.reason.value,
        score=_score(signal),
        detail=storable(signal.detail),
        opened_at=now,
        ranked_at=now,
        task=Task.objects.filter(id=task_id).first() if task_id else None,
        policy_version=PolicyVersion.objects.filter(id=version_id).first() if version_id else None,
        episode_id=_uuid(status.episode_id),
    )
    help_event(request=request)
    hint_consoles("help", request.id)
    logger.info("help asked", extra={"event": {"robot": str(robot_id), "reason": request.reason}})
    return request


def _rank_anew(request: HelpRequest, signal: HelpSignal, now: datetime) -> None:
    reason, score = signal.reason.value, _score(signal)
    if request.reason == reason and abs(request.score - score) < SCORE_STEP:
        return
    request.reason, request.score, request.detail, request.ranked_at = reason, score, storable(signal.detail), now
    request.save(update_fields=["reason", "score", "detail", "ranked_at"])
    hint_consoles("help", request.id)


def _close(request: HelpRequest, ending: HelpRequest.Ending, now: datetime) -> None:
    request.state, request.ending, request.closed_at = HelpRequest.State.CLOSED, ending, max(now, request.opened_at)
    request.save(update_fields=["state", "ending", "closed_at"])
    hint_consoles("help", request.id)


def _pin() -> timedelta:
    return timedelta(seconds=settings.SOP_HELP_PIN_S)


def _score(signal: HelpSignal) -> float:
    """The robot's score, whatever it sent, in [0, 1]."""
    return min(1.0, max(0.0, signal.score)) if math.isfinite(signal.score) else 0.0


def _uuid(text: str | None) -> uuid.UUID | None:
    """A robot may report anything; what is no UUID is nothing."""
    with contextlib.suppress(ValueError):
        return uuid.UUID(text or "")
    return None
