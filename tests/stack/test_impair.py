"""The bad network is as bad as it says: what the safety tests rest on."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from tests.stack.impair import Impairment, Profile, host_candidate, through, without_candidates

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
def browser() -> Iterator[socket.socket]:
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


def test_datagrams_pass_both_ways(robot: socket.socket, browser: socket.socket) -> None:
    with Impairment(robot.getsockname()) as path:
        browser.sendto(b"1", path.address)
        data, sender = robot.recvfrom(100)
        robot.sendto(b"2", sender)
        assert (data, browser.recv(100)) == (b"1", b"2")


def test_delay_and_loss_are_what_was_asked_for(robot: socket.socket, browser: socket.socket) -> None:
    with Impairment(robot.getsockname(), profile=Profile("x", delay_ms=80, loss=0.5), seed=1) as path:
        began = time.monotonic()
        for number in range(200):
            browser.sendto(b"%d" % number, path.address)
        robot.settimeout(2)
        robot.recv(100)
        assert time.monotonic() - began >= 0.08
        assert 60 <= len(_received(robot, within_s=0.5)) <= 140


def test_a_cut_path_drops_and_a_mended_one_passes(robot: socket.socket, browser: socket.socket) -> None:
    with Impairment(robot.getsockname()) as path:
        path.cut()
        browser.sendto(b"1", path.address)
        assert _received(robot, within_s=0.2) == []
        path.mend()
        browser.sendto(b"2", path.address)
        assert _received(robot, within_s=0.2) == [2]


def test_a_spike_keeps_everything_and_flushes_it_in_order(robot: socket.socket, browser: socket.socket) -> None:
    with Impairment(robot.getsockname()) as path:
        path.spike(0.4)
        began = time.monotonic()
        for number in range(20):
            browser.sendto(b"%d" % number, path.address)
        robot.settimeout(2)
        first = int(robot.recv(100))
        assert time.monotonic() - began >= 0.39
        assert [first, *_received(robot, within_s=0.2)] == list(range(20))


def test_an_answer_leads_through_the_relay_alone() -> None:
    changed = through(ANSWER, ("10.0.0.9", 7))
    assert host_candidate(ANSWER) == ("10.0.0.2", 50002)
    assert host_candidate(changed) == ("10.0.0.9", 7)
    assert changed.count("a=candidate:") == 1
    assert "candidate:" not in without_candidates(ANSWER)
    with pytest.raises(ValueError, match="no IPv4"):
        host_candidate(without_candidates(ANSWER))
