"""A person's path end to end: sign in, take over by keyboard, finish the task, hand back; the learner uses it.

The operator opens a drawer with the keys alone. They know where its handle is as a person knows who looks: here the
test puts the same scene up in a simulator of its own. Everything else goes through the page, the robot and the learner.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from fleet.daemon.drivers.metaworld.driver import MetaWorldDriver, Options
from fleet.daemon.work import draw
from fleet.protocol.messages import AssignedTask
from sop_web.demo.stack import start_learner
from tests.e2e.safety.arena import ROBOT, Arena, Person, watch
from tests.e2e.safety.conftest import DRAWER, LONG_STEPS
from tests.stack.harness import RUN, USERNAME

pytestmark = pytest.mark.e2e

KEYS = (("d", "a"), ("w", "s"), ("r", "f"))  # plus and minus of each moving axis
NEAR_M = 0.03  # of the handle, before the hand goes down beside it
STILL_M = 0.012  # an axis nearer than this is let go
ABOVE_M, BESIDE_M, PULL_M = 0.15, -0.02, 0.4
MOST_LOOKS = 600
ROBOT_SEED = 1  # of System.start_robot

SEGMENTS = """
SELECT s.mode, s.operator, s.lease_epoch, s."end" - s.start
FROM fleet_segment s WHERE s.episode_id = %s ORDER BY s.start
"""
START = "from fleet.services.training import training_run_start; training_run_start(run_id={run!r})"
CONFIG = {"round": {"steps": 20, "publish_steps": 20, "publish_interval_s": 0}}


@pytest.fixture
def drawer(arena: Arena) -> Iterator[None]:
    """The robot's task is the drawer for as long as the test lasts."""
    system = arena.system
    system.unassign(ROBOT)
    system.assign(ROBOT, DRAWER)
    state = system.robot_state(ROBOT) / "desired_state.json"
    system.wait_for(lambda: state.exists() and DRAWER in state.read_text(), what="the assignment at the robot")
    yield
    system.unassign(ROBOT)
    system.assign(ROBOT)


def handle_of(seed: int) -> np.ndarray[Any, Any]:
    """Return where the handle is at the start of this episode, metres [3]."""
    driver = MetaWorldDriver(Options())
    driver.connect()
    try:
        driver.reset(DRAWER, seed=seed)
        return driver.simulation.labels[:3].astype(np.float64)
    finally:
        driver.close()


def seed_of_episode(arena: Arena) -> int:
    """Return the seed of the episode that runs now: robots draw from their own seed, name and counter."""
    task = AssignedTask(
        task_id="any", slug=DRAWER, instruction="", driver_task=DRAWER, max_steps=LONG_STEPS, weight=1.0
    )
    drawn = draw((task,), seed=ROBOT_SEED, robot_name=ROBOT, counter=len(arena.system.closed(ROBOT)))
    assert drawn is not None
    return drawn[1]


class Hands:
    """Somebody's fingers on the keys."""

    def __init__(self, person: Person) -> None:
        self._person = person
        self._down: set[str] = set()

    def steer(self, wanted_m: np.ndarray[Any, Any]) -> None:
        """Hold the keys that lead towards `wanted_m` (metres [3] from the hand), and no others."""
        keys = {
            pair[0] if distance > 0 else pair[1]
            for pair, distance in zip(KEYS, wanted_m, strict=True)
            if abs(distance) > STILL_M
        }
        for key in self._down - keys:
            self._person.page.keyboard.up(key)
        for key in keys - self._down:
            self._person.page.keyboard.down(key)
        self._down = keys


def open_drawer(person: Person, handle: np.ndarray[Any, Any]) -> None:
    """Over the handle, down beside it, pull: until the robot is in another episode."""
    hands, episode = Hands(person), person.feedback()["episode_id"]
    is_beside = False
    for _ in range(MOST_LOOKS):
        told = person.wait_for_feedback("f.state.length >= 3 || f.episode_id === null")
        if told["episode_id"] != episode:
            hands.steer(np.zeros(3))
            return
        hand = np.array(told["state"][:3])
        off = float(np.linalg.norm(hand[:2] - handle[:2]))
        is_beside = is_beside or (off <= NEAR_M and abs(hand[2] - handle[2] - BESIDE_M) <= NEAR_M)
        up = BESIDE_M if off <= NEAR_M or is_beside else ABOVE_M
        goal = handle + np.array([0.0, -PULL_M if is_beside else 0.0, up])
        hands.steer(goal - hand)
        person.page.wait_for_timeout(50)
    raise AssertionError(f"the drawer is not open; the robot says {person.feedback()}")


@pytest.mark.usefixtures("drawer")
def test_an_operator_opens_the_drawer_and_the_learner_learns_from_it(arena: Arena, browser: Browser) -> None:
    system = arena.system
    person = watch(arena, browser, USERNAME)
    person.wait_until_connected()
    person.take_over()
    person.wait_for_feedback("f.episode_id !== null && f.step > 2")
    episode_id = person.feedback()["episode_id"]
    open_drawer(person, handle_of(seed_of_episode(arena)))

    person.cockpit().get_by_test_id("hand-back").click()
    person.wait_for_feedback("f.mode === 'autonomous'")
    expect(person.cockpit().get_by_test_id("mode")).to_contain_text("The policy drives")
    system.wait_for(lambda: episode_id in system.registered(ROBOT), what="the episode's registration")
    outcome = system.rows("SELECT outcome, outcome_source, human_steps FROM fleet_episode WHERE id = %s", episode_id)
    assert outcome[0][:2] == ("success", "environment")
    segments = system.rows(SEGMENTS, episode_id)
    driven = [row for row in segments if row[0] == "teleop"]
    assert {row[1] for row in driven} == {USERNAME} and all(row[2] > 0 for row in driven)
    assert sum(row[3] for row in driven) == outcome[0][2] > 30
    steps = arena.steps(episode_id)
    assert np.abs(steps.action[steps.is_driven()]).max() > 0
    shown = person.page.request.get(f"/api/v1/episodes/{episode_id}").json()
    assert [part["mode"] for part in shown["segments"]] == [row[0] for row in segments]

    system.rows("UPDATE fleet_trainingrun SET config = %s::jsonb WHERE name = %s", json.dumps(CONFIG), RUN)
    (run,) = system.rows("SELECT id FROM fleet_trainingrun WHERE name = %s", RUN)[0]
    start_learner(system.processes, system.stack)
    try:
        system.manage("shell", "--no-imports", "-c", START.format(run=str(run)))
        sampled = "SELECT count(*) FROM fleet_episode WHERE id = %s AND first_sampled_at > indexed_at"
        system.wait_for(
            lambda: system.rows(sampled, episode_id)[0][0], what="the learner samples the takeover", timeout_s=180
        )
        versions = "SELECT count(*) FROM fleet_policyversion WHERE run_id = %s AND number > 0"
        system.wait_for(lambda: system.rows(versions, run)[0][0], what="a version learned from it", timeout_s=120)
    finally:
        system.processes.stop("learner")
