"""Records what robots do over time, from their heartbeats and from connections that end (models/robot_state.py)."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
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


def robot_state_note(*, robot_id: uuid.UUID | str, state: State, now: datetime | None = None) -> None:
    """Note that the robot is in this state now; a robot that was removed has no states."""
    robot_states_note(states={str(robot_id): state}, now=now)


@transaction.atomic
def robot_states_note(*, states: Mapping[str, State], is_waiting: bool = True, now: datetime | None = None) -> set[str]:
    """The same for many, by robot id; return the robots noted. Who was removed is not among them, nor, without
    `is_waiting`, whose row another transaction holds."""
    robots = Robot.objects.filter(id__in=list(states)).order_by("id")
    robots = robots.select_for_update(of=("self",), skip_locked=not is_waiting)
    held = [str(robot_id) for robot_id in robots.values_list("id", flat=True)]
    now = now or timezone.now()
    open_rows = RobotStateInterval.objects.filter(robot_id__in=held, ended_at__isnull=True)
    newest = {str(row.robot_id): row for row in open_rows}
    _save(row for robot_id in held for row in _after(newest.get(robot_id), robot_id, states[robot_id], now))
    return set(held)


def _after(newest: RobotStateInterval | None, robot_id: str, state: State, now: datetime) -> list[RobotStateInterval]:
    """Return the robot's open interval as it is after this note, and those that follow on it."""
    if newest is None:
        return [_opened(robot_id, state, now)]
    found = _lapsed(newest, now)
    last = found[-1]
    if last.state == state:
        last.seen_at = max(now, last.seen_at)
        return found
    is_gone_or_back = state is State.OFFLINE or last.state == State.OFFLINE
    if not is_gone_or_back and now < last.started_at + timedelta(seconds=MIN_S):
        return found
    last.ended_at = max(now, last.started_at)
    return [*found, _opened(robot_id, state, last.ended_at)]


def _save(rows: Iterable[RobotStateInterval]) -> None:
    """Those that end first: only one of a robot may be open. One statement for all that end, or were seen, together."""
    rows, groups = list(rows), defaultdict(list)
    for row in rows:
        if row.pk:
            groups[("seen_at", row.seen_at) if row.ended_at is None else ("ended_at", row.ended_at)].append(row.pk)
    for (field, at), ids in groups.items():
        RobotStateInterval.objects.filter(id__in=ids).update(**{field: at})
    RobotStateInterval.objects.bulk_create([row for row in rows if not row.pk])


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
                _save(_lapsed(newest, now))
    old = RobotStateInterval.objects.filter(ended_at__lt=now - timedelta(days=settings.SOP_ROBOT_STATE_DAYS))
    RobotStateInterval.objects.filter(id__in=list(old.values_list("id", flat=True)[:MAX_PRUNED])).delete()


def _lapsed(newest: RobotStateInterval, now: datetime) -> list[RobotStateInterval]:
    """Return the robot's open interval; one that nobody confirmed for long, ended: it was offline since then."""
    if newest.state == State.OFFLINE or now <= newest.seen_at + timedelta(seconds=silence_s()):
        return [newest]
    newest.ended_at = newest.seen_at
    return [newest, _opened(newest.robot_id, State.OFFLINE, newest.seen_at)]


def _opened(robot_id: uuid.UUID | str, state: State, at: datetime) -> RobotStateInterval:
    return RobotStateInterval(robot_id=robot_id, state=state, started_at=at, seen_at=at)
