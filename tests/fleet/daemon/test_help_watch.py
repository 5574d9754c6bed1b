"""Asking for help in the real control loop: what is shown on the board, and what measuring doubt may cost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fleet.daemon.clock import VirtualClock
from fleet.daemon.config import ConfigError, ControlConfig, SafetyConfig, load_config
from fleet.daemon.control_loop import EpisodeRunner
from fleet.daemon.help_gate import HelpConfig
from fleet.daemon.inbox import ControlInbox, Refusal
from fleet.daemon.status import StatusBoard
from fleet.protocol.messages import HelpReason, HelpSignal, RobotStatus, StopInfo
from fleet.protocol.policy import Observation
from tests.fleet.daemon.point import ConstantPolicy, PointDriver, ScriptedSupervisor
from tests.fleet.daemon.test_control_loop import spec

ASKING = HelpConfig(stalled_s=1.0, late_share=1.0)


class Board(StatusBoard):
    """Remembers what was asked for at every step."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[HelpSignal | None] = []

    def update(self, **changes: Any) -> None:
        super().update(**changes)
        if "help" in changes:
            self.shown.append(changes["help"])

    @property
    def reasons(self) -> set[HelpReason]:
        return {signal.reason for signal in self.shown if signal is not None}


class DoubtingPolicy(ConstantPolicy):
    """Doubts as told; each measurement takes `cost_s` of the clock."""

    def __init__(self, clock: VirtualClock, *, doubt: float = 0.0, cost_s: float = 0.0, **values: float) -> None:
        super().__init__(**values)
        self.clock = clock
        self.doubt = doubt
        self.cost_s = cost_s
        self.asked_s: list[float] = []

    def disagreement(self, observation: Observation, *, samples: int) -> float:
        assert samples == 8 and observation.state.shape == (2,)
        self.asked_s.append(self.clock.monotonic())
        self.clock._now_s += self.cost_s
        return self.doubt


class Refusing:
    """Nobody grants a lease."""

    def request(self, reason: str) -> bool:
        return True

    def take_reply(self) -> Refusal:
        return Refusal("lease_held", "'ann' drives this robot")

    def renew(self, epoch: int) -> None: ...

    def release(self, epoch: int, reason: str) -> None: ...


def run(policy: Any, *, clock: VirtualClock | None = None, board: Board | None = None, **parts: Any) -> Any:
    parts.setdefault("asking", ASKING)
    loop = EpisodeRunner(
        driver=PointDriver(),
        control=parts.pop("control", ControlConfig()),
        safety=parts.pop("safety", SafetyConfig()),
        clock=clock or VirtualClock(),
        board=board,
        **parts,
    )
    return loop, loop.run(spec(), policy)


def test_a_policy_that_stands_still_asks_and_one_that_moves_does_not() -> None:
    still, moving = Board(), Board()
    run(ConstantPolicy(dx=0.0, gripper=0.0), board=still)
    run(ConstantPolicy(dx=0.5), board=moving)
    assert still.reasons == {HelpReason.NO_PROGRESS}
    assert still.shown.index(next(filter(None, still.shown))) in (10, 11)  # 1 s at 10 Hz, but for rounding
    assert moving.reasons == set()


def test_a_runner_without_configuration_never_asks() -> None:
    """As in offline rollouts, which nobody watches."""
    board = Board()
    run(ConstantPolicy(dx=0.0), board=board, asking=None)
    assert board.reasons == set()


def test_doubt_is_measured_once_a_period_and_asks() -> None:
    clock, board = VirtualClock(), Board()
    policy = DoubtingPolicy(clock, doubt=0.3, dx=0.2)
    run(policy, clock=clock, board=board, asking=replace(ASKING, doubt=0.1, doubt_period_s=1.0))
    between_s = np.diff(policy.asked_s)
    assert between_s.min() > 0.99 and between_s.max() < 1.11  # at the first step after it is due
    assert len(policy.asked_s) == 6
    assert board.reasons == {HelpReason.UNCERTAIN}


def test_measuring_doubt_changes_nothing_that_the_robot_does() -> None:
    clock = VirtualClock()
    _, asked = run(DoubtingPolicy(clock, dx=0.3), clock=clock)
    _, unasked = run(ConstantPolicy(dx=0.3))
    assert np.array_equal(asked.arrays["action"], unasked.arrays["action"])
    assert np.array_equal(asked.arrays["timestamp_s"], unasked.arrays["timestamp_s"])


def test_a_slow_measurement_costs_one_deadline_and_is_not_repeated() -> None:
    """Given a policy that takes 250 ms of a period of 100 ms to doubt, the loop overruns once."""
    clock = VirtualClock()
    policy = DoubtingPolicy(clock, cost_s=0.25, dx=0.1)
    loop, _ = run(policy, clock=clock)
    assert len(policy.asked_s) == 1
    assert loop.pacer.stats().overruns == 1


def test_a_policy_that_fails_to_doubt_is_not_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(DoubtingPolicy):
        def disagreement(self, observation: Observation, *, samples: int) -> float:
            super().disagreement(observation, samples=samples)
            raise RuntimeError("no samples")

    clock = VirtualClock()
    policy = Broken(clock, dx=0.2)
    _, recording = run(policy, clock=clock)
    assert (len(policy.asked_s), recording.outcome) == (1, "timeout")
    assert "cannot say how far its samples differ" in caplog.text


def test_a_supervisor_without_a_lease_asks_for_a_person() -> None:
    board = Board()
    supervisor = ScriptedSupervisor(take_at=5, hand_back_at=60)
    asking = replace(ASKING, gate_wait_s=2.0)
    run(ConstantPolicy(dx=0.2), board=board, asking=asking, supervisor=supervisor, leases=Refusing())
    assert board.reasons == {HelpReason.NO_PROGRESS}
    first = next(index for index, signal in enumerate(board.shown) if signal is not None)
    assert first == 25
    signal = board.shown[first]
    assert signal is not None and signal.detail == "the supervisor could not take over: no progress"


def test_a_workspace_hit_again_and_again_asks() -> None:
    board = Board()
    run(
        ConstantPolicy(dx=1.0),
        board=board,
        safety=SafetyConfig(workspace_low=(-1.0,), workspace_high=(0.5,)),
        asking=replace(ASKING, stalled_s=60.0),
    )
    assert board.reasons == {HelpReason.CONSTRAINT}


def test_a_stopped_robot_asks_between_episodes_until_the_stop_is_cleared_and_it_is_resumed() -> None:
    clock, board, inbox = VirtualClock(), Board(), ControlInbox()
    loop = EpisodeRunner(
        driver=PointDriver(), control=ControlConfig(), safety=SafetyConfig(), clock=clock, inbox=inbox, board=board,
        asking=ASKING,
    )  # fmt: skip
    loop._driver.connect()

    def idle(seconds: float) -> RobotStatus:
        for _ in range(round(seconds * 10)):
            clock._now_s += 0.1
            loop.idle_step()
        return board.status

    assert idle(2.0).help is None
    inbox.put_stop(StopInfo(stop_id="one", by="ann", reason="a hand", at_ns=1), count=1)
    said = idle(2.0).help
    assert said is not None and (said.reason, said.detail) == (HelpReason.PAUSED, "stopped by ann: a hand")
    inbox.put_stop(None, count=1)
    said = idle(2.0).help
    assert said is not None and said.detail.startswith("stop was cleared")
    inbox.put_state(is_paused=True, lease=None)
    idle(0.2)
    inbox.put_state(is_paused=False, lease=None)
    assert idle(0.2).help is None


def test_thresholds_are_configuration() -> None:
    given = {"state_dir": "/nowhere", "driver": "point"}
    found = load_config(overrides=("help.stalled_s=2.5", "help.is_doubt_measured=false"), given=given)
    assert (found.help.stalled_s, found.help.is_doubt_measured) == (2.5, False)
    for override in ("help.stalled_s=0", "help.limits_share=2", "help.loudness=3"):
        with pytest.raises(ConfigError):
            load_config(overrides=(override,), given=given)
