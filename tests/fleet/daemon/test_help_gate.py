"""The robot asks for help: each rule, its threshold, its hysteresis. Time is the test's."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from fleet.daemon.help_gate import HelpConfig, HelpGate, Situation
from fleet.protocol.authority import Mode
from fleet.protocol.messages import HelpReason, HelpSignal

PERIOD_S = 0.1
START_NS = 1_795_000_000_000_000_000


class Robot:
    """Steps a gate at 10 Hz; keeps what it said."""

    def __init__(self, **config: Any) -> None:
        self.gate = HelpGate(HelpConfig(**config))
        self.now_s = 50.0
        self.said: list[HelpSignal | None] = []
        self.x = 0.0

    def step(self, count: int = 1, *, speed: float = 0.05, **changes: Any) -> HelpSignal | None:
        """Run so many steps; the hand moves by `speed` in each. Return the last signal."""
        for _ in range(count):
            self.x += speed
            values = {"mode": Mode.AUTONOMOUS, "episode_id": "one", "max_steps": 1000, **changes}
            situation = Situation(state=np.array([self.x, 0.0], np.float32), **values)
            now_ns = START_NS + round((self.now_s - 50.0) * 1e9)
            self.said.append(self.gate.step(situation, now_s=self.now_s, now_ns=now_ns))
            self.now_s += PERIOD_S
        return self.said[-1]

    def first(self) -> int | None:
        """The first step at which it asked."""
        return next((index for index, signal in enumerate(self.said) if signal is not None), None)

    def changes(self) -> int:
        """How often it began or ceased to ask, or changed its reason."""
        reasons = [None, *(signal.reason if signal else None for signal in self.said)]
        return sum(one is not other for one, other in itertools.pairwise(reasons))


def test_a_robot_that_works_asks_for_nothing() -> None:
    robot = Robot()
    robot.step(500, doubt=0.0)
    assert robot.first() is None


def test_a_still_hand_asks_after_the_configured_time_and_ever_more() -> None:
    """Given a hand that stops at once, the robot asks after 6 s; twice as long scores 1."""
    robot = Robot(stalled_s=6.0)
    robot.step(130, speed=0.0)
    assert robot.first() == 60
    signal, last = robot.said[60], robot.said[-1]
    assert signal is not None and last is not None
    assert (signal.reason, signal.score, signal.detail) == (HelpReason.NO_PROGRESS, 0.5, "hardly moved for 6 s")
    assert signal.since_ns == last.since_ns == START_NS + 6_000_000_000
    assert last.score == 1.0


def test_slow_progress_is_progress() -> None:
    """2 cm in 5.9 s moves on; 2 cm in 6.1 s does not."""
    fast, slow = Robot(stalled_s=6.0, moved=0.02), Robot(stalled_s=6.0, moved=0.02)
    fast.step(300, speed=0.021 / 59)
    slow.step(300, speed=0.019 / 61)
    assert fast.first() is None
    assert slow.first() is not None


def test_it_stops_asking_only_after_the_least_time_and_then_is_silent() -> None:
    """Given a hand that moves again at once, the robot asks for 3 s, then not for 2 s although it stalls anew."""
    robot = Robot(stalled_s=1.0, min_on_s=3.0, min_off_s=2.0)
    robot.step(11, speed=0.0)
    assert robot.said[-1] is not None
    assert robot.step(29) is not None
    assert robot.step(2) is None
    robot.step(17, speed=0.0)
    assert robot.said[-1] is None
    assert robot.step(4, speed=0.0) is not None


def test_a_level_around_its_threshold_does_not_flap() -> None:
    """Doubt that swings by a tenth around its threshold is one request."""
    robot = Robot(doubt=0.1, doubt_s=0.1, doubt_period_s=0.1)
    for index in range(200):
        robot.step(doubt=0.11 if index % 2 else 0.09)
    assert robot.changes() == 1


def test_doubt_needs_to_last() -> None:
    """One high measurement raises nothing; the mean over 4 s does."""
    robot = Robot(doubt=0.1, doubt_s=4.0, doubt_period_s=1.0)
    robot.step(doubt=0.3)
    robot.step(19)
    assert robot.first() is None
    for _ in range(8):
        robot.step(doubt=0.2)
        robot.step(9)
    said = robot.said[-1]
    assert said is not None and said.reason is HelpReason.UNCERTAIN
    assert 0.8 < said.score <= 1.0 and said.detail.startswith("the policy's samples differ by 0.1")


def test_unusable_doubt_is_left_out() -> None:
    robot = Robot(doubt=0.1, doubt_s=0.1)
    robot.step(50, doubt=float("nan"))
    assert robot.first() is None


def test_limits_hit_again_and_again_ask_and_a_single_hit_does_not() -> None:
    once, often = Robot(), Robot()
    once.step(limits=("workspace",))
    once.step(50)
    assert once.first() is None
    often.step(60, limits=("workspace",))
    said = often.said[-1]
    assert said is not None and said.reason is HelpReason.CONSTRAINT
    assert "workspace" in said.detail
    assert often.first() == 21  # 1 - exp(-2.1 s / 3 s) = 0.5


def test_limits_of_a_delayed_operator_do_not_count() -> None:
    robot = Robot()
    robot.step(100, limits=("delay", "video"))
    assert robot.first() is None


def test_the_gate_without_a_lease_asks() -> None:
    """The supervisor would help but nobody grants it a lease: a person is asked for, with its reason."""
    robot = Robot(gate_wait_s=4.0)
    robot.step(41, gate="0.90 from the expert over 18 steps")
    said = robot.said[-1]
    assert said is not None and said.reason is HelpReason.NO_PROGRESS
    assert "0.90 from the expert" in said.detail
    assert robot.first() == 40


def test_the_last_steps_of_an_episode_ask_unless_switched_off() -> None:
    asking, silent = Robot(late_share=0.8), Robot(late_share=1.0)
    for step in range(100):
        asking.step(step=step, max_steps=100)
        silent.step(step=step, max_steps=100)
    assert (asking.first(), silent.first()) == (80, None)
    said = asking.said[90]
    assert said is not None and (said.score, said.detail) == (0.75, "10 of 100 steps left")


def test_nobody_is_asked_for_while_somebody_drives() -> None:
    """A takeover ends the request at once, and all rules begin anew after it."""
    robot = Robot(stalled_s=2.0)
    robot.step(30, speed=0.0)
    assert robot.said[-1] is not None
    for mode in (Mode.HANDOVER, Mode.TELEOP):
        assert robot.step(40, speed=0.0, mode=mode, gate="wants to help", limits=("workspace",)) is None
    assert robot.step(20, speed=0.0) is None
    assert robot.step(2, speed=0.0) is not None


def test_a_new_episode_voids_what_was_asked_about_the_last() -> None:
    robot = Robot(stalled_s=1.0)
    robot.step(12, speed=0.0)
    assert robot.said[-1] is not None
    assert robot.step(1, speed=0.0, episode_id="two") is None


def test_a_robot_that_only_a_person_resumes_asks_until_it_is_resumed() -> None:
    """It asks in PAUSED and in STOPPED, saying why it stands; once somebody drives or resumes, no more."""
    robot = Robot(paused_wait_s=1.0)
    for mode in (Mode.PAUSED, Mode.STOPPED):
        robot.step(20, mode=mode, needs_person=True, pause_text="the operator's lease lapsed")
        said = robot.said[-1]
        assert said is not None and (said.reason, said.detail) == (HelpReason.PAUSED, "the operator's lease lapsed")
    assert robot.step(mode=Mode.HANDOVER) is None
    robot.step(20, mode=Mode.PAUSED, needs_person=True)
    assert robot.step(1) is None


def test_an_operators_pause_is_no_call_for_help() -> None:
    robot = Robot()
    robot.step(600, mode=Mode.PAUSED, needs_person=False, pause_text="paused by an operator")
    assert robot.first() is None


def test_standing_still_between_episodes_asks_too() -> None:
    robot = Robot()
    robot.step(20, mode=Mode.PAUSED, episode_id=None, needs_person=True)
    assert robot.said[-1] is not None


def test_the_more_urgent_reason_wins_without_a_break() -> None:
    """A stalled robot that begins to hit limits changes its reason; since when it asks stays."""
    robot = Robot(stalled_s=1.0)
    robot.step(15, speed=0.0)
    stalled = robot.said[-1]
    robot.step(40, speed=0.0, limits=("slew",))
    limited = robot.said[-1]
    assert stalled is not None and limited is not None
    assert (stalled.reason, limited.reason) == (HelpReason.NO_PROGRESS, HelpReason.CONSTRAINT)
    assert limited.since_ns == stalled.since_ns


def test_a_gate_that_is_switched_off_never_asks() -> None:
    robot = Robot(is_enabled=False)
    robot.step(200, speed=0.0, mode=Mode.PAUSED, needs_person=True)
    assert robot.first() is None


@pytest.mark.parametrize(
    "changes",
    [
        {"stalled_s": 0.0},
        {"moved": float("nan")},
        {"limits_share": 1.5},
        {"late_share": 0.0},
        {"clear_share": 1.0},
        {"doubt_samples": 1},
        {"min_on_s": -1.0},
        {"moved_values": -1},
        {"doubt": float("inf")},
    ],
)
def test_unusable_thresholds_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        HelpConfig(**changes)
