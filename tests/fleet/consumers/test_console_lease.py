"""Who drives, asked over consoles' sockets: tabs, epochs, transfers, and rights that end."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from fleet.consumers import console
from fleet.models import Lease
from fleet.permissions import Role
from fleet.protocol import messages as m
from fleet.protocol.authority import Source
from fleet.selectors.robot import desired_state
from fleet.services.enrolment import Enrolled
from fleet.services.lease import lease_grant
from fleet.services.person import person_roles_set
from tests.fleet.consumers.peers import ConsolePeer, console_peer, cookie_of


def _card(page: ConsolePeer, wanted: Callable[[m.RobotCard], bool]) -> m.RobotCard:
    while True:
        for card in page.expect(m.RobotsChanged).robots:
            if wanted(card):
                return card


def _lease(enrolled: Enrolled) -> m.LeaseInfo | None:
    return desired_state(robot_id=str(enrolled.robot.id)).lease


def _acquired(page: ConsolePeer, enrolled: Enrolled) -> int:
    reply = page.ask(m.ConsoleAcquire, enrolled.robot.id)
    assert reply.code == "" and reply.lease is not None
    return reply.lease.epoch


def test_lease_is_acquired_renewed_released_and_shown(server: str, ann: Any, enrolled: Enrolled, online: Any) -> None:
    robot_id = enrolled.robot.id
    with console_peer(server, cookie_of(ann)) as page:
        acquired = page.ask(m.ConsoleAcquire, robot_id, reason="it is stuck")
        assert acquired.lease is not None and acquired.lease.epoch == 1
        while (told := online.expect(m.StateChanged).state.lease) is None:
            pass
        assert (told.operator, told.source, told.epoch) == ("ann", Source.PERSON, 1)
        assert uuid.UUID(told.connection)
        card = _card(page, lambda card: card.lease is not None).lease
        assert card is not None and (card.epoch, card.operator, card.source) == (1, "ann", "person")
        renewed = page.ask(m.ConsoleRenew, robot_id, epoch=1)
        assert renewed.lease is not None and renewed.lease.expires_ms > acquired.lease.expires_ms
        released = page.ask(m.ConsoleRelease, robot_id, epoch=1, reason="done")
        assert (released.code, released.lease, _lease(enrolled)) == ("", None, None)
        assert _card(page, lambda card: card.lease is None).lease is None
    assert Lease.objects.get().end_reason == "done"


def test_tab_that_dials_again_keeps_its_lease(server: str, ann: Any, enrolled: Enrolled, online: Any) -> None:
    cookie, tab = cookie_of(ann), str(uuid.uuid4())
    with console_peer(server, cookie, tab=tab) as page:
        assert _acquired(page, enrolled) == 1
    with console_peer(server, cookie, tab=tab) as page:
        assert page.ask(m.ConsoleRenew, enrolled.robot.id, epoch=1).code == ""
        assert _acquired(page, enrolled) == 2  # the same connection, under a new epoch
        assert page.ask(m.ConsoleRenew, enrolled.robot.id, epoch=1).code == "lease_fenced"
        assert page.ask(m.ConsoleRenew, enrolled.robot.id, epoch=2).code == ""


@pytest.mark.parametrize("who", ["another user", "another session", "another tab", "no tab", "no id", "two ids"])
def test_nobody_else_inherits_a_lease_by_naming_its_tab(
    server: str, ann: Any, ben: Any, enrolled: Enrolled, online: Any, who: str
) -> None:
    cookie, tab = cookie_of(ann), str(uuid.uuid4())
    others = {
        "another user": (cookie_of(ben), tab),
        "another session": (cookie_of(ann), tab),
        "another tab": (cookie, str(uuid.uuid4())),
        "no tab": (cookie, ""),
        "no id": (cookie, "x" * 2000),
        "two ids": (cookie, f"{tab}&tab={tab}"),
    }
    with console_peer(server, cookie, tab=tab) as page:
        epoch = _acquired(page, enrolled)
        held = _lease(enrolled)
        assert held is not None
        with console_peer(server, others[who][0], tab=others[who][1]) as other:
            assert other.ask(m.ConsoleRenew, enrolled.robot.id, epoch=epoch).code == "lease_fenced"
            assert other.ask(m.ConsoleAcquire, enrolled.robot.id).code == "lease_held"
            assert other.ask(m.ConsoleRelease, enrolled.robot.id, epoch=epoch).code == ""
        assert page.ask(m.ConsoleRenew, enrolled.robot.id, epoch=epoch).code == ""
        still = _lease(enrolled)
        assert still is not None and (still.epoch, still.connection) == (epoch, held.connection)


def test_second_socket_of_a_tab_replaces_the_first(server: str, ann: Any, enrolled: Enrolled, online: Any) -> None:
    cookie, tab = cookie_of(ann), str(uuid.uuid4())
    with console_peer(server, cookie, tab=tab) as old:
        old.expect(m.ConsoleSnapshot)
        epoch = _acquired(old, enrolled)
        with console_peer(server, cookie, tab=tab) as new:
            fault = old.expect(m.Fault)
            assert (fault.code, fault.is_fatal, old.close_code()) == ("replaced", True, 4409)
            assert new.ask(m.ConsoleRenew, enrolled.robot.id, epoch=epoch).code == ""


def test_of_two_sockets_only_the_older_goes(server: str, ann: Any) -> None:
    """A hint that comes late, of a socket that is older than its hearer, replaces nobody."""
    consumer = console.ConsoleConsumer()
    consumer._stamp = [5, "newer"]
    consumer._fail = None  # type: ignore[assignment]  # calling it would raise
    for stamp in ([4, "older"], [5, "newer"]):
        with pytest.raises(StopIteration):
            consumer.console_replaced({"stamp": stamp}).send(None)
    with pytest.raises(TypeError):
        consumer.console_replaced({"stamp": [6, "newest"]}).send(None)


def test_taking_needs_the_role_or_the_holder_s_offer(
    server: str, ann: Any, ben: Any, manager: Any, enrolled: Enrolled, online: Any
) -> None:
    robot_id = enrolled.robot.id
    with (
        console_peer(server, cookie_of(ann)) as first,
        console_peer(server, cookie_of(ben)) as second,
        console_peer(server, cookie_of(manager)) as third,
    ):
        _acquired(first, enrolled)
        assert second.ask(m.ConsoleTake, robot_id, from_epoch=1).code == "take_forbidden"
        assert third.ask(m.ConsoleTake, robot_id, from_epoch=7).code == "lease_fenced"
        taken = third.ask(m.ConsoleTake, robot_id, from_epoch=1)
        assert taken.lease is not None and taken.lease.epoch == 2
        lost = first.expect(m.LeaseLost)
        assert (lost.epoch, lost.taken_by) == (1, "max")

        assert second.ask(m.ConsoleAsk, robot_id, epoch=1).code == "lease_fenced"
        asked = second.ask(m.ConsoleAsk, robot_id, epoch=2)
        assert asked.code == "busy"  # a moment ago, whatever came of it
        offer = third.ask(m.ConsoleTransfer, robot_id, epoch=2, to_user="ben")
        assert offer.lease is not None and offer.lease.epoch == 2
        offered = second.expect(m.LeaseOffered)
        assert (offered.robot_id, offered.epoch, offered.by) == (str(robot_id), 2, "max")
        assert first.ask(m.ConsoleTake, robot_id, from_epoch=2).code == "take_forbidden"
        taken = second.ask(m.ConsoleTake, robot_id, from_epoch=2)
        assert taken.lease is not None and taken.lease.epoch == 3
        assert third.expect(m.LeaseLost).taken_by == "ben"


def test_holder_hears_who_would_like_to_drive(
    server: str, ann: Any, ben: Any, enrolled: Enrolled, online: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "ASK_PERIOD_S", 0.0)
    robot_id = enrolled.robot.id
    with console_peer(server, cookie_of(ann)) as first, console_peer(server, cookie_of(ben)) as second:
        lease_grant(robot_id=robot_id, source=Source.SCRIPTED, operator="scripted supervisor")
        assert second.ask(m.ConsoleAsk, robot_id, epoch=1).code == "invalid_request"
        _acquired(first, enrolled)
        assert second.ask(m.ConsoleAsk, robot_id, epoch=2).code == ""
        asked = first.expect(m.LeaseAsked)
        assert (asked.robot_id, asked.epoch, asked.by) == (str(robot_id), 2, "ben")
        for reply in (
            second.ask(m.ConsoleTransfer, robot_id, epoch=2, to_user="ben"),
            first.ask(m.ConsoleTransfer, robot_id, epoch=1, to_user="ben"),
        ):
            assert reply.code == "lease_fenced"
        assert first.ask(m.ConsoleTransfer, robot_id, epoch=2, to_user="nobody").code == "not_found"
        held = _lease(enrolled)
        assert held is not None and held.operator == "ann"


def test_what_is_asked_of_no_robot_or_one_that_is_away(server: str, ann: Any, enrolled: Enrolled) -> None:
    with console_peer(server, cookie_of(ann)) as page:
        assert page.ask(m.ConsoleAcquire, enrolled.robot.id).code == "robot_offline"
        for robot_id in (uuid.uuid4(), "no id", ""):
            assert page.ask(m.ConsoleAcquire, robot_id).code == "not_found"
    assert Lease.objects.count() == 0


def test_flood_of_requests_is_bounded_and_each_is_answered(
    server: str, ann: Any, enrolled: Enrolled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand at once: some done, the rest refused as busy, and then the page is served as before."""
    with console_peer(server, cookie_of(ann)) as page:
        waiting = {page.request(m.ConsoleRenew, enrolled.robot.id, epoch=1) for _ in range(1000)}
        codes = []
        while waiting:
            reply = page.expect(m.ConsoleReply, timeout_s=20)
            waiting.remove(reply.request_id)
            codes.append(reply.code)
        assert set(codes) <= {"lease_fenced", "busy"} and codes.count("lease_fenced") >= console.REQUESTS_LIMIT
        assert page.ask(m.ConsoleAcquire, enrolled.robot.id).code == "robot_offline"


RIGHTS_END = {
    "disabled": lambda user: type(user).objects.filter(pk=user.pk).update(is_active=False),
    "signed out": lambda user: Session.objects.all().delete(),
}


@pytest.mark.parametrize("way", RIGHTS_END)
def test_lease_is_over_within_5_s_of_the_right_to_it(
    server: str, ann: Any, enrolled: Enrolled, online: Any, way: str
) -> None:
    """With all times as shipped: the page goes on renewing, as an attacker's would."""
    with console_peer(server, cookie_of(ann)) as page:
        page.expect(m.ConsoleSnapshot)
        epoch = _acquired(page, enrolled)
        RIGHTS_END[way](ann)
        ended_at = timezone.now()
        assert page.ask(m.ConsoleRenew, enrolled.robot.id, epoch=epoch).code == "unauthorised"
        assert page.expect(m.Fault).code == "unauthorised"
        assert page.close_code() == 4401
    assert timezone.now() - ended_at < timedelta(seconds=5)
    assert Lease.objects.get().expires_at - ended_at < timedelta(seconds=5)


def test_role_that_ends_ends_the_driving_and_not_the_page(
    server: str, ann: Any, enrolled: Enrolled, online: Any
) -> None:
    with console_peer(server, cookie_of(ann)) as page:
        epoch = _acquired(page, enrolled)
        person_roles_set(user=ann, roles=[Role.VIEWER])
        for kind, values in (
            (m.ConsoleRenew, {"epoch": epoch}),
            (m.ConsoleAcquire, {}),
            (m.ConsoleTake, {"from_epoch": epoch}),
        ):
            assert page.ask(kind, enrolled.robot.id, **values).code == "drive_forbidden"
        held = _lease(enrolled)
        assert held is not None and held.epoch == epoch  # until it expires
        assert page.ask(m.ConsoleRelease, enrolled.robot.id, epoch=epoch).code == ""
