"""The scripted supervisor's gate and its way of driving, with a hand-made advisor."""

from __future__ import annotations

import numpy as np
import pytest

from fleet.daemon.drivers.registry import create_driver
from fleet.daemon.supervisor import Supervisor, SupervisorWish, Thresholds, create_supervisor

NONE, TAKE, HAND_BACK = SupervisorWish.NONE, SupervisorWish.TAKE, SupervisorWish.HAND_BACK
EXPERT = np.array([0.5, 0.0, -0.5, 1.0], np.float32)
FAR = np.array([-0.5, 1.0, 0.5, -1.0], np.float32)  # 1.0 from EXPERT on each of x, y, z


class FakeAdvisor:
    """An expert with one answer, whose progress the test sets."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.takeovers = 0
        self.now = 0.0

    def begin(self, task: str) -> None:
        self.begun.append(task)

    def takeover(self) -> None:
        self.takeovers += 1

    def action(self) -> np.ndarray:
        return EXPERT

    def progress(self) -> float:
        return self.now


@pytest.fixture
def advisor() -> FakeAdvisor:
    return FakeAdvisor()


def begun(advisor: FakeAdvisor, **thresholds: float) -> Supervisor:
    supervisor = Supervisor(advisor, Thresholds(**{"grace_steps": 0, **thresholds}))
    supervisor.begin("box-close", 250)
    return supervisor


def test_a_policy_that_does_as_the_expert_and_progresses_is_left_alone(advisor: FakeAdvisor) -> None:
    supervisor = begun(advisor)
    wishes = set()
    for step in range(200):
        advisor.now = step / 200 * 0.9 + (step % 2) * 0.05
        wishes.add(supervisor.observe(step, EXPERT, False))

    assert wishes == {NONE}
    assert advisor.begun == ["box-close"]


def test_it_takes_over_when_the_mean_deviation_of_a_full_window_is_too_large(advisor: FakeAdvisor) -> None:
    supervisor = begun(advisor, deviation=0.8, deviation_steps=18)
    wishes = [supervisor.observe(step, FAR, False) for step in range(20)]

    assert wishes == [NONE] * 17 + [TAKE] * 3  # again at each step until it drives
    assert supervisor.reason == "1.00 from the expert over 18 steps"


def test_the_gripper_does_not_count_and_the_mean_decides(advisor: FakeAdvisor) -> None:
    gripper = EXPERT * np.array([1, 1, 1, -1], np.float32)
    supervisor = begun(advisor, stalled_steps=1000)

    wishes = [supervisor.observe(step, gripper, False) for step in range(40)]
    wishes += [supervisor.observe(step, FAR if step % 2 else EXPERT, False) for step in range(40)]  # mean 0.5

    assert set(wishes) == {NONE}


def test_it_takes_over_after_too_long_without_progress(advisor: FakeAdvisor) -> None:
    supervisor = begun(advisor, stalled_steps=45)
    wishes = [supervisor.observe(step, None, False) for step in range(45)]

    assert wishes == [NONE] * 44 + [TAKE]
    assert supervisor.reason == "no progress for 45 steps"


def test_progress_resets_the_count_but_noise_does_not(advisor: FakeAdvisor) -> None:
    supervisor = begun(advisor, stalled_steps=10)
    for step in range(9):
        assert supervisor.observe(step, EXPERT, False) is NONE
    advisor.now = 0.3
    assert [supervisor.observe(9, EXPERT, False) for _ in range(10)] == [NONE] * 10
    advisor.now = 0.305  # less than the noise of the reward

    assert supervisor.observe(20, EXPERT, False) is TAKE


def test_it_drives_to_the_limit_then_hands_back_and_watches_anew(advisor: FakeAdvisor) -> None:
    supervisor = begun(advisor, deviation_steps=2, drive_steps=5)
    assert [supervisor.observe(step, FAR, False) for step in range(2)] == [NONE, TAKE]
    np.testing.assert_array_equal(supervisor.action(), EXPERT)  # the lease engaged in that very step
    wishes = []
    for step in range(3, 20):
        wishes.append(supervisor.observe(step, FAR, True))
        if wishes[-1] is HAND_BACK:
            break
        supervisor.action()

    assert wishes == [NONE] * 4 + [HAND_BACK]
    assert supervisor.reason == "handed back after 5 steps"
    assert advisor.takeovers == 1
    assert supervisor.observe(20, FAR, False) is NONE  # the old window is forgotten
    assert supervisor.observe(21, FAR, False) is TAKE
    supervisor.action()
    assert advisor.takeovers == 2


def test_a_lapse_while_driving_makes_it_watch_anew(advisor: FakeAdvisor) -> None:
    supervisor = begun(advisor, deviation_steps=2)
    [supervisor.observe(step, FAR, False) for step in range(2)]
    supervisor.action()

    assert supervisor.observe(3, EXPERT, False) is NONE


def test_the_grace_period_judges_nothing(advisor: FakeAdvisor) -> None:
    supervisor = begun(advisor, deviation_steps=2, grace_steps=6)
    wishes = [supervisor.observe(step, FAR, False) for step in range(8)]

    assert wishes == [NONE] * 7 + [TAKE]


def test_begin_forgets_the_previous_episode(advisor: FakeAdvisor) -> None:
    supervisor = begun(advisor, deviation_steps=2)
    [supervisor.observe(step, FAR, False) for step in range(2)]
    supervisor.action()
    supervisor.begin("shelf-place", 250)

    assert supervisor.observe(0, EXPERT, False) is NONE
    assert supervisor.reason == ""
    assert advisor.begun == ["box-close", "shelf-place"]


@pytest.mark.parametrize(
    "options", [{"deviation": "0"}, {"deviation": "nan"}, {"drive_steps": "0"}, {"grace_steps": -1}, {"speed": 3}]
)
def test_unusable_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="supervisor options"):
        create_supervisor(create_driver("metaworld", {}), options)


def test_options_come_as_text_and_a_robot_without_expert_has_no_supervisor() -> None:
    class Bare:
        pass

    assert create_supervisor(create_driver("metaworld", {}), {"deviation": "0.7"}) is not None
    assert create_supervisor(Bare(), {}) is None
