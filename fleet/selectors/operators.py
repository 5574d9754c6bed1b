"""How operators spent a range of time: waiting for them, their service, how busy they were and how often they switched.

From the requests for help and the leases themselves; what the help page shows of its last hour is selectors/help.py.
"""

from __future__ import annotations

import uuid
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db.models import QuerySet
from django.utils import timezone

from fleet.models import HelpRequest, Lease
from fleet.protocol.authority import Source
from fleet.selectors.help import Spread, spread, switches_of
from fleet.selectors.metrics import MetricFilter

MAX_ROWS = 50_000  # requests or leases of one answer, the newest
MAX_OPERATORS = 100

DEFINITIONS = {
    "waiting": "From a robot's asking for help until the first person took it, of requests that a person took and that "
    "ended in the bucket.",
    "service": "From then until a person gave the robot back, of the same requests.",
    "utilisation": "Time in which the person held at least one robot, divided by the time of the range that is over.",
    "switches": "Takeovers of another robot than the person's takeover before.",
    "unanswered": "Requests that ended without a person: the robot went on by itself or left.",
}


@dataclass(frozen=True)
class Waits:
    """Of the requests that ended in one bucket, or in the range."""

    answered: int
    unanswered: int
    waiting: Spread
    service: Spread


@dataclass(frozen=True)
class OperatorRow:
    """`held_s`: time with at least one robot within the range."""

    operator: str
    takeovers: int
    switches: int
    robots: int
    dwell: Spread
    held_s: float
    utilisation: float


@dataclass(frozen=True)
class OperatorReport:
    """`is_cut`: more than 50,000 requests or leases lie in the range; the oldest of them are left out."""

    total: Waits
    points: list[Waits]
    operators: list[OperatorRow]
    is_cut: bool


class Asking(NamedTuple):
    """A request for help that ended; `claimed_at` None: without a person."""

    opened_at: datetime
    claimed_at: datetime | None
    closed_at: datetime


class Holding(NamedTuple):
    """A person's lease."""

    operator: str
    robot_id: uuid.UUID
    granted_at: datetime
    released_at: datetime | None
    expires_at: datetime


def operator_report(*, asked: MetricFilter, edges: Sequence[datetime], now: datetime | None = None) -> OperatorReport:
    """Return the waits by bucket and each person's time. Of the filter: time, tasks (requests only) and robots."""
    now = now or timezone.now()
    # Rows, not models: a week of forty robots is some ten thousands of each, and models of them took two seconds.
    requests = [Asking(*row) for row in _requests(asked).values_list(*Asking._fields)[: MAX_ROWS + 1]]
    leases = [Holding(*row) for row in _leases(asked).values_list(*Holding._fields)[: MAX_ROWS + 1]]
    kept = requests[:MAX_ROWS]
    places: dict[int, list[Asking]] = {}
    for request, place in zip(kept, _places([each.closed_at for each in kept], edges), strict=True):
        places.setdefault(place, []).append(request)
    return OperatorReport(
        total=_waits(kept),
        points=[_waits(places.get(number, [])) for number in range(1, len(edges))],
        operators=_operators(leases[:MAX_ROWS][::-1], asked, now),
        is_cut=len(requests) > MAX_ROWS or len(leases) > MAX_ROWS,
    )


def _requests(asked: MetricFilter) -> QuerySet[HelpRequest]:
    covered = HelpRequest.objects.filter(asked.coverage.robots("robot_id"))
    found = covered.filter(closed_at__gte=asked.start, closed_at__lt=asked.end).order_by("-closed_at")
    found = found.filter(robot__in=asked.robots) if asked.robots else found
    return found.filter(task__slug__in=asked.tasks) if asked.tasks else found


def _leases(asked: MetricFilter) -> QuerySet[Lease]:
    """People's leases that were held at some time of the range, the newest first."""
    covered = Lease.objects.filter(asked.coverage.robots("robot_id"))
    found = covered.filter(source=Source.PERSON.value, granted_at__lt=asked.end).exclude(released_at__lt=asked.start)
    found = found.filter(robot__in=asked.robots) if asked.robots else found
    return found.order_by("-granted_at")


def _waits(requests: Sequence[Asking]) -> Waits:
    answered = [each for each in requests if each.claimed_at is not None]
    waits = [(each.claimed_at - each.opened_at).total_seconds() for each in answered if each.claimed_at]
    served = [(each.closed_at - each.claimed_at).total_seconds() for each in answered if each.claimed_at]
    return Waits(len(answered), len(requests) - len(answered), spread(waits), spread(served))


def _operators(leases: Sequence[Holding], asked: MetricFilter, now: datetime) -> list[OperatorRow]:
    over_s = max(1.0, (min(asked.end, now) - asked.start).total_seconds())
    own: dict[str, list[Holding]] = {}
    for lease in leases:
        own.setdefault(lease.operator, []).append(lease)
    rows = []
    for operator, held in sorted(own.items()):
        seconds = _held_s(held, asked.start, min(asked.end, now))
        begun = [lease for lease in held if lease.granted_at >= asked.start]
        dwell = [(lease.released_at - lease.granted_at).total_seconds() for lease in begun if lease.released_at]
        robots = len({lease.robot_id for lease in held})
        utilisation = min(1.0, seconds / over_s)
        rows.append(OperatorRow(operator, len(begun), switches_of(begun), robots, spread(dwell), seconds, utilisation))
    return rows[:MAX_OPERATORS]


def _held_s(leases: Sequence[Holding], start: datetime, end: datetime) -> float:
    """Return the length of the union of the leases within the range; two robots at once count once."""
    total, reached = 0.0, start
    for lease in leases:  # by granted_at, rising
        begins = max(lease.granted_at, reached)
        ends = min(lease.released_at or min(end, lease.expires_at), end)
        if ends > begins:
            total += (ends - begins).total_seconds()
            reached = ends
    return total


def _places(times: Sequence[datetime], edges: Sequence[datetime]) -> list[int]:
    """Return the number of each time's bucket, 1 the first."""
    return [bisect_right(edges, at) for at in times]
