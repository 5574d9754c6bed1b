"""The robot's own gate for a person's commands: nothing stale, reordered, fenced, senseless or unarmed passes."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.daemon.command_gate import CommandGate, HeldLease, RateBound, speed_cap
from fleet.daemon.config import TeleopConfig
from fleet.daemon.inbox import Command
from fleet.daemon.operator_clock import OperatorClock
from fleet.protocol.teleop import ClockEcho, Drive

CONFIG = TeleopConfig()
LEASE = HeldLease(epoch=3, connection="tab-1")
AHEAD_S = 500.0
TIMEOUT_S = 0.25
REST = (0.0, 0.0, 1.0)  # dx, dy, gripper
MOVE = (0.5, 0.0, 1.0)


@dataclass
class Bench:
    """A gate with a measured clock, and what a browser would send it."""

    gate: CommandGate = field(
        default_factory=lambda: CommandGate(
            CONFIG, kept=(False, False, True), timeout_s=TIMEOUT_S, connection=LEASE.connection
        )
    )
    clock: OperatorClock = field(default_factory=lambda: OperatorClock(window=10))
    sequence: int = 0

    def __post_init__(self) -> None:
        probe = self.clock.probe(now_s=0.0)
        self.clock.answer(ClockEcho(probe=probe.probe, clock_ms=(AHEAD_S + 0.005) * 1e3), now_s=0.01)

    def drive(self, *, sent_s: float, axes: tuple[float, ...] = MOVE, epoch: int = LEASE.epoch) -> Drive:
        self.sequence += 1
        return Drive(epoch=epoch, seq=self.sequence, sent_ms=(AHEAD_S + sent_s) * 1e3, axes=axes, video_age_ms=40.0)

    def decide(self, drive: Drive, *, at_s: float, lease: HeldLease | None = LEASE) -> Command | None:
        return self.gate.decide(drive, lease=lease, clock=self.clock, now_s=at_s)

    def arm(self, *, at_s: float) -> None:
        assert self.decide(self.drive(sent_s=at_s, axes=REST), at_s=at_s) is not None


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_clock_that_was_measured_over_a_lag_spike_alone_is_not_believed(bench: Bench) -> None:
    """Its offset may be wrong by half the round trip: here a command of 0.9 s ago would look fresh."""
    bench.clock = OperatorClock(window=10)
    spike = bench.clock.probe(now_s=0.0)
    bench.clock.answer(ClockEcho(probe=spike.probe, clock_ms=(AHEAD_S + 0.01) * 1e3), now_s=1.8)
    assert bench.decide(bench.drive(sent_s=1.0, axes=REST), at_s=1.9) is None
    assert bench.gate.last_refusal == "clock_unknown"
    quick = bench.clock.probe(now_s=2.0)
    bench.clock.answer(ClockEcho(probe=quick.probe, clock_ms=(AHEAD_S + 2.01) * 1e3), now_s=2.02)
    assert bench.decide(bench.drive(sent_s=2.0, axes=REST), at_s=2.05) is not None


def test_an_armed_driver_moves_the_robot(bench: Bench) -> None:
    bench.arm(at_s=1.0)
    command = bench.decide(bench.drive(sent_s=1.02), at_s=1.05)
    assert command is not None
    assert command.action.tolist() == pytest.approx(MOVE)
    assert command.delay_s == pytest.approx(0.03)
    assert command.video_seen_s == pytest.approx(1.02 - 0.04)


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("bad_axes", {"axes": (0.1, 0.2)}),
        ("bad_axes", {"axes": (float("nan"), 0.0, 0.0)}),
        ("bad_axes", {"axes": (1.5, 0.0, 0.0)}),
        ("bad_axes", {"sent_ms": float("inf")}),
        ("bad_axes", {"video_age_ms": float("nan")}),
        ("fenced", {"epoch": 2}),
        ("fenced", {"epoch": 4}),
        ("reordered", {"seq": 1}),
        ("late", {"sent_ms": (AHEAD_S + 1.1 - CONFIG.late_s - 0.01) * 1e3}),
        ("future", {"sent_ms": (AHEAD_S + 1.1 + CONFIG.future_s + 0.01) * 1e3}),
    ],
    ids=str,
)
def test_what_is_refused_is_counted_by_its_code(bench: Bench, code: str, change: dict[str, object]) -> None:
    bench.arm(at_s=1.0)
    drive = msgspec.structs.replace(bench.drive(sent_s=1.1), **change)
    assert bench.decide(drive, at_s=1.1) is None
    assert (bench.gate.last_refusal, bench.gate.refused) == (code, {code: 1})


@pytest.mark.parametrize("lease", [None, HeldLease(epoch=3, connection="tab-2"), HeldLease(epoch=3, connection="")])
def test_only_the_console_that_holds_the_lease_drives(bench: Bench, lease: HeldLease | None) -> None:
    assert bench.decide(bench.drive(sent_s=1.0, axes=REST), at_s=1.0, lease=lease) is None
    assert bench.gate.last_refusal == "not_the_driver"


def test_a_gate_without_a_connection_never_drives() -> None:
    bench = Bench(gate=CommandGate(CONFIG, kept=(False,) * 3, timeout_s=TIMEOUT_S, connection=""))
    assert bench.decide(bench.drive(sent_s=1.0), at_s=1.0, lease=HeldLease(epoch=3, connection="")) is None


def test_nothing_moves_before_the_clock_is_measured(bench: Bench) -> None:
    bench.clock = OperatorClock(window=10)
    assert bench.decide(bench.drive(sent_s=1.0, axes=REST), at_s=1.0) is None
    assert bench.gate.last_refusal == "clock_unknown"


def test_a_held_key_moves_nothing_until_the_input_was_at_rest(bench: Bench) -> None:
    assert bench.decide(bench.drive(sent_s=1.0), at_s=1.0) is None
    assert bench.gate.last_refusal == "not_neutral"
    bench.arm(at_s=1.1)
    assert bench.decide(bench.drive(sent_s=1.15), at_s=1.15) is not None


def test_a_new_lease_and_a_silence_must_be_armed_anew(bench: Bench) -> None:
    bench.arm(at_s=1.0)
    newer = HeldLease(epoch=4, connection=LEASE.connection)
    assert bench.decide(bench.drive(sent_s=1.1, epoch=4), at_s=1.1, lease=newer) is None
    assert bench.gate.last_refusal == "not_neutral"
    bench.arm(at_s=2.0)
    assert bench.decide(bench.drive(sent_s=2.0 + TIMEOUT_S + 0.1), at_s=2.0 + TIMEOUT_S + 0.1) is None
    assert bench.gate.last_refusal == "not_neutral"


def test_the_kept_axis_needs_no_rest(bench: Bench) -> None:
    assert bench.decide(bench.drive(sent_s=1.0, axes=(0.0, 0.0, -1.0)), at_s=1.0) is not None


def test_a_thousand_messages_a_second_are_cut_to_the_bound(bench: Bench) -> None:
    accepted = 0
    for index in range(1000):
        at_s = 1.0 + index / 1000
        accepted += bench.decide(bench.drive(sent_s=at_s, axes=REST), at_s=at_s) is not None
    assert CONFIG.rate_hz * 0.9 <= accepted <= CONFIG.rate_hz + CONFIG.rate_burst
    assert bench.gate.refused["rate"] == 1000 - accepted


def test_the_rate_bound_recovers() -> None:
    bound = RateBound(rate_hz=10.0, burst=2)
    assert [bound.allows(now_s=0.0) for _ in range(3)] == [True, True, False]
    assert bound.allows(now_s=0.1)
    assert not bound.allows(now_s=0.1)


@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.floats(0.0, 3.0), st.booleans()), min_size=1, max_size=60
    )  # which of the commands sent every 25 ms, how long it was on its way, at rest or moving
)
def test_whatever_the_network_does_no_old_command_passes(arrivals: list[tuple[int, float, bool]]) -> None:
    """Reordered, repeated, delayed and flushed: each command that passes is younger than the bound and the newest."""
    bench = Bench()
    newest = 0
    events = sorted((1.0 + index * 0.025 + delay_s, index, is_rest) for index, delay_s, is_rest in arrivals)
    for at_s, index, is_rest in events:
        sent_s = 1.0 + index * 0.025
        drive = Drive(
            epoch=LEASE.epoch,
            seq=index + 1,
            sent_ms=(AHEAD_S + sent_s) * 1e3,
            axes=REST if is_rest else MOVE,
            video_age_ms=0.0,
        )
        command = bench.decide(drive, at_s=at_s)
        if command is not None:
            assert at_s - sent_s <= CONFIG.late_s + 1e-6
            assert index + 1 > newest
        newest = max(newest, index + 1)


def test_after_a_lag_spike_nothing_of_it_moves_the_robot(bench: Bench) -> None:
    """Two seconds are held back and flushed at once; only fresh commands, first one at rest, drive again."""
    bench.arm(at_s=1.0)
    held = [bench.drive(sent_s=1.0 + k * 0.025) for k in range(1, 80)]
    flushed = [bench.decide(drive, at_s=3.05 + k * 1e-4) for k, drive in enumerate(held)]
    assert flushed == [None] * len(held)
    assert bench.decide(bench.drive(sent_s=3.1), at_s=3.6) is None
    assert bench.decide(bench.drive(sent_s=3.6), at_s=3.61) is None, "the key is still held: not at rest"
    bench.arm(at_s=3.7)
    assert bench.decide(bench.drive(sent_s=3.72), at_s=3.73) is not None


def _command(*, delay_s: float = 0.02, video_seen_s: float = 10.0) -> Command:
    return Command(3, np.zeros(3, np.float32), received_s=10.0, delay_s=delay_s, video_seen_s=video_seen_s)


@pytest.mark.parametrize(
    ("delay_s", "share", "limits"),
    [(0.02, 1.0, ()), (0.1, 1.0, ()), (0.15, 0.65, ("delay",)), (0.2, 0.3, ("delay",)), (9.0, 0.3, ("delay",))],
)
def test_speed_falls_with_the_delay(delay_s: float, share: float, limits: tuple[str, ...]) -> None:
    cap = speed_cap(CONFIG, _command(delay_s=delay_s), now_s=10.0)
    assert (cap.share, cap.limits) == (pytest.approx(share), limits)


@pytest.mark.parametrize(
    ("age_s", "share"), [(0.1, 1.0), (0.29, 1.0), (0.31, 0.3), (0.69, 0.3), (0.71, 0.0), (60.0, 0.0)]
)
def test_speed_falls_with_the_age_of_the_picture(age_s: float, share: float) -> None:
    seen = speed_cap(CONFIG, _command(video_seen_s=100.0 - age_s), now_s=100.0)
    assert (seen.share, seen.limits) == (share, ("video",) if share < 1 else ())


@given(st.floats(0, 5), st.floats(0, 5))
def test_the_cap_never_rises_with_age(delay_s: float, age_s: float) -> None:
    def share(delay_s: float, age_s: float) -> float:
        command = _command(delay_s=delay_s, video_seen_s=100.0 - age_s)
        return speed_cap(CONFIG, command, now_s=100.0).share

    assert 0.0 <= share(delay_s + 0.05, age_s + 0.05) <= share(delay_s, age_s) <= 1.0
