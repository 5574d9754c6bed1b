"""How operators spent a range of time: waiting for them, their service, how busy they were and how often they switched.

From the requests for help and the leases themselves; what the help page shows of its last hour is selectors/help.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import QuerySet, Value
from django.utils import timezone
from numpy.typing import NDArray

from fleet.models import HelpRequest, Lease
from fleet.protocol.authority import Source
from fleet.selectors.columns import (
    MISSING,
    SECOND_US,
    Groups,
    Numbers,
    PackedIds,
    PackedTimes,
    grouped,
    ids,
    microseconds,
    numbers,
)
from fleet.selectors.help import Spread
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


class _Requests(NamedTuple):
    """Columns of requests that ended [N]; `claimed` MISSING: without a person."""

    opened: Numbers
    claimed: Numbers
    closed: Numbers


@dataclass(frozen=True)
class _Leases:
    """Columns of people's leases [N], the oldest first; `released` MISSING: still open. `robots`: [N, 2]."""

    operators: NDArray[np.str_]
    robots: NDArray[np.uint64]
    granted: Numbers
    released: Numbers
    expires: Numbers

    def of(self, chosen: NDArray[Any]) -> _Leases:
        return _Leases(*(getattr(self, each.name)[chosen] for each in fields(self)))


def operator_report(*, asked: MetricFilter, edges: Sequence[datetime], now: datetime | None = None) -> OperatorReport:
    """Return the waits by bucket and each person's time. Of the filter: time, tasks (requests only) and robots."""
    requests, are_requests_cut = _read_requests(asked)
    leases, are_leases_cut = _read_leases(asked)
    total, points = _waits(requests, edges)
    return OperatorReport(
        total=total,
        points=points,
        operators=_operators(leases, asked, now or timezone.now()),
        is_cut=are_requests_cut or are_leases_cut,
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


def _read_requests(asked: MetricFilter) -> tuple[_Requests, bool]:
    """Return the newest MAX_ROWS requests, and whether there are more."""
    names = ("opened_at", "claimed_at", "closed_at")
    packed = _requests(asked)[: MAX_ROWS + 1].aggregate(**{name: PackedTimes(name) for name in names})
    columns = [numbers(packed[name]) for name in names]
    newest = np.argsort(columns[2])[-MAX_ROWS:]
    return _Requests(*(column[newest] for column in columns)), len(columns[2]) > MAX_ROWS


def _read_leases(asked: MetricFilter) -> tuple[_Leases, bool]:
    """Return the newest MAX_ROWS leases, and whether there are more."""
    names = ("granted_at", "released_at", "expires_at")
    packed = _leases(asked)[: MAX_ROWS + 1].aggregate(
        **{name: PackedTimes(name) for name in names},
        operators=ArrayAgg("operator", default=Value([])),
        robots=PackedIds("robot_id"),
    )
    operators = np.array(packed["operators"], dtype=np.str_)
    leases = _Leases(operators, ids(packed["robots"]), *(numbers(packed[name]) for name in names))
    order = np.argsort(leases.granted, kind="stable")[-MAX_ROWS:]
    return leases.of(order), len(operators) > MAX_ROWS


def _waits(requests: _Requests, edges: Sequence[datetime]) -> tuple[Waits, list[Waits]]:
    """Return them over the whole range and by bucket."""
    count = len(edges) - 1
    places = np.searchsorted(np.array([microseconds(edge) for edge in edges]), requests.closed, side="right") - 1
    is_answered = requests.claimed != MISSING
    taken = _Requests(*(column[is_answered] for column in requests))
    all_waiting, waiting = grouped((taken.claimed - taken.opened) / SECOND_US, places[is_answered], count)
    all_service, service = grouped((taken.closed - taken.claimed) / SECOND_US, places[is_answered], count)
    unanswered = np.bincount(places[~is_answered], minlength=count)
    (total,) = _joined(all_waiting, all_service, [int(unanswered.sum())])
    return total, _joined(waiting, service, unanswered.tolist())


def _joined(waiting: Groups, service: Groups, unanswered: Sequence[int]) -> list[Waits]:
    spreads = zip(_spreads(waiting), _spreads(service), unanswered, strict=True)
    return [Waits(waited.n, left, waited, served) for waited, served, left in spreads]


def _operators(leases: _Leases, asked: MetricFilter, now: datetime) -> list[OperatorRow]:
    start, end = microseconds(asked.start), microseconds(min(asked.end, now))
    over_s = max(1.0, (end - start) / SECOND_US)
    names = np.unique(leases.operators)[:MAX_OPERATORS]
    rows = []
    for name in names:
        held = leases.of(leases.operators == name)
        begun = held.of(held.granted >= start)
        ended = begun.of(begun.released != MISSING)
        (dwell,) = _spreads(grouped((ended.released - ended.granted) / SECOND_US, np.zeros_like(ended.granted), 1)[0])
        seconds = _held_s(held, start, end)
        robots = len(np.unique(held.robots, axis=0))
        switches = int((begun.robots[1:] != begun.robots[:-1]).any(axis=1).sum())
        takeovers = len(begun.granted)
        rows.append(OperatorRow(str(name), takeovers, switches, robots, dwell, seconds, min(1.0, seconds / over_s)))
    return rows


def _held_s(leases: _Leases, start: int, end: int) -> float:
    """Return the length of the union of the leases within the range; two robots at once count once."""
    open_until = np.minimum(leases.expires, end)
    ends = np.minimum(np.where(leases.released == MISSING, open_until, leases.released), end)
    reached = np.maximum.accumulate(np.concatenate([[start], ends]))[:-1]
    return float(np.maximum(0, ends - np.maximum(leases.granted, reached)).sum() / SECOND_US)


def _spreads(groups: Groups) -> list[Spread]:
    columns = groups.sizes.tolist(), groups.quantile(0.5).tolist(), groups.quantile(0.9).tolist()
    return [Spread(n, p50, p90) if n else Spread(0, None, None) for n, p50, p90 in zip(*columns, strict=True)]
