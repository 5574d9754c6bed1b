"""Records what robots do over time, from their heartbeats and from connections that end (models/robot_state.py)."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from fleet import live
from fleet.models import Robot, RobotStateInterval
from fleet.protocol.authority import Mode
from fleet.protocol.messages import HelpReason, RobotStatus

State = RobotStateInterval.State
MIN_S = 5.0  # a state that changes faster is noted with the next row that is due
MAX_PRUNED = 10_000  # rows in one sweep


def robot_state_of(status: RobotStatus) -> State:
    """Return how the charts count this status."""
    asks_standing = status.help is not None and status.help.reason is HelpReason.PAUSED
    if status.stop is not None or status.mode is Mode.STOPPED or status.activity == "error" or asks_standing:
        return State.BLOCKED
    if status.mode is Mode.PAUSED or status.activity not in ("running", "resetting"):
        return State.WAITING
    return State.WORKING


def silence_s() -> float:
    """After so many seconds without a noted heartbeat a robot counts as offline; heartbeats are noted every ten."""
    return 10.0 + live.PRESENCE_FACTOR * float(settings.SOP_HEARTBEAT_S)


@transaction.atomic
def robot_state_note(*, robot_id: uuid.UUID | str, state: State, now: datetime | None = None) -> None:
    """Note that the robot is in this state now; a robot that was removed has no states."""
    if not Robot.objects.select_for_update(of=("self",)).filter(id=robot_id).exists():
        return
    now = now or timezone.now()
    newest = RobotStateInterval.objects.filter(robot_id=robot_id, ended_at__isnull=True).first()
    if newest is not None:
        newest = _lapsed(newest, now)
        if newest.state == state:
            newest.seen_at = max(now, newest.seen_at)
            newest.save(update_fields=["seen_at"])
            return
        if (
            state is not State.OFFLINE
            and newest.state != State.OFFLINE
            and now < newest.started_at + timedelta(seconds=MIN_S)
        ):
            return
        now = max(now, newest.started_at)
        newest.ended_at = now
        newest.save(update_fields=["ended_at"])
    _open(robot_id, state, now)


def robot_states_sweep(*, now: datetime | None = None) -> None:
    """Count robots that fell silent as offline since their last heartbeat, and drop rows that are too old."""
    now = now or timezone.now()
    silent = RobotStateInterval.objects.filter(
        ended_at__isnull=True, seen_at__lt=now - timedelta(seconds=silence_s())
    ).exclude(state=State.OFFLINE)
    for robot_id in list(silent.values_list("robot_id", flat=True)):
        with transaction.atomic():
            list(Robot.objects.select_for_update(of=("self",)).filter(id=robot_id))  # gone meanwhile, its rows are too
            newest = RobotStateInterval.objects.filter(robot_id=robot_id, ended_at__isnull=True).first()
            if newest is not None:
                _lapsed(newest, now)
    old = RobotStateInterval.objects.filter(ended_at__lt=now - timedelta(days=settings.SOP_ROBOT_STATE_DAYS))
    RobotStateInterval.objects.filter(id__in=list(old.values_list("id", flat=True)[:MAX_PRUNED])).delete()


def _lapsed(newest: RobotStateInterval, now: datetime) -> RobotStateInterval:
    """Return the robot's open interval after ending one that nobody confirmed for long: it was offline since then."""
    if newest.state == State.OFFLINE or now <= newest.seen_at + timedelta(seconds=silence_s()):
        return newest
    newest.ended_at = newest.seen_at
    newest.save(update_fields=["ended_at"])
    return _open(newest.robot_id, State.OFFLINE, newest.seen_at)


def _open(robot_id: uuid.UUID | str, state: State, at: datetime) -> RobotStateInterval:
    return RobotStateInterval.objects.create(robot_id=robot_id, state=state, started_at=at, seen_at=at)
