"""What robots report of a shadow, and what the reports come to."""

from __future__ import annotations

import math
import uuid
from typing import Any

import numpy as np
import pytest

from fleet.errors import InvalidRequest, NotFound
from fleet.models import PolicyVersion, Robot, Shadow, ShadowResult
from fleet.protocol.messages import Distances, ShadowReport, ShadowState
from fleet.selectors.shadow import shadow_view
from fleet.services.shadow import shadow_end, shadow_episode_note, shadow_reported
from tests.fleet import builders
from tests.fleet.services.shadow_rows import begin, distances, episode, proposed, report

pytestmark = pytest.mark.django_db


# --- Reports ---------------------------------------------------------------------------------------------------------


def test_reports_show_how_far_a_robot_is(candidate: PolicyVersion, robots: list[Robot]) -> None:
    shadow = begin(candidate, robots[0])
    for state, text in ((ShadowState.FETCHING, "Fetches and loads it."), (ShadowState.RUNNING, "Shadows.")):
        report(shadow, robots[0], state, episodes=2)
        (member,) = shadow_view(shadow=shadow).members
        assert (member.state, member.text, member.episodes) == (state.value, text, 2)
    for robot, shadow_id in ((robots[1], shadow.id), (robots[0], uuid.uuid4()), (robots[0], "x")):
        said = ShadowReport(shadow_id=str(shadow_id), state=ShadowState.RUNNING)
        with pytest.raises(NotFound):
            shadow_reported(robot_id=str(robot.id), report=said)
    shadow_end(shadow_id=shadow.id)
    report(shadow, robots[0], ShadowState.REFUSED, code="late")
    assert shadow.members.get().state == "running", "what comes afterwards changes nothing"


def test_one_that_drives_with_the_candidate_meanwhile_says_so(candidate: PolicyVersion, robots: list[Robot]) -> None:
    shadow = begin(candidate, robots[0])
    Robot.objects.filter(id=robots[0].id).update(policy_version=candidate)
    assert shadow_view(shadow=shadow).members[0].state == "same_version"


def test_an_episodes_distances_are_kept_once(candidate: PolicyVersion, robots: list[Robot]) -> None:
    """Also after the shadow's end: the robot may have been away."""
    shadow, row = begin(candidate, robots[0]), episode(robots[0], builders.task())
    names = {"robot_id": str(robots[0].id), "episode_id": str(row.id)}
    shadow_end(shadow_id=shadow.id)
    assert shadow_episode_note(found=proposed(shadow), **names)
    assert not shadow_episode_note(found=proposed(shadow, total=2.0), **names)
    kept = ShadowResult.objects.get()
    assert (kept.episode_id, kept.policy_n, kept.policy_total, kept.human_n) == (row.id, 4, 1.0, 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"instants": 3},
        {"answered": 3},
        {"instants": 51, "asked": 51},
        {"policy": Distances(proposals=4, total=8.1, p50=1.0, p95=1.0)},
        {"policy": Distances(proposals=4, total=math.nan, p50=1.0, p95=1.0)},
        {"policy": Distances(proposals=4, total=-1.0, p50=1.0, p95=1.0)},
        {"policy": Distances(proposals=0, total=0.0, p50=0.0, p95=3.0)},
        {"human": Distances(proposals=2, total=1.0, p50=0.5, p95=0.5)},
        {"inference_ms": math.inf},
        {"instants": 2**40, "asked": 2**40},
    ],
)
def test_numbers_that_cannot_be_are_refused(
    candidate: PolicyVersion, robots: list[Robot], changes: dict[str, Any]
) -> None:
    shadow, row = begin(candidate, robots[0]), episode(robots[0], builders.task())
    with pytest.raises(InvalidRequest):
        shadow_episode_note(robot_id=str(robots[0].id), episode_id=str(row.id), found=proposed(shadow, **changes))
    assert not ShadowResult.objects.exists()


def test_only_the_robots_own_episodes_count(candidate: PolicyVersion, robots: list[Robot]) -> None:
    shadow, task = begin(candidate, robots[0]), builders.task()
    foreign, own = episode(robots[1], task), episode(robots[0], task, candidate)
    cases = ((robots[0], foreign, NotFound), (robots[1], foreign, NotFound), (robots[0], own, InvalidRequest))
    for robot, row, kind in cases:
        with pytest.raises(kind):
            shadow_episode_note(robot_id=str(robot.id), episode_id=str(row.id), found=proposed(shadow))
    assert not ShadowResult.objects.exists()


# --- Figures ---------------------------------------------------------------------------------------------------------


def test_figures_are_of_proposals_and_their_interval_of_episodes(candidate: PolicyVersion, robots: list[Robot]) -> None:
    """The mean over proposals; the interval from the episodes' residuals, by an independent formula."""
    shadow = begin(candidate, robots[0], robots[1])
    tasks = [builders.task(slug) for slug in ("box-close", "shelf-place")]
    rng = np.random.default_rng(5)
    counts = rng.integers(2, 9, 30)
    totals = counts * rng.uniform(0.2, 0.4, 30)
    for index, (n, total) in enumerate(zip(counts, totals, strict=True)):
        row = episode(robots[index % 2], tasks[index % 2], minute=index)
        found = proposed(shadow, int(n), float(total), instants=int(n) + 3, asked=int(n) + 1)
        shadow_episode_note(robot_id=str(row.robot_id), episode_id=str(row.id), found=found)
    view = shadow_view(shadow=shadow)
    mean = totals.sum() / counts.sum()
    half = 1.959963984540054 * math.sqrt(((totals - mean * counts) ** 2).sum() * 30 / 29) / counts.sum()
    assert view.total.policy.value == pytest.approx(mean)
    assert (view.total.policy.low, view.total.policy.high) == (pytest.approx(mean - half), pytest.approx(mean + half))
    assert (view.total.episodes, view.total.policy_n, view.total.answered) == (30, counts.sum(), counts.sum())
    assert view.total.asked - view.total.answered == 30
    assert [(task.task, task.figures.episodes) for task in view.tasks] == [("box-close", 15), ("shelf-place", 15)]
    assert [point.figures.episodes for point in view.points] == [5] * 6
    assert all(one.until < two.began_at for one, two in zip(view.points, view.points[1:], strict=False))
    assert view.sentence.startswith(f"Version 1 proposed {counts.sum():,} times in 30 episodes, 30 skipped.")
    assert f"Its actions lay {mean:.3f} (95 % {mean - half:.3f} to {mean + half:.3f})" in view.sentence
    assert view.sentence.endswith("No human drove under a proposal.")


@pytest.mark.parametrize(
    ("human", "own", "says"),
    [
        (0.5, 0.9, "closer than the version that drove"),
        (0.9, 0.5, "further than"),
        (0.7, 0.7, "no difference is shown"),
    ],
)
def test_where_a_human_drove_both_are_compared_with_them(
    candidate: PolicyVersion, robots: list[Robot], human: float, own: float, says: str
) -> None:
    shadow, task = begin(candidate, robots[0]), builders.task()
    for index in range(8):
        row, noise = episode(robots[0], task, minute=index), 0.1 * (-1) ** index
        found = proposed(shadow, human=distances(2, 2 * human + noise), own=distances(2, 2 * own - noise))
        shadow_episode_note(robot_id=str(robots[0].id), episode_id=str(row.id), found=found)
    view = shadow_view(shadow=shadow)
    assert view.total.human.value == pytest.approx(human) and view.total.own.value == pytest.approx(own)
    assert view.total.closer.value == pytest.approx(own - human)
    assert (view.total.human_episodes, view.total.human_n) == (8, 16)
    assert says in view.sentence


def test_nothing_yet_is_said_in_words(candidate: PolicyVersion, robots: list[Robot]) -> None:
    shadow = begin(candidate, robots[0])
    view = shadow_view(shadow=shadow)
    assert (view.points, view.tasks, view.total.policy.value) == ([], [], None)
    assert view.sentence == "Version 1 has proposed nothing yet. 1 robot will shadow it, or do."
    shadow_end(shadow_id=shadow.id, reason="wrong one")
    assert shadow_view(shadow=Shadow.objects.get()).sentence == "Version 1 proposed nothing: wrong one"
