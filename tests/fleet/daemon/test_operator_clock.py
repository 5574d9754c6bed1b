"""The operator's clock: what the robot believes of it, and that a bad network cannot move it far."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.daemon.operator_clock import OPEN_PROBES, OperatorClock
from fleet.protocol.teleop import ClockEcho

AHEAD_S = 1000.0  # the browser's clock minus the robot's


def _ask(clock: OperatorClock, *, at_s: float, there_s: float, back_s: float) -> None:
    probe = clock.probe(now_s=at_s)
    echo = ClockEcho(probe=probe.probe, clock_ms=(at_s + there_s + AHEAD_S) * 1e3)
    clock.answer(echo, now_s=at_s + there_s + back_s)


def test_nothing_is_known_before_the_first_answer() -> None:
    clock = OperatorClock(window=10)
    clock.probe(now_s=1.0)
    assert (clock.offset_s, clock.round_trip_s, clock.robot_time(5.0)) == (None, None, None)


def test_an_even_way_gives_the_exact_offset() -> None:
    clock = OperatorClock(window=10)
    _ask(clock, at_s=5.0, there_s=0.04, back_s=0.04)
    assert clock.round_trip_s == pytest.approx(0.08)
    assert clock.robot_time((AHEAD_S + 7.0) * 1e3) == pytest.approx(7.0)


@given(st.lists(st.tuples(st.floats(0.001, 3.0), st.floats(0.001, 3.0)), min_size=1, max_size=30))
def test_the_error_is_at_most_half_the_shortest_round_trip(ways: list[tuple[float, float]]) -> None:
    clock = OperatorClock(window=100)
    for index, (there_s, back_s) in enumerate(ways):
        _ask(clock, at_s=10.0 * index, there_s=there_s, back_s=back_s)
    shortest_s = min(there_s + back_s for there_s, back_s in ways)
    assert clock.offset_s is not None
    assert abs(clock.offset_s - AHEAD_S) <= shortest_s / 2 + 1e-6


def test_a_lag_spike_changes_nothing_and_an_old_answer_is_forgotten() -> None:
    clock = OperatorClock(window=3)
    _ask(clock, at_s=0.0, there_s=0.01, back_s=0.01)
    _ask(clock, at_s=1.0, there_s=2.0, back_s=0.01)
    assert clock.offset_s == pytest.approx(AHEAD_S)
    for second in (4.0, 5.0, 6.0):
        _ask(clock, at_s=second, there_s=0.2, back_s=0.1)
    assert clock.round_trip_s == pytest.approx(0.3)


def test_an_answer_counts_once_and_only_if_it_was_asked_for() -> None:
    clock = OperatorClock(window=10)
    probe = clock.probe(now_s=0.0)
    clock.answer(ClockEcho(probe=99, clock_ms=0.0), now_s=0.1)
    assert clock.offset_s is None
    clock.answer(ClockEcho(probe=probe.probe, clock_ms=50.0), now_s=0.1)
    clock.answer(ClockEcho(probe=probe.probe, clock_ms=9_000.0), now_s=0.1)
    assert clock.offset_s == pytest.approx(0.0)


def test_questions_without_an_answer_are_bounded() -> None:
    clock = OperatorClock(window=10)
    first = clock.probe(now_s=0.0)
    for _ in range(OPEN_PROBES):
        clock.probe(now_s=1.0)
    clock.answer(ClockEcho(probe=first.probe, clock_ms=0.0), now_s=2.0)
    assert clock.offset_s is None
