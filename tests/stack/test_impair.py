"""The bad network is as bad as it says: what the safety tests rest on."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from tests.stack.impair import Impairment, Profile, own_address, through

ANSWER = "\r\n".join(
    (
        "v=0",
        "m=video 9 UDP/TLS/RTP/SAVPF 97",
        "a=candidate:abc 1 udp 2130706431 fd00::1 50001 typ host",
        "a=candidate:def 1 udp 2130706431 10.0.0.2 50002 typ host",
        "a=candidate:ghi 1 udp 2130706431 10.1.0.2 50003 typ host",
        "a=end-of-candidates",
        "",
    )
)


@pytest.fixture
def robot() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        end.bind(("127.0.0.1", 0))
        end.settimeout(2)
        yield end


@pytest.fixture
def operator() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        end.bind(("127.0.0.1", 0))
        end.settimeout(2)
        yield end


def _received(end: socket.socket, *, within_s: float) -> list[int]:
    """Return the numbers that arrive until nothing has come for `within_s`."""
    found = []
    end.settimeout(within_s)
    try:
        while True:
            found.append(int(end.recv(100)))
    except TimeoutError:
        return found


def test_datagrams_pass_both_ways(robot: socket.socket, operator: socket.socket) -> None:
    with Impairment() as path:
        robot.sendto(b"0", path.robot_side)  # how the path learns where the robot is
        operator.sendto(b"1", path.browser_side)
        data, sender = robot.recvfrom(100)
        robot.sendto(b"2", sender)
        assert (data, _received(operator, within_s=0.2)[-1]) == (b"1", 2)


def test_delay_and_loss_are_what_was_asked_for(robot: socket.socket, operator: socket.socket) -> None:
    with Impairment(profile=Profile("x", delay_ms=80, loss=0.5), seed=1) as path:
        robot.sendto(b"0", path.robot_side)  # how the path learns where the robot is
        began = time.monotonic()
        for number in range(200):
            operator.sendto(b"%d" % number, path.browser_side)
        robot.settimeout(2)
        robot.recv(100)
        assert time.monotonic() - began >= 0.08
        assert 60 <= len(_received(robot, within_s=0.5)) <= 140


def test_a_cut_path_drops_and_a_mended_one_passes(robot: socket.socket, operator: socket.socket) -> None:
    with Impairment() as path:
        robot.sendto(b"0", path.robot_side)  # how the path learns where the robot is
        path.cut()
        operator.sendto(b"1", path.browser_side)
        assert _received(robot, within_s=0.2) == []
        path.mend()
        operator.sendto(b"2", path.browser_side)
        assert _received(robot, within_s=0.2) == [2]


def test_a_frozen_path_passes_all_but_media(robot: socket.socket, operator: socket.socket) -> None:
    with Impairment() as path:
        robot.sendto(b"0", path.robot_side)  # how the path learns where the robot is
        path.freeze()
        for datagram in (b"\x80 rtp", b"\xbf rtcp", b"7"):
            operator.sendto(datagram, path.browser_side)
        assert _received(robot, within_s=0.2) == [7]


def test_a_spike_keeps_everything_and_flushes_it_in_order(robot: socket.socket, operator: socket.socket) -> None:
    with Impairment() as path:
        robot.sendto(b"0", path.robot_side)  # how the path learns where the robot is
        path.spike(0.4)
        began = time.monotonic()
        for number in range(20):
            operator.sendto(b"%d" % number, path.browser_side)
        robot.settimeout(2)
        first = int(robot.recv(100))
        assert time.monotonic() - began >= 0.39
        assert [first, *_received(robot, within_s=0.2)] == list(range(20))


def test_a_description_leads_through_the_relay_alone() -> None:
    changed = through(ANSWER, ("10.0.0.9", 7))
    assert [line for line in changed.split("\r\n") if "candidate:" in line] == [
        "a=candidate:abc 1 udp 2130706431 10.0.0.9 7 typ host"
    ]
    assert changed.endswith("a=end-of-candidates\r\n")
    with pytest.raises(ValueError, match="no UDP host"):
        through("v=0\r\na=candidate:1 1 tcp 1 10.0.0.2 9 typ host tcptype active\r\n", ("10.0.0.9", 7))


def test_the_own_address_can_be_bound() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        end.bind((own_address(), 0))
