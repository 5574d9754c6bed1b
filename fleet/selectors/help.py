"""The help queue: who is ranked before whom, and how waiting and service went. Definitions stand at each function."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from django.conf import settings
from django.utils import timezone

from fleet.clock import to_ms
from fleet.coverage import WHOLE, Coverage
from fleet.models import HelpRequest, HelpSettings, Lease
from fleet.protocol.authority import Source
from fleet.protocol.messages import HelpCard, HelpQueue, HelpRanking, HelpReason

MAX_REQUESTS = 100  # in one message; who is further down does not see a person soon
MAX_ROWS = 10_000  # of one window; older ones are left out of its figures

# C.U.R. A robot that stands still until a person comes is treated as the violated constraint of Fleet-DAgger, after
# which its robots too wait for a person.
_CUR_CLASS = {HelpReason.PAUSED: 0, HelpReason.CONSTRAINT: 0, HelpReason.UNCERTAIN: 1, HelpReason.NO_PROGRESS: 2}


def help_ranking() -> HelpRanking:
    """Return the rule in force: the managers' choice, else SOP_HELP_RANKING."""
    chosen = HelpSettings.objects.values_list("ranking", flat=True).first()
    return HelpRanking(chosen if chosen is not None else settings.SOP_HELP_RANKING)


def ranked(requests: Iterable[HelpRequest], ranking: HelpRanking) -> list[HelpRequest]:
    """Return the requests, the most urgent first. Ties go to the one that waits longer.

    fifo: by `opened_at`.
    cur: constraint violation, then uncertainty, then risk; within a class by score.
    thrifty: by the weighted sum of risk and novelty, SOP_HELP_RISK_WEIGHT and the rest of 1.

    Source: Fleet-DAgger, arXiv:2206.14349, C.U.R. and Fleet-ThriftyDAgger (design/paper.md 7). Departures: 1. a robot
    names one reason at a time, so uncertainty is that reason's score or 0, and all other reasons count as risk; 2.
    lack of progress stands for the goal critic's risk; 3. robots that stand still rank as violated constraints.
    """
    if ranking is HelpRanking.FIFO:
        return sorted(requests, key=_age)
    if ranking is HelpRanking.CUR:
        return sorted(requests, key=lambda item: (_CUR_CLASS[HelpReason(item.reason)], -item.score, _age(item)))
    return sorted(requests, key=lambda item: (-_thrifty(item), _age(item)))


def _age(request: HelpRequest) -> tuple[datetime, str]:
    return request.opened_at, str(request.id)


def _thrifty(request: HelpRequest) -> float:
    weight: float = settings.SOP_HELP_RISK_WEIGHT
    return request.score * (1 - weight if request.reason == HelpReason.UNCERTAIN.value else weight)


def help_queue(*, coverage: Coverage = WHOLE, now: datetime | None = None) -> HelpQueue:
    """Return the queue of the covered robots: waiting requests as ranked, then those being served, longest first."""
    unclosed = HelpRequest.objects.filter(coverage.robots("robot_id"), closed_at__isnull=True)
    found = list(unclosed.select_related("robot", "task", "policy_version"))
    ranking = help_ranking()
    waiting = ranked((item for item in found if item.state == HelpRequest.State.OPEN), ranking)
    served = sorted((item for item in found if item.state == HelpRequest.State.SERVED), key=_claimed)
    return HelpQueue(
        server_ms=to_ms(now or timezone.now()),
        ranking=ranking,
        total=len(found),
        requests=tuple(_card(item) for item in [*waiting, *served][:MAX_REQUESTS]),
    )


def _claimed(request: HelpRequest) -> datetime:
    assert request.claimed_at is not None  # a constraint of the row
    return request.claimed_at


def _card(request: HelpRequest) -> HelpCard:
    version = request.policy_version
    return HelpCard(
        request_id=str(request.id),
        robot_id=str(request.robot_id),
        robot=request.robot.name,
        reason=HelpReason(request.reason),
        score=request.score,
        detail=request.detail,
        task=request.task.slug if request.task else "",
        policy_number=version.number if version else None,
        opened_ms=to_ms(request.opened_at),
        operator=request.operator,
        claimed_ms=to_ms(request.claimed_at) if request.claimed_at else None,
    )


@dataclass(frozen=True)
class Spread:
    """Median and 90th percentile of n durations in seconds; None where n is 0."""

    n: int
    p50_s: float | None
    p90_s: float | None


@dataclass(frozen=True)
class OperatorFigures:
    """`dwell`: time on one robot, from taking it to giving it up (one lease). `switches`: takeovers of another robot
    than the operator's takeover before."""

    operator: str
    takeovers: int
    switches: int
    dwell: Spread


@dataclass(frozen=True)
class HelpFigures:
    """Of the requests that ended in the window, and of the people's leases that began in it.

    waiting: from the robot's asking until the first person took it; of requests that a person took.
    service: from then until a person gave the robot back; of the same requests.
    unanswered: ended without a person, because the robot went on by itself or left.
    blocked_s: robot-seconds spent waiting by requests for which the robot stood still.
    Source: design/paper.md 6 (operator wait, dwell and switches; robots blocked).
    """

    window_s: int
    answered: int
    unanswered: int
    waiting: Spread
    service: Spread
    blocked_s: float
    operators: list[OperatorFigures]


def help_figures(*, window_s: int, coverage: Coverage = WHOLE, now: datetime | None = None) -> HelpFigures:
    """Return the figures of the last `window_s` seconds, of at most the newest 10,000 requests and leases.

    Of the covered robots: an operator's switches count these alone.
    """
    now = now or timezone.now()
    since = now - timedelta(seconds=window_s)
    ended = HelpRequest.objects.filter(coverage.robots("robot_id"), closed_at__gt=since, closed_at__lte=now)
    requests = list(ended.order_by("-closed_at")[:MAX_ROWS])
    answered = [item for item in requests if item.claimed_at is not None]
    return HelpFigures(
        window_s=window_s,
        answered=len(answered),
        unanswered=len(requests) - len(answered),
        waiting=spread([_seconds(item.opened_at, item.claimed_at) for item in answered]),
        service=spread([_seconds(item.claimed_at, item.closed_at) for item in answered]),
        blocked_s=sum(
            _seconds(item.opened_at, item.claimed_at or item.closed_at)
            for item in requests
            if item.reason == HelpReason.PAUSED.value
        ),
        operators=_operators(since, now, coverage),
    )


def _operators(since: datetime, now: datetime, coverage: Coverage) -> list[OperatorFigures]:
    """Return the figures of each person by name; a lease still open is a takeover without a dwell as yet."""
    found = Lease.objects.filter(
        coverage.robots("robot_id"), source=Source.PERSON.value, granted_at__gt=since, granted_at__lte=now
    )
    leases: dict[str, list[Lease]] = {}
    for lease in list(found.order_by("-granted_at")[:MAX_ROWS])[::-1]:
        leases.setdefault(lease.operator, []).append(lease)
    return [
        OperatorFigures(
            operator=operator,
            takeovers=len(own),
            switches=sum(one.robot_id != other.robot_id for one, other in pairwise(own)),
            dwell=spread([_seconds(lease.granted_at, lease.released_at) for lease in own if lease.released_at]),
        )
        for operator, own in sorted(leases.items())
    ]


def spread(values_s: Sequence[float]) -> Spread:
    """Return median and 90th percentile; percentiles between values are interpolated linearly."""
    if len(values_s) < 2:
        only = values_s[0] if values_s else None
        return Spread(len(values_s), only, only)
    tenths = statistics.quantiles(values_s, n=10, method="inclusive")
    return Spread(len(values_s), statistics.median(values_s), tenths[8])


def _seconds(start: datetime | None, end: datetime | None) -> float:
    assert start is not None and end is not None
    return (end - start).total_seconds()
