"""A console of somebody in a group: its feed, its robots' video and leases, and stop, which knows no groups."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytest

from fleet.consumers import console
from fleet.events import hint_consoles
from fleet.models import Robot, RobotStop
from fleet.permissions import Role
from fleet.protocol import messages as m
from fleet.selectors.row_version import user_version
from fleet.services.enrolment import Enrolled
from fleet.services.people_group import GroupChange, people_group_change, people_group_create
from fleet.services.person import person_roles_set, person_update
from tests.fleet.consumers.peers import ConsolePeer, RobotPeer, console_peer, cookie_of
from tests.fleet.two_sites import Site, site

RECHECKED_S = 5.0


@pytest.fixture
def sites(server: str) -> tuple[Site, Site]:
    return site("a"), site("b")


@pytest.fixture
def operator(ann: Any) -> Any:
    person_roles_set(user=ann, roles=(Role.OPERATOR,))
    return ann


def _group(user: Any, *tags: str, robots: tuple[Robot, ...] = ()) -> Any:
    change = GroupChange(name="g", members=(user.pk,), robot_tags=tags, robots=tuple(robot.id for robot in robots))
    return people_group_create(change=change)


def _snapshot(page: ConsolePeer, wanted: list[str], timeout_s: float = RECHECKED_S) -> float:
    """Wait for a snapshot with these robots; return how long it took."""
    begun = time.monotonic()
    while True:
        found = page.expect(m.ConsoleSnapshot, timeout_s=max(0.01, begun + timeout_s - time.monotonic()))
        if sorted(card.name for card in found.robots) == wanted:
            return time.monotonic() - begun


def test_the_feed_holds_what_the_group_covers(server: str, operator: Any, sites: tuple[Site, Site]) -> None:
    """Cards, the help queue and the run's counts of one site; what changes at the other is not heard."""
    a, b = sites
    _group(operator, "a")
    with console_peer(server, cookie_of(operator)) as page:
        _snapshot(page, ["a-arm"])
        assert [card.robot for card in page.expect(m.HelpQueue).requests] == ["a-arm"]
        for robot in (b.robot, a.robot):
            Robot.objects.filter(id=robot.id).update(is_paused=True)
            hint_consoles("robot", robot.id)
        assert [card.name for card in page.expect(m.RobotsChanged).robots] == ["a-arm"]


def test_an_open_feed_follows_the_group_within_5_s(server: str, operator: Any, sites: tuple[Site, Site]) -> None:
    with console_peer(server, cookie_of(operator)) as page:
        _snapshot(page, ["a-arm", "b-arm"])
        group = _group(operator, "a")
        _snapshot(page, ["a-arm"])
        people_group_change(group_id=group.id, change=GroupChange(robot_tags=("b",)), revision=1)
        _snapshot(page, ["b-arm"])
        Robot.objects.filter(id=sites[1].robot.id).update(tags=[])  # no hint: the regular look finds it
        _snapshot(page, [])
        person_update(user_id=operator.pk, version=user_version(operator), is_limited=False)
        _snapshot(page, ["a-arm", "b-arm"])


def test_a_page_that_asks_all_the_time_is_looked_at_all_the_same(
    server: str, operator: Any, sites: tuple[Site, Site]
) -> None:
    _group(operator, "a")
    with console_peer(server, cookie_of(operator)) as page:
        _snapshot(page, ["a-arm"])
        Robot.objects.filter(id=sites[0].robot.id).update(tags=[])
        deadline = time.monotonic() + RECHECKED_S + 1
        shown = ["a-arm"]
        while shown and time.monotonic() < deadline:
            page.ask(m.ConsoleRelease, sites[1].robot.id, epoch=1)  # refused, and answered
            page.send(m.Resync(last_seq=page.seq))
            shown = [card.name for card in page.expect(m.ConsoleSnapshot).robots]
        assert shown == []


def test_a_robot_outside_does_not_exist_but_stops(
    server: str,
    operator: Any,
    enrolled: Enrolled,
    online: RobotPeer,
    sites: tuple[Site, Site],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither video nor lease nor clearing; stop works for whoever can name the robot (docs/safety.md)."""
    monkeypatch.setattr(console, "ASK_PERIOD_S", 0.0)
    _group(operator, "a")
    stop_id = str(uuid.uuid4())
    with console_peer(server, cookie_of(operator)) as page:
        offer = {"peer_id": str(uuid.uuid4()), "views": ("front",), "sdp": "v=0\r\n"}
        for kind, values in (
            (m.ConsoleAcquire, {}), (m.ConsoleTake, {"from_epoch": 1}), (m.ConsoleRenew, {"epoch": 1}),
            (m.ConsoleAsk, {"epoch": 1}), (m.ConsolePeerOffer, offer), (m.ConsoleClear, {"stop_id": stop_id}),
        ):  # fmt: skip
            for robot_id in (enrolled.robot.id, uuid.uuid4()):
                assert page.ask(kind, robot_id, **values).code == "not_found", kind
        assert page.ask(m.ConsoleStop, enrolled.robot.id, stop_id=stop_id).code == ""
        assert online.expect(m.StopRobot).stop.stop_id == stop_id
        assert page.ask(m.ConsoleStop, uuid.uuid4(), stop_id=str(uuid.uuid4())).code == "not_found"
    assert RobotStop.objects.get().user == operator


def test_a_lease_is_offered_to_nobody_who_does_not_see_the_robot(
    server: str, operator: Any, ben: Any, enrolled: Enrolled, online: RobotPeer, sites: tuple[Site, Site]
) -> None:
    person_roles_set(user=ben, roles=(Role.OPERATOR,))
    with console_peer(server, cookie_of(operator)) as page:
        lease = page.ask(m.ConsoleAcquire, enrolled.robot.id).lease
        assert lease is not None
        group = _group(ben, "a")
        given = {"epoch": lease.epoch, "to_user": "ben"}
        assert page.ask(m.ConsoleTransfer, enrolled.robot.id, **given).code == "not_found"
        people_group_change(group_id=group.id, change=GroupChange(robots=(enrolled.robot.id,)), revision=1)
        assert page.ask(m.ConsoleTransfer, enrolled.robot.id, **given).code == ""


def test_video_and_lease_end_when_the_robot_leaves_the_group(
    server: str, operator: Any, enrolled: Enrolled, online: RobotPeer, sites: tuple[Site, Site]
) -> None:
    group = _group(operator, robots=(enrolled.robot,))
    with console_peer(server, cookie_of(operator)) as page:
        lease = page.ask(m.ConsoleAcquire, enrolled.robot.id).lease
        assert lease is not None
        peer_id = str(uuid.uuid4())
        page.ask(m.ConsolePeerOffer, enrolled.robot.id, peer_id=peer_id, views=("front",), sdp="v=0\r\n")
        begun = time.monotonic()
        people_group_change(group_id=group.id, change=GroupChange(robots=()), revision=1)
        closed = online.expect(m.PeerClose)
        assert (closed.peer_id, time.monotonic() - begun < RECHECKED_S) == (peer_id, True)
        assert page.ask(m.ConsoleRenew, enrolled.robot.id, epoch=lease.epoch).code == "not_found"
