"""The control loop with a fake clock: rate and overruns, the policy, what ends an episode."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fleet.daemon.clock import Pacer, VirtualClock
from fleet.daemon.config import ControlConfig, ThumbnailConfig
from fleet.daemon.drivers.base import DriverError
from fleet.daemon.status import StatusBoard
from fleet.protocol.policy import ActionChunk, Observation
from fleet.protocol.recording import Outcome
from tests.fleet.daemon.loop_made import runner, spec
from tests.fleet.daemon.point import ConstantPolicy, PointDriver


class SlowClock(VirtualClock):
    """A clock that also passes while work is done: `work_s` at the given reads of `wall_ns` (one a step)."""

    def __init__(self, work_s: dict[int, float]) -> None:
        super().__init__()
        self.work_s = work_s
        self.reads = -1

    def wall_ns(self) -> int:
        self.reads += 1
        self._now_s += self.work_s.get(self.reads, 0.0)
        return super().wall_ns()


# --- Rate ------------------------------------------------------------------------------------------------------------


def test_steps_begin_on_absolute_deadlines() -> None:
    """Work of 30 ms in every step does not stretch a period of 100 ms."""
    clock = SlowClock(dict.fromkeys(range(1, 100), 0.03))
    recording = runner(clock=clock).run(spec(), ConstantPolicy())
    assert np.allclose(np.diff(recording.arrays["timestamp_s"]), 0.1)
    assert recording.arrays["period_ms"][0] == 0
    assert np.allclose(recording.arrays["period_ms"][1:], 100, atol=0.01)


def test_an_overrun_is_counted_once_and_not_caught_up() -> None:
    """One step of 250 ms: one overrun, the next period is a whole one, the worst period is reported."""
    clock = SlowClock({3: 0.25})
    loop = runner(clock=clock)
    recording = loop.run(spec(), ConstantPolicy())
    stats = loop.pacer.stats()
    assert stats.overruns == 1
    assert stats.worst_period_ms == pytest.approx(250)
    periods = np.diff(recording.arrays["timestamp_s"])
    assert periods.min() == pytest.approx(0.1) and periods.max() == pytest.approx(0.25)


def test_speed_factor_scales_the_period_and_zero_does_not_wait() -> None:
    assert ControlConfig(control_rate_hz=10, speed_factor=4).period_s == pytest.approx(0.025)
    clock = VirtualClock()
    pacer = Pacer(clock, period_s=ControlConfig(speed_factor=0).period_s)
    pacer.start()
    for _ in range(5):
        pacer.wait()
    assert clock.monotonic() == 0.0
    assert pacer.stats().overruns == 0


# --- Policy ----------------------------------------------------------------------------------------------------------


def test_chunks_are_executed_with_a_receding_horizon() -> None:
    """Three of six actions are executed before the policy is asked again; instruction and seed reach it."""
    policy = ConstantPolicy()
    recording = runner().run(spec(seed=11), policy)
    assert policy.resets == [("reach the wall", 11)]
    assert policy.inferences == -(-recording.steps // 3)
    assert recording.outcome is Outcome.SUCCESS
    assert recording.arrays["proposed"].all()


def test_equal_seeds_give_equal_recordings() -> None:
    first, second = (runner().run(spec(seed=5), ConstantPolicy()) for _ in range(2))
    for name, values in first.arrays.items():
        if name != "inference_ms":  # measured, not simulated
            assert np.array_equal(values, second.arrays[name]), name


def test_a_policy_that_answers_nan_holds_and_then_aborts() -> None:
    """Nothing non-finite reaches driver or recording; after the limit the episode is aborted."""
    policy = ConstantPolicy()
    policy.action = np.array([np.nan, 0.0], np.float32)
    driver = PointDriver()
    recording = runner(driver, control=ControlConfig(nonfinite_limit=4)).run(spec(), policy)
    assert recording.outcome is Outcome.ABORTED
    assert recording.steps == 4
    assert not recording.arrays["proposed"].any()
    assert all(not action.any() for action in driver.applied)


def test_a_policy_that_raises_does_not_end_the_loop() -> None:
    class Broken(ConstantPolicy):
        def infer(self, observation: Observation) -> ActionChunk:
            if self.inferences == 1:
                self.inferences += 1
                raise RuntimeError("out of memory")
            return super().infer(observation)

    recording = runner().run(spec(), Broken())
    assert recording.outcome is Outcome.SUCCESS
    assert (~recording.arrays["proposed"]).sum() == 1


def test_running_out_of_steps_is_a_timeout() -> None:
    recording = runner().run(spec(max_steps=7), ConstantPolicy(dx=0.0))
    assert (recording.outcome, recording.steps) == (Outcome.TIMEOUT, 7)


def test_a_failing_driver_aborts_with_what_was_recorded() -> None:
    driver = PointDriver(fail_at=6)
    recording = runner(driver).run(spec(), ConstantPolicy())
    assert recording.outcome is Outcome.ABORTED
    assert recording.steps == 5
    assert "fell off" in recording.outcome_reason


def test_a_camera_for_people_that_fails_costs_no_episode() -> None:
    class Blind(PointDriver):
        asked = 0

        def snapshot(self, width: int, height: int) -> Any:
            self.asked += 1
            raise DriverError("no light")

    driver = Blind()
    loop = runner(driver, board=StatusBoard(), thumbnail=ThumbnailConfig(period_s=1.0))
    assert loop.run(spec(), ConstantPolicy(dx=0.8)).outcome is Outcome.SUCCESS
    assert driver.asked == 1  # and it is not asked at every step from then on


def test_a_driver_that_fails_at_the_first_step_raises() -> None:
    with pytest.raises(DriverError, match="fell off"):
        runner(PointDriver(fail_at=1)).run(spec(), ConstantPolicy())
