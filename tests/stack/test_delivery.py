"""Daemons that are killed or cut off: no closed episode is lost, none is registered twice."""

from __future__ import annotations

import time

import pytest

from tests.stack.harness import System
from tests.stack.relay import Relay


def _assert_delivered_once(running: System, name: str) -> list[str]:
    """Every id in the daemon's own log is one row, and there is no row besides; returns the ids."""
    closed = running.deliver_all(name)
    assert len(closed) == len(set(closed)), "an episode was closed twice"
    assert sorted(running.registered(name)) == sorted(closed)
    return closed


def test_a_daemon_killed_mid_episode_loses_no_closed_episode(running: System) -> None:
    """SIGKILL in an episode loses that one alone; what was closed is registered once after the restart."""
    running.start_robot("killed")
    running.wait_for(lambda: len(running.closed("killed")) >= 2, what="two episodes closed")
    for _ in range(3):  # at three different moments of an episode
        closed_before = len(running.closed("killed"))
        running.kill("killed")
        assert not set(running.registered("killed")) - set(running.closed("killed"))
        running.start_robot("killed")
        running.wait_for(lambda n=closed_before: len(running.closed("killed")) > n, what="works again")  # type: ignore[misc]
        time.sleep(0.15)  # into the next episode: the moment of death is the point of the test
    closed = _assert_delivered_once(running, "killed")
    assert len(closed) >= 5
    running.processes.stop("killed")


@pytest.mark.parametrize("cut_s", [8.0, 60.0])
def test_a_daemon_cut_off_works_on_and_delivers_later(running: System, cut_s: float) -> None:
    """With the network dead for longer than the silence limit, and for 60 s, episodes go on and arrive once."""
    name = f"cut-{cut_s:.0f}"
    with Relay(running.stack.port) as relay:
        running.start_robot(name, port=relay.port)
        running.wait_for(lambda: len(running.registered(name)) >= 1, what="first episode registered")
        relay.cut()
        closed_before = set(running.closed(name))  # of these some may be on their way; no later one can be
        time.sleep(cut_s)
        closed_in_the_cut = set(running.closed(name)) - closed_before
        assert closed_in_the_cut, "the robot stopped working"
        assert not closed_in_the_cut & set(running.registered(name)), "the relay leaks"
        relay.mend()
        running.wait_for(
            lambda: closed_in_the_cut <= set(running.registered(name)), what="delivered after the cut", timeout_s=90
        )
        _assert_delivered_once(running, name)
        running.processes.stop(name)


def test_a_killed_server_loses_no_closed_episode(running: System) -> None:
    """SIGKILL of the server in the middle of uploads: robots work on, reconnect and deliver once."""
    from sop_web.demo.run import wait_until_serving
    from sop_web.demo.stack import start_server

    running.start_robot("patient")
    running.wait_for(lambda: len(running.registered("patient")) >= 1, what="first episode registered")
    running.kill("web")
    closed = len(running.closed("patient"))
    running.wait_for(lambda: len(running.closed("patient")) > closed, what="works without a server")
    start_server(running.processes, running.stack)
    wait_until_serving(running.stack.url, running.processes)
    running.wait_for(lambda: len(running.registered("patient")) > closed, what="delivered to the new server")
    _assert_delivered_once(running, "patient")
    running.processes.stop("patient")
