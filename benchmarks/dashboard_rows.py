"""Makes the rows that the console's charts are drawn from, from a seed: a fleet that worked for some days.

Called by benchmarks/dashboard.py and by its property test. Rows only: no objects, no process of the system runs. Times
are whole milliseconds, so that what is added up has one right answer, and all lie before `end`.
"""

from __future__ import annotations

import random
import uuid
from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from django.contrib.auth import get_user_model

from fleet.models import (
    Episode,
    HelpRequest,
    Lease,
    PolicyDeployment,
    PolicyVersion,
    Robot,
    RobotStateInterval,
    Segment,
    Task,
    TrainingRun,
)

MARK = "benchmark-dashboard"
RATE_HZ = 10.0
BATCH = 2000  # rows of one INSERT
OUTCOMES = ("success", "success", "success", "failure", "timeout", "aborted")
STATES = ("working", "working", "waiting", "blocked", "offline")


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much of everything; `every_s`: from the end of an episode of the fleet until the next one ends."""

    episodes: int
    tasks: int = 12
    robots: int = 40
    versions: int = 300
    operators: int = 25
    every_s: int = 7

    @property
    def span(self) -> timedelta:
        return timedelta(seconds=self.episodes * self.every_s)


@dataclass(frozen=True)
class Fleet:
    """What stands behind the episodes. `versions`: by number, of one run."""

    run: TrainingRun
    tasks: list[Task]
    robots: list[Robot]
    versions: list[PolicyVersion]


def make(*, size: Size, end: datetime, seed: int) -> Fleet:
    """Write the rows; the charts' sums are the caller's to rebuild. `end`: whole milliseconds."""
    chance = random.Random(seed)
    fleet = _fleet(size, end, chance)
    newest = Episode.objects.order_by("-index_seq").values_list("index_seq", flat=True).first() or 0
    for first in range(0, size.episodes, BATCH):
        places = range(first, min(size.episodes, first + BATCH))
        made = [_episode(place, newest + place + 1, size, end, fleet, chance) for place in places]
        Episode.objects.bulk_create(episode for episode, _ in made)
        Segment.objects.bulk_create(segment for _, segments in made for segment in segments)
    _deployments(fleet, chance)
    _people(size, end, fleet, chance)
    _states(size, end, fleet, chance)
    return fleet


def _fleet(size: Size, end: datetime, chance: random.Random) -> Fleet:
    begin = end - size.span
    run = TrainingRun.objects.create(name=f"{MARK}-{chance.getrandbits(64):x}", algorithm="hg_dagger")
    TrainingRun.objects.filter(id=run.id).update(created_at=begin)
    run.refresh_from_db()
    name = run.name
    tasks = [
        Task.objects.create(
            slug=f"{name}-{k}", instruction="-", driver_task="-", max_steps=400,
            target_rate=chance.choice([0.3, 0.44, 0.5, 0.58]),
        )
        for k in range(size.tasks)
    ]  # fmt: skip
    robots = [Robot.objects.create(name=f"{name}-{k:03}") for k in range(size.robots)]
    every = size.span / max(1, size.versions)
    versions = PolicyVersion.objects.bulk_create(
        PolicyVersion(
            id=uuid.uuid4(), run=run, number=k, step=100 * k + chance.randrange(100), architecture="-",
            manifest_key="-", manifest_sha256="0" * 64, blobs={}, size_bytes=1,
            trained_at=_whole(begin + k * every - timedelta(milliseconds=chance.randrange(1, 9000))),
            published_at=_whole(begin + k * every),
        )
        for k in range(size.versions)
    )  # fmt: skip
    return Fleet(run, tasks, robots, versions)


def _whole(at: datetime) -> datetime:
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def _ms(chance: random.Random, most: float) -> timedelta:
    return timedelta(milliseconds=chance.randrange(int(1000 * most) + 1))


def _episode(
    place: int, number: int, size: Size, end: datetime, fleet: Fleet, chance: random.Random
) -> tuple[Episode, list[Segment]]:
    steps = chance.randrange(40, 300)
    ended = end - (size.episodes - place) * timedelta(seconds=size.every_s) + _ms(chance, size.every_s - 1)
    started = ended - steps / RATE_HZ * timedelta(seconds=1)
    uploaded = ended + _ms(chance, 20)
    indexed = uploaded + _ms(chance, 3)
    drivers = _drivers(steps, size, chance) if chance.random() < 0.3 else [(0, steps, "policy", "")]
    human = sum(stop - start for start, stop, source, _ in drivers if source != "policy")
    # Versions follow each other; some robots lag by one or two, and some episodes are a person's alone.
    behind = max(0, _newest(fleet, started) - chance.choice([0, 0, 0, 1, 2]))
    version = None if chance.random() < 0.02 else fleet.versions[behind]
    row = Episode(
        id=uuid.uuid4(), index_seq=number, origin=chance.choice(["online"] * 19 + ["evaluation"]),
        outcome=chance.choice(OUTCOMES), outcome_source="environment", robot=chance.choice(fleet.robots),
        task=chance.choice(fleet.tasks), policy_version=version, instruction="-", seed=place, steps=steps,
        human_steps=human, interventions=_takeovers(drivers), reset_ms=chance.randrange(20_000),
        control_rate_hz=RATE_HZ, started_at=started, ended_at=ended,
        uploaded_at=uploaded if chance.random() < 0.9 else None, indexed_at=indexed,
        first_sampled_at=indexed + _ms(chance, 90) if chance.random() < 0.8 else None, manifest_key="-",
        manifest_sha256="0" * 64, size_bytes=100_000, is_archived=chance.random() < 0.02,
        sources=sorted({source for _, _, source, _ in drivers}),
        operators=sorted({operator for *_, operator in drivers if operator}),
    )  # fmt: skip
    segments = [
        Segment(
            episode=row, start=start, end=stop, mode="autonomous" if source == "policy" else "teleop", source=source,
            lease_epoch=0 if source == "policy" else 1, operator=operator,
        )
        for start, stop, source, operator in drivers
    ]  # fmt: skip
    return row, segments


def _newest(fleet: Fleet, at: datetime) -> int:
    """Return the number of the newest version that was out then, or 0."""
    return max(0, bisect_right(fleet.versions, at, key=lambda version: version.published_at) - 1)


def _drivers(steps: int, size: Size, chance: random.Random) -> list[tuple[int, int, str, str]]:
    """Cut an episode at which somebody helped into (start, end, source, operator)."""
    cuts = sorted({0, steps, *(chance.randrange(1, steps) for _ in range(chance.randrange(1, 5)))})
    found = []
    for start, stop in pairwise(cuts):
        source = chance.choice(["policy", "person", "scripted"])
        operator = "" if source == "policy" else f"operator {chance.randrange(size.operators)}"
        found.append((start, stop, source, operator))
    return found


def _takeovers(drivers: list[tuple[int, int, str, str]]) -> int:
    before = "policy"
    count = 0
    for _, _, source, _ in drivers:
        count += source != "policy" and before == "policy"
        before = source
    return count


def _deployments(fleet: Fleet, chance: random.Random) -> None:
    rows = []
    for version in fleet.versions:
        for robot in fleet.robots:
            fetched = version.published_at + _ms(chance, 30)
            is_there = chance.random() < 0.9
            rows.append(
                PolicyDeployment(
                    robot=robot, version=version, announced_at=version.published_at,
                    fetched_at=fetched if is_there else None,
                    applied_at=fetched + _ms(chance, 40) if is_there else None,
                )
            )  # fmt: skip
    PolicyDeployment.objects.bulk_create(rows, batch_size=BATCH)


def _people(size: Size, end: datetime, fleet: Fleet, chance: random.Random) -> None:
    """One person after the other holds each robot, mostly because it had asked for one."""
    user = get_user_model().objects.create_user(fleet.run.name)
    leases, requests = [], []
    for robot in fleet.robots:
        at, epoch = end - size.span, 0
        while True:
            opened = at + _ms(chance, size.every_s * size.robots * 4)
            claimed = opened + _ms(chance, 60)
            closed = claimed + timedelta(milliseconds=1) + _ms(chance, 90)
            if closed >= end:
                break
            at, epoch = closed, epoch + 1
            operator = f"operator {chance.randrange(size.operators)}"
            ask: dict[str, Any] = {
                "robot": robot, "reason": "no_progress", "score": 0.5, "opened_at": opened, "ranked_at": opened,
                "closed_at": closed, "task": chance.choice(fleet.tasks), "state": HelpRequest.State.CLOSED,
            }  # fmt: skip
            if chance.random() < 0.2:
                requests.append(HelpRequest(**ask, ending=HelpRequest.Ending.WITHDRAWN))
                continue
            lease = Lease(
                robot=robot, epoch=epoch, source="person", user=user, operator=operator, granted_at=claimed,
                expires_at=closed + timedelta(seconds=10), released_at=closed,
            )  # fmt: skip
            leases.append(lease)
            requests.append(
                HelpRequest(**ask, claimed_at=claimed, lease=lease, operator=operator, ending=HelpRequest.Ending.SERVED)
            )
    Lease.objects.bulk_create(leases, batch_size=BATCH)
    HelpRequest.objects.bulk_create(requests, batch_size=BATCH)


def _states(size: Size, end: datetime, fleet: Fleet, chance: random.Random) -> None:
    rows = []
    for robot in fleet.robots:
        at = end - size.span + _ms(chance, 600)
        while True:
            until = at + timedelta(seconds=1) + _ms(chance, 1800)
            is_last = until >= end
            rows.append(
                RobotStateInterval(
                    robot=robot, state=chance.choice(STATES), started_at=at, ended_at=None if is_last else until,
                    seen_at=at,
                )
            )  # fmt: skip
            if is_last:
                break
            at = until
    RobotStateInterval.objects.bulk_create(rows, batch_size=BATCH)


def remove() -> None:
    """Remove all that `make` ever wrote here."""
    for rows in (Lease, HelpRequest, RobotStateInterval, PolicyDeployment):
        rows.objects.filter(robot__name__startswith=MARK).delete()
    mine = Episode.objects.filter(task__slug__startswith=MARK)
    Segment.objects.filter(episode__in=mine).delete()
    mine.delete()
    PolicyVersion.objects.filter(run__name__startswith=MARK).delete()
    TrainingRun.objects.filter(name__startswith=MARK).delete()
    Task.objects.filter(slug__startswith=MARK).delete()
    Robot.objects.filter(name__startswith=MARK).delete()
    get_user_model().objects.filter(username__startswith=MARK).delete()
