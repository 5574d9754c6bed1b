"""The queue's order under each rule, and the figures of waiting and service."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from fleet.models import HelpRequest, Lease
from fleet.protocol.messages import HelpRanking
from fleet.selectors.help import help_figures, help_queue, ranked, spread
from fleet.services.help import help_ranking_set
from tests.fleet import builders

pytestmark = pytest.mark.django_db

NOW = timezone.now()
# name -> reason, score, seconds waited
WAITING = {
    "late": ("no_progress", 0.6, 90.0),
    "stuck": ("no_progress", 0.9, 30.0),
    "unsure": ("uncertain", 0.8, 60.0),
    "limited": ("constraint", 0.5, 10.0),
    "paused": ("paused", 0.7, 20.0),
}


def request(reason: str = "no_progress", score: float = 0.5, waited_s: float = 10.0, **values: Any) -> HelpRequest:
    opened_at = NOW - timedelta(seconds=waited_s)
    values = {"robot": values.pop("robot", None) or builders.enrol().robot, "opened_at": opened_at, **values}
    return HelpRequest.objects.create(reason=reason, score=score, ranked_at=opened_at, **values)


@pytest.mark.parametrize(
    ("ranking", "order"),
    [
        (HelpRanking.FIFO, ["late", "unsure", "stuck", "paused", "limited"]),
        (HelpRanking.CUR, ["paused", "limited", "unsure", "stuck", "late"]),
        (HelpRanking.THRIFTY, ["unsure", "stuck", "paused", "late", "limited"]),  # weights .75 and .25, in the test
    ],
)
def test_order_under_each_rule(ranking: HelpRanking, order: list[str], settings: Any) -> None:
    """thrifty: uncertain counts .75 of .8 = .6; the others .25 of their score, .225, .175, .15, .125."""
    settings.SOP_HELP_RISK_WEIGHT = 0.25
    requests = {name: request(*values) for name, values in WAITING.items()}
    names = {item.id: name for name, item in requests.items()}
    for mixed in itertools.islice(itertools.permutations(requests.values()), 0, 120, 17):
        assert [names[item.id] for item in ranked(mixed, ranking)] == order


def test_equal_requests_are_served_in_the_order_they_came() -> None:
    first, second = request(waited_s=20), request(waited_s=10)
    for ranking in HelpRanking:
        assert ranked([second, first], ranking) == [first, second]


def test_queue_holds_the_waiting_then_the_served(django_user_model: Any) -> None:
    """By the managers' choice; what is closed is not in it."""
    ann = django_user_model.objects.create_user("ann")
    task = builders.task()
    unsure, late = request("uncertain", 0.9, 5), request("no_progress", 0.9, 50, task=task, detail="hardly moved")
    served = request(waited_s=80, state="served", claimed_at=NOW, operator="ann")
    request(waited_s=99, state="closed", ending="withdrawn", closed_at=NOW)
    queue = help_queue(now=NOW)
    assert (queue.ranking, queue.total) == (HelpRanking.CUR, 3)
    assert [card.request_id for card in queue.requests] == [str(item.id) for item in (unsure, late, served)]
    card = queue.requests[1]
    assert (card.robot, card.task, card.detail, card.operator) == (late.robot.name, "box-close", "hardly moved", "")
    assert (queue.requests[2].operator, queue.requests[2].claimed_ms) == ("ann", int(NOW.timestamp() * 1000))
    help_ranking_set(ranking=HelpRanking.FIFO, over=HelpRanking.CUR, user=ann)
    assert [card.request_id for card in help_queue().requests][:2] == [str(late.id), str(unsure.id)]


def test_a_long_queue_is_cut_and_counted() -> None:
    for _ in range(103):
        request()
    queue = help_queue()
    assert (queue.total, len(queue.requests)) == (103, 100)


def _ended(waited_s: float, served_s: float | None, reason: str = "no_progress", ago_s: float = 60.0) -> None:
    closed_at = NOW - timedelta(seconds=ago_s)
    claimed_at = closed_at - timedelta(seconds=served_s) if served_s is not None else None
    opened_at = (claimed_at or closed_at) - timedelta(seconds=waited_s)
    ending = "served" if claimed_at else "withdrawn"
    HelpRequest.objects.create(
        robot=builders.enrol().robot, reason=reason, score=0.5, state="closed", ending=ending,
        opened_at=opened_at, ranked_at=opened_at, claimed_at=claimed_at, closed_at=closed_at,
    )  # fmt: skip


def test_figures_of_waiting_and_service() -> None:
    """Four requests in the window, one of them unanswered; one paused, answered after 30 s; one too old."""
    _ended(10, 100)
    _ended(20, 50)
    _ended(30, 60, reason="paused")
    _ended(500, None)
    _ended(900, 900, ago_s=7200)
    found = help_figures(window_s=3600, now=NOW)
    assert (found.answered, found.unanswered, found.blocked_s) == (3, 1, 30.0)
    assert (found.waiting.n, found.waiting.p50_s, found.waiting.p90_s) == (3, 20.0, pytest.approx(28.0))
    assert (found.service.n, found.service.p50_s) == (3, 60.0)


def test_dwell_and_switches_of_each_operator(django_user_model: Any) -> None:
    """ann: robots A, A, B, A are two switches; the open lease has no dwell yet. ben: one takeover."""
    ann, ben = (django_user_model.objects.create_user(name) for name in ("ann", "ben"))
    robots = {name: builders.enrol().robot for name in "AB"}

    def lease(user: Any, name: str, epoch: int, ago_s: float, dwell_s: float | None) -> None:
        granted_at = NOW - timedelta(seconds=ago_s)
        released_at: datetime | None = granted_at + timedelta(seconds=dwell_s) if dwell_s is not None else None
        Lease.objects.create(
            robot=robots[name], epoch=epoch, source="person", user=user, operator=user.username,
            granted_at=granted_at, expires_at=granted_at + timedelta(seconds=99), released_at=released_at,
        )  # fmt: skip

    lease(ann, "A", 1, 900, 10)
    lease(ben, "B", 1, 850, 40)
    lease(ann, "A", 2, 800, 20)
    lease(ann, "B", 2, 700, 30)
    lease(ann, "A", 3, 10, None)
    first, second = help_figures(window_s=3600, now=NOW).operators
    assert (first.operator, first.takeovers, first.switches) == ("ann", 4, 2)
    assert (first.dwell.n, first.dwell.p50_s) == (3, 20.0)
    assert (second.operator, second.takeovers, second.switches, second.dwell.p50_s) == ("ben", 1, 0, 40.0)


def test_figures_read_their_window_by_index() -> None:
    """Both tables only grow; a window of them is not looked for in all of it."""
    with CaptureQueriesContext(connection) as asked:
        help_figures(window_s=3600)
    [requests] = [query["sql"] for query in asked if 'FROM "fleet_helprequest"' in query["sql"]]
    [leases] = [query["sql"] for query in asked if 'FROM "fleet_lease"' in query["sql"]]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # a few rows are read faster without any index
        for sql, index in ((requests, "help_by_close"), (leases, "lease_by_grant")):
            cursor.execute("EXPLAIN " + sql.replace("%", "%%"), ())
            assert f"using {index} on" in "\n".join(line for (line,) in cursor.fetchall())


def test_nothing_has_no_percentiles() -> None:
    assert spread([]).p50_s is None
    assert (spread([4.0]).n, spread([4.0]).p90_s) == (1, 4.0)
