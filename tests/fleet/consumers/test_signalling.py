"""Video connections and orders: passed between a console and a robot, in bounds, and ended with the right to them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import OperationalError

from fleet.access import access_robots
from fleet.consumers import caller, console, signalling
from fleet.models import Robot
from fleet.permissions import Role
from fleet.protocol import messages as m
from fleet.services.enrolment import Enrolled
from fleet.services.person import person_roles_set
from tests.fleet import builders
from tests.fleet.consumers.peers import ConsolePeer, RobotPeer, console_peer, cookie_of, joined_robot

SDP = "v=0\r\n"


@pytest.fixture
def ann_page(server: str, ann: Any) -> Iterator[ConsolePeer]:
    with console_peer(server, cookie_of(ann)) as ann_page:
        ann_page.expect(m.ConsoleSnapshot)
        yield ann_page


def _offer(ann_page: ConsolePeer, enrolled: Enrolled, peer_id: str = "", **changes: Any) -> m.ConsoleReply:
    values = {"peer_id": peer_id or str(uuid.uuid4()), "views": ("front",), "sdp": SDP, **changes}
    return ann_page.ask(m.ConsolePeerOffer, enrolled.robot.id, **values)


def _watching(ann_page: ConsolePeer, enrolled: Enrolled, online: RobotPeer) -> str:
    """Open a peer; return its id."""
    assert _offer(ann_page, enrolled).code == ""
    peer_id = online.expect(m.PeerOffer).peer_id
    online.send(m.PeerAnswer(peer_id=peer_id, sdp="v=1"))
    assert ann_page.expect(m.ConsolePeerAnswer).peer_id == peer_id
    return peer_id


def _acquired(ann_page: ConsolePeer, enrolled: Enrolled) -> int:
    reply = ann_page.ask(m.ConsoleAcquire, enrolled.robot.id)
    assert reply.lease is not None
    return reply.lease.epoch


def _hears_nothing(online: RobotPeer, *kinds: type) -> None:
    """Nothing of these kinds came before the answer to a heartbeat sent now."""
    online.beat()
    while not isinstance(message := online.expect(m.Message), m.HeartbeatAck):
        assert not isinstance(message, kinds)


# --- Peers ------------------------------------------------------------------------------------------------------------


def test_offer_and_answer_pass_through(
    server: str, ann_page: ConsolePeer, enrolled: Enrolled, online: RobotPeer
) -> None:
    """Also at their greatest size; the robot learns who watches and which lease would let them drive."""
    peer_id, sdp = str(uuid.uuid4()), SDP + "a" * (48 * 1024 - len(SDP))
    assert _offer(ann_page, enrolled, peer_id, sdp=sdp, views=("front", "wrist")).code == ""
    offer = online.expect(m.PeerOffer)
    assert (offer.peer_id, offer.user, offer.views, offer.sdp) == (peer_id, "ann", ("front", "wrist"), sdp)
    assert offer.ice_servers == ()
    online.send(m.PeerAnswer(peer_id=peer_id, sdp=sdp[::-1]))
    answer = ann_page.expect(m.ConsolePeerAnswer)
    assert (answer.peer_id, answer.sdp, answer.code) == (peer_id, sdp[::-1], "")
    _acquired(ann_page, enrolled)
    while (lease := online.expect(m.StateChanged).state.lease) is None:
        pass
    assert lease.connection == offer.connection


def test_robot_s_refusal_passes_through(ann_page: ConsolePeer, enrolled: Enrolled, online: RobotPeer) -> None:
    peer_id = str(uuid.uuid4())
    _offer(ann_page, enrolled, peer_id)
    online.expect(m.PeerOffer)
    online.send(m.PeerAnswer(peer_id=peer_id, code="malformed_sdp", message="line 1"))
    answer = ann_page.expect(m.ConsolePeerAnswer)
    assert (answer.code, answer.message, answer.sdp) == ("malformed_sdp", "line 1", "")
    online.send(m.PeerAnswer(peer_id=peer_id, sdp="v=1"))  # nobody waits for it any more
    _hears_nothing(online, m.Fault)


def test_second_offer_replaces_the_peer_and_counts_once(
    ann_page: ConsolePeer, enrolled: Enrolled, online: RobotPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signalling, "PEERS_LIMIT", 1)
    peer_id = _watching(ann_page, enrolled, online)
    assert _offer(ann_page, enrolled, peer_id, sdp="v=2").code == ""
    assert (online.expect(m.PeerOffer).peer_id, _offer(ann_page, enrolled).code) == (peer_id, "too_many_peers")
    online.send(m.PeerAnswer(peer_id=peer_id, sdp="v=3"))
    assert ann_page.expect(m.ConsolePeerAnswer).sdp == "v=3"
    assert ann_page.ask(m.ConsolePeerClose, enrolled.robot.id, peer_id=peer_id).code == ""
    assert online.expect(m.PeerClose).peer_id == peer_id
    assert _offer(ann_page, enrolled).code == ""


def test_nobody_replaces_or_closes_another_s_peer(
    server: str, ann_page: ConsolePeer, ben: Any, enrolled: Enrolled, online: RobotPeer
) -> None:
    peer_id = _watching(ann_page, enrolled, online)
    with console_peer(server, cookie_of(ben)) as other:
        assert _offer(other, enrolled, peer_id).code == ""
        assert other.expect(m.ConsolePeerAnswer).code == "invalid_request"
        assert other.ask(m.ConsolePeerClose, enrolled.robot.id, peer_id=peer_id).code == ""
    _hears_nothing(online, m.PeerOffer, m.PeerClose)
    assert ann_page.ask(m.ConsolePeerClose, enrolled.robot.id, peer_id=peer_id).code == ""
    assert online.expect(m.PeerClose).peer_id == peer_id


BAD_OFFERS: dict[str, dict[str, Any]] = {
    "no id": {"peer_id": "peer"},
    "no view": {"views": ()},
    "many views": {"views": ("front",) * 9},
    "no sdp": {"sdp": ""},
}


@pytest.mark.parametrize("case", BAD_OFFERS)
def test_offer_that_makes_no_sense_goes_no_further(
    ann_page: ConsolePeer, enrolled: Enrolled, online: RobotPeer, case: str
) -> None:
    assert _offer(ann_page, enrolled, **BAD_OFFERS[case]).code == "invalid_request"
    _hears_nothing(online, m.PeerOffer)


def test_offer_beyond_the_size_of_a_message_ends_the_link(ann_page: ConsolePeer, enrolled: Enrolled) -> None:
    ann_page.request(m.ConsolePeerOffer, enrolled.robot.id, peer_id="", views=("front",), sdp="a" * (48 * 1024 + 1))
    assert ann_page.expect(m.Fault).code == "malformed_frame"
    assert ann_page.close_code() == 4400


def test_offer_to_a_robot_that_is_away(ann_page: ConsolePeer, enrolled: Enrolled) -> None:
    assert _offer(ann_page, enrolled).code == "robot_offline"
    assert (
        ann_page.ask(m.ConsolePeerOffer, uuid.uuid4(), peer_id=str(uuid.uuid4()), views=("a",), sdp=SDP).code
        == "not_found"
    )


def test_unanswered_offer_ends_with_a_code_and_its_late_peer_is_closed(
    ann_page: ConsolePeer, enrolled: Enrolled, online: RobotPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signalling, "PEER_ANSWER_S", 0.3)
    peer_id = str(uuid.uuid4())
    assert _offer(ann_page, enrolled, peer_id).code == ""
    answer = ann_page.expect(m.ConsolePeerAnswer)
    assert (answer.peer_id, answer.code) == (peer_id, "peer_unanswered")
    assert online.expect(m.PeerClose).peer_id == peer_id


def test_robot_that_leaves_answers_what_waits_at_once(server: str, ann_page: ConsolePeer, enrolled: Enrolled) -> None:
    with joined_robot(server, enrolled) as robot:
        robot.beat()
        robot.expect(m.StateChanged)
        assert _offer(ann_page, enrolled).code == ""
        robot.expect(m.PeerOffer)
    assert ann_page.expect(m.ConsolePeerAnswer).code == "robot_offline"


def test_peers_end_with_their_page(server: str, ann: Any, enrolled: Enrolled, online: RobotPeer) -> None:
    with console_peer(server, cookie_of(ann)) as ann_page:
        peer_ids = {_watching(ann_page, enrolled, online) for _ in range(2)}
    assert {online.expect(m.PeerClose).peer_id for _ in range(2)} == peer_ids


def test_late_end_of_a_replaced_socket_spares_the_peer_that_was_offered_anew(
    server: str, ann: Any, enrolled: Enrolled, online: RobotPeer
) -> None:
    cookie, tab = cookie_of(ann), str(uuid.uuid4())
    with console_peer(server, cookie, tab=tab) as old:
        peer_id = _watching(old, enrolled, online)
        with console_peer(server, cookie, tab=tab) as new:
            assert old.expect(m.Fault).code == "replaced"
            assert online.expect(m.PeerClose).peer_id == peer_id
            assert _offer(new, enrolled, peer_id).code == ""
            online.expect(m.PeerOffer)
            old.socket.close()
            _hears_nothing(online, m.PeerClose)


@pytest.mark.parametrize("way", ["disabled", "signed out"])
def test_peer_ends_within_5_s_of_its_session(
    ann_page: ConsolePeer, ann: Any, enrolled: Enrolled, online: RobotPeer, way: str
) -> None:
    """With all times as shipped, and a page that asks for nothing."""
    peer_id = _watching(ann_page, enrolled, online)
    if way == "disabled":
        type(ann).objects.update(is_active=False)
    else:
        Session.objects.all().delete()
    ended_s = time.monotonic()
    assert online.expect(m.PeerClose).peer_id == peer_id
    assert time.monotonic() - ended_s < 5
    assert (ann_page.expect(m.Fault).code, ann_page.close_code()) == ("unauthorised", 4401)


def test_peer_ends_when_the_robot_may_not_be_seen_any_more(
    ann_page: ConsolePeer, enrolled: Enrolled, online: RobotPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer_id = _watching(ann_page, enrolled, online)
    monkeypatch.setattr(console, "DRIVING_RECHECK_S", 0.1)
    monkeypatch.setattr(caller, "access_robots", lambda user: access_robots(user).none())
    assert online.expect(m.PeerClose).peer_id == peer_id
    assert ann_page.expect(m.ConsolePeerAnswer).code == "peer_revoked"


def test_driver_s_peer_ends_with_the_role_and_a_watcher_s_stays(
    server: str, ann_page: ConsolePeer, ben: Any, enrolled: Enrolled, online: RobotPeer
) -> None:
    """No command comes from then on; the page itself lives."""
    with console_peer(server, cookie_of(ben)) as watcher:
        _watching(watcher, enrolled, online)
        peer_id = _watching(ann_page, enrolled, online)
        _acquired(ann_page, enrolled)
        person_roles_set(user=type(ben).objects.get(username="ann"), roles=[Role.VIEWER])
        assert online.expect(m.PeerClose).peer_id == peer_id
        assert ann_page.expect(m.ConsolePeerAnswer).code == "peer_revoked"
        assert ann_page.ask(m.ConsoleRenew, enrolled.robot.id, epoch=1).code == "drive_forbidden"
        _hears_nothing(online, m.PeerClose)


def test_peer_ends_when_nobody_can_say_who_watches(
    ann_page: ConsolePeer, enrolled: Enrolled, online: RobotPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A blip is survived, an outage is not."""
    peer_id, failures = _watching(ann_page, enrolled, online), [0]
    real = console.rights_of

    def fail(*_: object) -> None:
        failures[0] += 1
        raise OperationalError("the database is away")

    monkeypatch.setattr(console, "DRIVING_RECHECK_S", 0.05)
    monkeypatch.setattr(console, "RETRY_S", 0.05)
    monkeypatch.setattr(console, "rights_of", fail)
    while failures[0] < 3:
        time.sleep(0.01)
    monkeypatch.setattr(console, "rights_of", real)
    _hears_nothing(online, m.PeerClose)
    monkeypatch.setattr(console, "UNCHECKED_S", 0.2)
    monkeypatch.setattr(console, "rights_of", fail)
    assert online.expect(m.PeerClose).peer_id == peer_id
    answer = ann_page.expect(m.ConsolePeerAnswer)
    assert (answer.peer_id, answer.code) == (peer_id, "peer_revoked")


# --- Orders -----------------------------------------------------------------------------------------------------------


def _order(ann_page: ConsolePeer, enrolled: Enrolled, epoch: int, **changes: Any) -> str:
    values = {"kind": m.OrderKind.SUCCESS, "episode_id": str(uuid.uuid4()), "reason": "lid closed", **changes}
    return ann_page.request(m.ConsoleOrder, enrolled.robot.id, epoch=epoch, **values)


def test_order_of_the_holder_is_answered_by_the_robot(
    ann_page: ConsolePeer, enrolled: Enrolled, online: RobotPeer
) -> None:
    epoch, episode_id = _acquired(ann_page, enrolled), str(uuid.uuid4())
    for code in ("", "no_such_episode"):
        asked = _order(ann_page, enrolled, epoch, episode_id=episode_id)
        order = online.expect(m.EpisodeOrder)
        assert (order.epoch, order.kind, order.episode_id) == (epoch, m.OrderKind.SUCCESS, episode_id)
        assert (order.by, order.reason) == ("ann", "lid closed")
        online.send(m.OrderDone(order_id=order.order_id, code=code, message="as it says"))
        reply = ann_page.reply(asked)
        assert (reply.code, reply.message) == (code, "as it says")


def test_only_the_holder_of_that_epoch_gives_orders(
    server: str, ann_page: ConsolePeer, ben: Any, enrolled: Enrolled, online: RobotPeer
) -> None:
    assert ann_page.reply(_order(ann_page, enrolled, 0)).code == "lease_fenced"
    epoch = _acquired(ann_page, enrolled)
    with console_peer(server, cookie_of(ben)) as other:
        assert other.reply(_order(other, enrolled, epoch)).code == "lease_fenced"
    assert ann_page.reply(_order(ann_page, enrolled, epoch + 1)).code == "lease_fenced"
    assert ann_page.reply(_order(ann_page, enrolled, epoch, episode_id="no id")).code == "invalid_request"
    _hears_nothing(online, m.EpisodeOrder)


def test_unanswered_orders_are_bounded_in_number_and_time(
    ann_page: ConsolePeer, enrolled: Enrolled, online: RobotPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signalling, "ORDER_ANSWER_S", 1.0)
    epoch = _acquired(ann_page, enrolled)
    asked = [_order(ann_page, enrolled, epoch) for _ in range(signalling.ORDERS_LIMIT + 1)]
    assert ann_page.reply(asked[-1]).code == "busy"
    assert {ann_page.reply(one).code for one in asked[:-1]} == {"order_unanswered"}
    late = online.expect(m.EpisodeOrder)
    online.send(m.OrderDone(order_id=late.order_id))  # nobody waits for it any more
    _hears_nothing(online, m.Fault)
    assert ann_page.ask(m.ConsoleRenew, enrolled.robot.id, epoch=epoch).code == ""


def test_answers_that_no_one_asked_for_harm_nobody(enrolled: Enrolled, online: RobotPeer) -> None:
    online.send(m.PeerAnswer(peer_id=str(uuid.uuid4()), sdp="v=1"))
    online.send(m.OrderDone(order_id="?"))
    _hears_nothing(online, m.Fault)
    assert Robot.objects.get().last_seen_at is not None


def test_robot_is_told_its_own_ice_servers(
    server: str, ann_page: ConsolePeer, enrolled: Enrolled, online: RobotPeer, settings: Any
) -> None:
    settings.SOP_ICE_SERVERS = (m.IceServer(urls=("turn:turn.example:3478",)),)
    settings.SOP_TURN_SECRET, settings.SOP_TURN_TTL_S = "s", 60.0
    _offer(ann_page, enrolled)
    served = online.expect(m.PeerOffer).ice_servers[0]
    expiry, _, name = served.username.partition(":")
    assert (served.urls, name) == (("turn:turn.example:3478",), f"robot-{enrolled.robot.id}")
    assert 0 < int(expiry) - time.time() <= 60 and served.credential


def test_two_robots_hear_each_only_their_own(
    server: str, ann_page: ConsolePeer, enrolled: Enrolled, online: RobotPeer
) -> None:
    other = builders.enrol()
    with joined_robot(server, other) as second:
        second.beat()
        second.expect(m.StateChanged)
        first_id, second_id = _watching(ann_page, enrolled, online), _watching(ann_page, other, second)
        assert (
            ann_page.ask(m.ConsolePeerOffer, other.robot.id, peer_id=first_id, views=("a",), sdp=SDP).code
            == "invalid_request"
        )
        assert ann_page.ask(m.ConsolePeerClose, other.robot.id, peer_id=second_id).code == ""
        assert second.expect(m.PeerClose).peer_id == second_id
        _hears_nothing(online, m.PeerClose, m.PeerOffer)
