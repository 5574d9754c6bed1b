"""What the fleet page shows of a robot: rows, read now and then, and the live status, which comes with every heartbeat.

`CardRows` keeps what rows said, so that cards can be built anew from live statuses alone (consumers/hub.py).
"""

from __future__ import annotations

import contextlib
import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from django.db.models import Manager, QuerySet
from django.utils import timezone

from fleet import live
from fleet.clock import to_ms
from fleet.models import PolicyVersion, Robot, RobotStop, Task
from fleet.protocol.authority import Mode, Source
from fleet.protocol.messages import CardLease, PolicyHold, RobotCard
from fleet.selectors.lease import card_leases
from fleet.selectors.policy import policy_version_newest
from fleet.selectors.rollout import Desired, desired_versions
from fleet.selectors.stop import card_stop, stops_in_force

_Row = TypeVar("_Row", Task, PolicyVersion)

# Of a card, what moves on by itself while the robot does what it did before.
FIGURES = ("step", "last_seen_ms", "thumbnail_ms", "seconds_behind", "control_rate_hz", "overruns")


@dataclass(frozen=True)
class CardRow:
    """What the rows say of one robot, and its thumbnail's stamp."""

    robot: Robot
    wanted: Desired
    lease: CardLease | None
    stop: RobotStop | None
    thumbnail_ns: int | None


@dataclass
class CardRows:
    """Of some robots by id, in the order of their names. `tasks`, `versions`: those that statuses named so far."""

    rows: dict[str, CardRow]
    newest: PolicyVersion | None
    tasks: dict[uuid.UUID, Task | None]
    versions: dict[uuid.UUID, PolicyVersion | None]


def robot_cards(*, robot_ids: Sequence[str] | None = None, now: datetime | None = None) -> list[RobotCard]:
    """Return the cards of these robots, or of all, by name; retired robots have none."""
    return robot_cards_of(card_rows(robot_ids=robot_ids, now=now))


def card_rows(*, robot_ids: Sequence[str] | None = None, now: datetime | None = None) -> CardRows:
    """Read the rows of these robots, or of all; retired robots have none."""
    found = Robot.objects.filter(retired_at__isnull=True).order_by("name")
    found = found.defer("driver", "architectures", "capabilities", "tags", "note")  # of thousands; no card shows them
    robots = list(found if robot_ids is None else found.filter(id__in=robot_ids))
    ids = [robot.id for robot in robots]
    newest, wanted, stamps = policy_version_newest(), desired_versions(robots=robots), live.thumbnail_stamps(ids)
    named = None if robot_ids is None else ids  # thousands of ids cost more than the rows they would leave out
    leases, stops = card_leases(robot_ids=named, now=now or timezone.now()), stops_in_force(robot_ids=named)
    rows = {
        str(robot.id): CardRow(robot, wanted[robot.id], leases.get(str(robot.id)), stops.get(str(robot.id)), stamp)
        for robot, stamp in zip(robots, stamps, strict=True)
    }
    return CardRows(rows, newest, {}, {})


def robot_cards_of(read: CardRows, *, robot_ids: Iterable[str] | None = None) -> list[RobotCard]:
    """Build the cards of all, or of those named that have rows, from these rows and the live statuses."""
    ids = list(read.rows) if robot_ids is None else [robot_id for robot_id in robot_ids if robot_id in read.rows]
    statuses = live.statuses_get(ids)
    seen = [found.status for found in statuses if found]
    _look_up(read.tasks, Task.objects, _uuids(status.task_id for status in seen))
    last = {key for robot_id in ids if (key := read.rows[robot_id].robot.policy_version_id) is not None}
    _look_up(
        read.versions,
        PolicyVersion.objects.select_related("run"),
        last | _uuids(status.policy_version_id for status in seen),
    )
    return [_card(read, read.rows[robot_id], status) for robot_id, status in zip(ids, statuses, strict=True)]


def _look_up(known: dict[uuid.UUID, _Row | None], rows: Manager[_Row] | QuerySet[_Row], named: set[uuid.UUID]) -> None:
    missing = named - known.keys()
    if missing:
        found_rows = rows.in_bulk(list(missing))
        known.update({key: found_rows.get(key) for key in missing})


def _named(known: Mapping[uuid.UUID, _Row | None], key: uuid.UUID | None) -> _Row | None:
    return known.get(key) if key is not None else None


def _uuids(texts: Iterable[str | None]) -> set[uuid.UUID]:
    """Return those that are named: of thousands of robots a few."""
    return {found for text in set(texts) if (found := _uuid(text)) is not None}


def _uuid(text: str | None) -> uuid.UUID | None:
    """Return it if it is a UUID: a robot may report anything, and one robot must not break everyone's page."""
    with contextlib.suppress(ValueError):
        return uuid.UUID(text or "")
    return None


def _card(read: CardRows, row: CardRow, live_status: live.LiveStatus | None) -> RobotCard:
    """Build one card; an offline robot keeps its last known version and shows nothing that only a live one knows."""
    robot, status = row.robot, live_status.status if live_status else None
    version = _named(read.versions, _uuid(status.policy_version_id) if status else robot.policy_version_id)
    behind = _behind(version, read.newest)
    task = _named(read.tasks, _uuid(status.task_id)) if status else None
    seen_ms = live_status.received_ms if live_status else (to_ms(robot.last_seen_at) if robot.last_seen_at else None)
    return RobotCard(
        robot_id=str(robot.id),
        name=robot.name,
        is_online=status is not None,
        is_paused=robot.is_paused,
        mode=status.mode if status else Mode.STOPPED,
        activity=status.activity if status else "offline",
        detail=status.detail if status else "",
        source=status.source if status else Source.POLICY,
        operator=status.operator if status else "",
        task=task.slug if task else "",
        instruction=task.instruction if task else "",
        episode_id=status.episode_id if status else None,
        step=status.step if status else 0,
        max_steps=status.max_steps if status else 0,
        policy_number=version.number if version else None,
        policy_stage="held" if status and status.hold else row.wanted.stage,
        policy_hold=_hold_words(status.hold) if status and status.hold else "",
        policy_run=_other_run(version, read.newest),
        policy_wanted=row.wanted.version.number if row.wanted.version else None,
        versions_behind=behind[0] if behind else None,
        seconds_behind=behind[1] if behind else None,
        last_seen_ms=seen_ms,
        thumbnail_ms=row.thumbnail_ns // 1_000_000 if row.thumbnail_ns is not None else None,
        pending_episodes=status.spool.pending_episodes if status else 0,
        episodes_closed=status.episodes_closed if status else 0,
        control_rate_hz=status.control.rate_hz if status and math.isfinite(status.control.rate_hz) else 0.0,
        overruns=status.control.overruns if status else 0,
        lease=row.lease,
        stop=card_stop(status.stop if status else None, row.stop),
    )


def _hold_words(hold: PolicyHold) -> str:
    return f"Taken back to version {hold.number} at the robot" + (f": {hold.reason}" if hold.reason else "")


def _other_run(version: PolicyVersion | None, newest: PolicyVersion | None) -> str:
    """Return the name of the version's run, for "v4" alone would be taken for one of the newest's; else ""."""
    return "" if version is None or newest is None or version.run_id == newest.run_id else version.run.name


def _behind(version: PolicyVersion | None, newest: PolicyVersion | None) -> tuple[int, float] | None:
    """Return (versions, seconds) between the newest published version and this one; None across runs."""
    if version is None or newest is None or version.run_id != newest.run_id:
        return None
    seconds = (newest.published_at - version.published_at).total_seconds()
    return max(0, newest.number - version.number), max(0.0, seconds)
