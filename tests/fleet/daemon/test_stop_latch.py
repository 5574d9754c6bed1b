"""The stop latch: which stops are in force, after copies, out of order, and over a restart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fleet.daemon.inbox import ControlInbox
from fleet.daemon.state_dir import STOPS_FILE, StateDir
from fleet.daemon.stop_latch import CLEARED, LATCHED, StopLatch
from fleet.daemon.stops import Stops
from fleet.protocol.messages import DesiredState, StopInfo
from tests.fleet.daemon.point import PointDriver


def info(name: str) -> StopInfo:
    return StopInfo(stop_id=name, by="ana", at_ns=1)


def test_a_stop_is_in_force_until_it_is_cleared_by_name() -> None:
    latch = StopLatch()
    assert latch.newest is None
    assert latch.stop(info("a")) and not latch.stop(info("a"))  # the same stop by another way
    assert not latch.clear("unknown")
    assert latch.newest == info("a") and latch.count == 1
    assert latch.clear("a")
    assert latch.newest is None


def test_clearing_what_one_saw_leaves_a_later_stop_in_force() -> None:
    latch = StopLatch()
    for name in "abc":
        latch.stop(info(name))
    assert latch.clear("b")
    assert latch.newest == info("c")
    assert not latch.stop(info("a")), "a copy that took the longer way stopped the robot again"
    assert latch.clear("c") and latch.newest is None


def test_a_stop_that_arrives_after_its_clearing_never_stops() -> None:
    latch = StopLatch()
    latch.clear("a")
    assert not latch.stop(info("a"))


def test_a_stop_that_the_server_heard_of_last_is_not_cleared_with_another(tmp_path: Path) -> None:
    """The robot heard "b" over a data channel before "a", the server "a" before "b". Who clears "a" never saw "b"."""
    inbox, state = ControlInbox(), StateDir(tmp_path)
    stops = Stops(inbox, state)
    stops.stop(info("b"))
    stops.stop(info("a"))
    stops.follow(desired(stop=info("b"), cleared="a"))
    assert stops.newest == info("b") and inbox.take().stop == info("b")
    stops.stop(info("a"))
    assert stops.newest == info("b"), "a copy of what was cleared by name stops nobody"
    stops.follow(desired(stop=None, cleared="b"))
    assert stops.newest is None
    state.close()


def test_who_clears_at_the_robot_clears_whatever_the_server_says(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    stops = Stops(ControlInbox(), state)
    for name in "ab":
        stops.stop(info(name))
    stops.clear_by_signal()
    for name in "ab":
        stops.follow(desired(stop=info(name), cleared=None))
    assert stops.newest is None
    again = Stops(ControlInbox(), state)
    again.follow(desired(stop=info("a"), cleared=None))
    assert again.newest is None, "also over a restart"
    state.close()


def test_memory_is_bounded() -> None:
    latch = StopLatch()
    for number in range(1000):
        latch.stop(info(str(number)))
        latch.clear(f"other {number}")
    assert len(latch.state.stops) == LATCHED and len(latch.state.cleared) == CLEARED
    assert latch.newest == info("999")
    latch.clear("999")
    assert latch.newest is None


def desired(*, stop: StopInfo | None, cleared: str | None) -> DesiredState:
    return DesiredState(
        revision=1, robot_id="r", robot_name="r", is_paused=False, assignments=(), policy=None, lease=None,
        stop=stop, cleared_stop_id=cleared,
    )  # fmt: skip


def test_the_latch_outlives_the_daemon(tmp_path: Path) -> None:
    first = StateDir(tmp_path)
    stops = Stops(ControlInbox(), first)
    stops.follow(desired(stop=info("a"), cleared=None))
    first.close()
    inbox, second = ControlInbox(), StateDir(tmp_path)
    again = Stops(inbox, second)
    assert again.newest == info("a")
    assert inbox.take().stop == info("a")
    again.follow(desired(stop=None, cleared="a"))
    assert inbox.take().stop is None
    second.close()
    third = StateDir(tmp_path)
    assert Stops(ControlInbox(), third).newest is None
    third.close()


@pytest.mark.parametrize("content", [b"", b"{", b'{"stops": 3}'])
def test_a_damaged_memory_stops_the_robot(tmp_path: Path, content: bytes) -> None:
    state = StateDir(tmp_path)
    (tmp_path / STOPS_FILE).write_bytes(content)
    stops = Stops(ControlInbox(), state)
    assert stops.newest is not None and "damaged" in stops.newest.reason
    stops.clear_by_signal()
    assert Stops(ControlInbox(), state).newest is None
    state.close()


class _Arm(PointDriver):
    """Its reset moves something: it asks whether somebody stopped it."""

    def watch_stop(self, is_stopped: Callable[[], bool]) -> None:
        self.is_stopped = is_stopped


def test_a_driver_that_moves_in_reset_hears_of_a_stop_and_of_its_end(tmp_path: Path) -> None:
    arm, state = _Arm(), StateDir(tmp_path)
    stops = Stops(ControlInbox(), state, arm)
    heard = [arm.is_stopped()]
    stops.stop_by_signal()
    heard.append(arm.is_stopped())
    stops.clear_by_signal()
    heard.append(arm.is_stopped())
    state.close()
    assert heard == [False, True, False]
