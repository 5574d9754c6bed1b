"""Stages: which version each robot shall drive with, and how canaries end by themselves, with their reasons."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from fleet.errors import CanaryTooSmall, InvalidRequest, NotFound, RolloutClosed, RolloutOpen, VersionUnusable
from fleet.models import Episode, PolicyDeployment, PolicyVersion, ReleaseTrack, Robot, Rollout, RolloutEvent, Task
from fleet.protocol.recording import Origin, Outcome
from fleet.selectors.canary import canary_view
from fleet.selectors.robot import desired_state
from fleet.selectors.robot_card import robot_cards
from fleet.selectors.rollout import release_track
from fleet.services.policy import policy_version_publish, policy_version_refused
from fleet.services.robot_version import robot_pin
from fleet.services.rollout import (
    release_roll_back,
    release_strategy_set,
    rollout_begin,
    rollout_pause,
    rollout_roll_back,
    version_promote,
    version_usable,
)
from fleet.services.rollout_judge import rollouts_judge
from fleet.storage import keys
from fleet.storage.local import LocalStore
from tests.fleet import builders

pytestmark = pytest.mark.django_db


@pytest.fixture
def robots() -> list[Robot]:
    return [builders.enrol().robot for _ in range(4)]


@pytest.fixture
def run(objects: LocalStore) -> Any:
    return builders.running_run()


def publish(run: Any, step: int = 0) -> PolicyVersion:
    manifest, blobs = builders.policy(run.id, step=step, value=float(step))
    return policy_version_publish(run_id=str(run.id), manifest_bytes=manifest, blobs=blobs)


def set_strategy(run: Any, strategy: str, **values: Any) -> None:
    """Over the revision that is there."""
    release_strategy_set(run_id=run.id, strategy=strategy, revision=release_track(run=run).revision, **values)


def pin(robot: Robot, version_id: uuid.UUID | None, **values: Any) -> None:
    robot.refresh_from_db(fields=["revision"])
    robot_pin(robot_id=robot.id, version_id=version_id, revision=robot.revision, **values)


def wanted(robots: list[Robot]) -> list[int | None]:
    states = [desired_state(robot_id=str(robot.id)) for robot in robots]
    return [state.policy.number if state.policy else None for state in states]


_seq = iter(range(1, 10**6))


def add_episodes(
    robot: Robot, version: PolicyVersion, outcomes: str, *, task: Task, human: int = 0, **values: Any
) -> None:
    """One letter an episode: s(uccess), t(imeout), a(borted); a second apart, the newest ended now."""
    now = timezone.now()
    names = {"s": Outcome.SUCCESS, "t": Outcome.TIMEOUT, "a": Outcome.ABORTED}
    for index, letter in enumerate(outcomes):
        seq = next(_seq)
        began = now + timedelta(milliseconds=10 * index)
        Episode.objects.create(
            index_seq=seq, origin=Origin.ONLINE, outcome=names[letter], outcome_source="environment", robot=robot,
            task=task, policy_version=version, instruction="do it", seed=1, steps=10, human_steps=human,
            control_rate_hz=10, started_at=began, ended_at=began + timedelta(milliseconds=9), indexed_at=now,
            manifest_key="k", manifest_sha256="0" * 64, size_bytes=1, **values,
        )  # fmt: skip


def close_the_arms(robots: list[Robot], rollout: Rollout, task: Task) -> None:
    """One more, later episode of every robot, so that all before it are settled."""
    members = set(rollout.robots.values_list("id", flat=True))
    later = timezone.now() + timedelta(seconds=60)
    for robot in robots:
        version = rollout.candidate if robot.id in members else rollout.baseline
        add_episodes(robot, version, "a", task=task)
        newest = Episode.objects.order_by("-index_seq").first()
        Episode.objects.filter(id=newest.id).update(started_at=later, ended_at=later)  # type: ignore[union-attr]


def arms(robots: list[Robot], rollout: Rollout) -> tuple[list[Robot], list[Robot]]:
    members = set(rollout.robots.values_list("id", flat=True))
    return [robot for robot in robots if robot.id in members], [robot for robot in robots if robot.id not in members]


def test_immediate_gives_everyone_the_newest_as_ever(robots: list[Robot], run: Any) -> None:
    publish(run), publish(run, 25)
    assert wanted(robots) == [1] * 4 and PolicyDeployment.objects.count() == 8
    assert ReleaseTrack.objects.count() == 0
    assert {(card.policy_stage, card.policy_wanted) for card in robot_cards()} == {("current", 1)}


def test_manual_holds_versions_back_until_one_is_promoted(robots: list[Robot], run: Any) -> None:
    publish(run)
    set_strategy(run, "manual")
    second = publish(run, 25)
    assert wanted(robots) == [0] * 4 and not PolicyDeployment.objects.filter(version=second).exists()
    before = [robot.state_revision for robot in Robot.objects.order_by("name")]
    version_promote(version_id=second.id)
    assert wanted(robots) == [1] * 4 and PolicyDeployment.objects.filter(version=second).count() == 4
    after = [robot.state_revision for robot in Robot.objects.order_by("name")]
    assert all(new > old for old, new in zip(before, after, strict=True))
    set_strategy(run, "immediate")
    publish(run, 50)
    assert wanted(robots) == [2] * 4


def test_a_canary_reaches_its_share_and_a_pin_wins(robots: list[Robot], run: Any) -> None:
    base = publish(run)
    pin(robots[0], base.id, reason="for a visitor")
    publish(run, 25)
    assert wanted(robots) == [0, 1, 1, 1]
    set_strategy(run, "canary", canary={"share": 0.34})
    third = publish(run, 50)
    rollout = Rollout.objects.get()
    assert (rollout.candidate, rollout.robots.count(), rollout.per_block) == (third, 1, 2)
    assert sorted(number for number in wanted(robots) if number is not None) == [0, 1, 1, 2]
    assert wanted(robots[:1]) == [0]
    publish(run, 75)
    assert Rollout.objects.count() == 1, "a second candidate waits"
    rollout_pause(rollout_id=rollout.id, is_paused=True, reason="lunch")
    assert sorted(number for number in wanted(robots) if number is not None) == [0, 1, 1, 1]
    rollout_pause(rollout_id=rollout.id, is_paused=False)
    version_promote(version_id=third.id)
    assert sorted(number for number in wanted(robots) if number is not None) == [0, 2, 2, 3], "the next is tried"
    pin(robots[0], None)
    assert wanted(robots[:1]) == [2]
    with pytest.raises(RolloutClosed):
        rollout_roll_back(rollout_id=rollout.id, reason="late")


def test_a_bad_candidate_is_rolled_back_by_its_episodes(robots: list[Robot], run: Any) -> None:
    task = builders.task()
    publish(run)
    candidate = publish(run, 25)
    rollout = rollout_begin(version_id=candidate.id)
    members, others = arms(robots, rollout)
    assert rollout.baseline.number == 0 and sorted(filter(None, wanted(robots))) == [1]
    add_episodes(members[0], candidate, "t" * 12, task=task)
    for robot in others:
        add_episodes(robot, rollout.baseline, "s" * 12, task=task)
    close_the_arms(robots, rollout, task)
    assert rollouts_judge() == 1
    rollout.refresh_from_db()
    assert (rollout.state, rollout.is_automatic) == ("rolled_back", True)
    assert "100 points lower" in rollout.reason and "the limit is 40 : 1" in rollout.reason
    assert wanted(robots) == [0] * 4
    assert rollout.evidence is not None and rollout.evidence["candidate"] == 12
    event = RolloutEvent.objects.first()
    assert event is not None and (event.kind, event.by_name, event.version) == ("roll back", "", candidate)
    assert rollouts_judge() == 0


def test_more_interventions_are_harm_too(robots: list[Robot], run: Any) -> None:
    task = builders.task()
    publish(run)
    candidate = publish(run, 25)
    rollout = rollout_begin(version_id=candidate.id)
    members, others = arms(robots, rollout)
    add_episodes(members[0], candidate, "t" * 12, task=task, human=3)
    for robot in others:
        add_episodes(robot, rollout.baseline, "t" * 12, task=task)
    close_the_arms(robots, rollout, task)
    rollouts_judge()
    rollout.refresh_from_db()
    assert rollout.state == "rolled_back" and "Interventions are 100 points more frequent" in rollout.reason


def test_a_good_candidate_is_promoted_and_the_next_one_tried(robots: list[Robot], run: Any) -> None:
    task = builders.task()
    publish(run)
    set_strategy(run, "canary", canary={"min_episodes": 60, "margin": 0.2})
    candidate = publish(run, 25)
    publish(run, 50), publish(run, 75)
    rollout = Rollout.objects.get()
    members, others = arms(robots, rollout)
    add_episodes(members[0], candidate, "s" * 59, task=task)
    for robot in others:
        add_episodes(robot, rollout.baseline, "s" * 59, task=task)
    close_the_arms(robots, rollout, task)
    assert rollouts_judge() == 0, "one episode is missing"
    rollout.refresh_from_db()
    assert rollout.reason == "1 more episodes before it may be promoted."
    add_episodes(members[0], candidate, "s", task=task)
    add_episodes(others[0], rollout.baseline, "sss", task=task)
    close_the_arms(robots, rollout, task)
    assert rollouts_judge() == 1
    rollout.refresh_from_db()
    assert rollout.state == "promoted"
    following = Rollout.objects.get(state="canary")
    assert (following.baseline, following.candidate.number) == (candidate, 3), "the newest that waits, not the next"


def test_what_does_not_count(robots: list[Robot], run: Any) -> None:
    """Aborted, archived and invalid episodes are left out; one that others may still precede waits."""
    task = builders.task()
    publish(run)
    candidate = publish(run, 25)
    rollout = rollout_begin(version_id=candidate.id)
    members, _ = arms(robots, rollout)
    add_episodes(members[0], candidate, "aa", task=task)
    add_episodes(members[0], candidate, "s", task=task, tags=["invalid"])
    add_episodes(members[0], candidate, "s", task=task, is_archived=True)
    add_episodes(members[0], candidate, "s", task=task)
    view = canary_view(rollout=rollout, now=timezone.now())
    assert (view.judgement.candidate, view.left_out) == (1, (4, 0))
    assert "no episodes at the candidate's tasks" in view.judgement.reason


def test_a_canary_without_episodes_says_so_waits_and_then_pauses(robots: list[Robot], run: Any) -> None:
    publish(run)
    candidate = publish(run, 25)
    rollout = rollout_begin(version_id=candidate.id, settings={"silence_s": 60})
    assert rollouts_judge() == 0
    rollout.refresh_from_db()
    assert rollout.reason == "No episode of the candidate has come yet: nothing is decided."
    Rollout.objects.update(began_at=timezone.now() - timedelta(seconds=61))
    assert rollouts_judge() == 1
    rollout.refresh_from_db()
    assert (rollout.state, rollout.reason) == ("paused", "No episode of the candidate came for 60 s.")
    assert wanted(robots) == [0] * 4


def test_a_candidate_that_a_robot_refuses_is_rolled_back(robots: list[Robot], run: Any) -> None:
    publish(run)
    candidate = publish(run, 25)
    PolicyDeployment.objects.filter(version=candidate).delete()  # as if it had not been given to everyone at first
    rollout = rollout_begin(version_id=candidate.id)
    (member,) = rollout.robots.all()
    told = {"robot_id": str(member.id), "version_id": str(candidate.id)}
    policy_version_refused(**told, code="disk_full", message="no room")
    assert rollouts_judge() == 0, "the robot takes it once there is room"
    assert version_usable(version_id=candidate.id) == candidate
    policy_version_refused(**told, code="probe_failed", message="not finite")
    assert rollouts_judge() == 1
    rollout.refresh_from_db()
    assert rollout.state == "rolled_back" and rollout.reason == f"{member.name} refused it: probe_failed."
    with pytest.raises(VersionUnusable, match="was refused by"):
        release_roll_back(run_id=run.id, version_id=candidate.id, reason="back to it")


def test_one_action_rolls_everyone_back_and_holds(robots: list[Robot], run: Any, objects: LocalStore) -> None:
    versions = [publish(run, step) for step in (0, 25, 50)]
    trying = rollout_begin(version_id=versions[2].id)
    assert release_roll_back(run_id=run.id, reason="it drops cups").number == 0
    assert Rollout.objects.get().state == "rolled_back"
    assert trying.baseline.number == 1
    publish(run, 75)
    assert wanted(robots) == [0] * 4, "what is published later does not undo it"
    event = RolloutEvent.objects.first()
    assert event is not None and (event.kind, event.version, event.reason) == (
        "roll back to",
        versions[0],
        "it drops cups",
    )


def _unchanged() -> Any:
    return list(ReleaseTrack.objects.values()), list(Rollout.objects.values()), list(Robot.objects.values())


BAD_SETTINGS = [
    {"share": 0}, {"share": 1}, {"margin": 0}, {"margin": 1}, {"alpha": 0}, {"beta": 1.0}, {"min_episodes": 0},
    {"min_episodes": 50, "max_episodes": 40}, {"silence_s": 0}, {"on_harm": "promote"}, {"colour": "red"},
    {"tag": "x" * 65}, {"tag": 5},
]  # fmt: skip


@pytest.mark.parametrize("limits", BAD_SETTINGS)
def test_impossible_settings_change_nothing(robots: list[Robot], run: Any, limits: dict[str, Any]) -> None:
    publish(run)
    candidate = publish(run, 25)
    before = _unchanged()
    with pytest.raises(InvalidRequest):
        rollout_begin(version_id=candidate.id, settings=limits)
    assert _unchanged() == before


def test_refusals_explain_and_change_nothing(robots: list[Robot], run: Any, objects: LocalStore) -> None:
    base = publish(run)
    with pytest.raises(InvalidRequest, match="compared with another"):
        rollout_begin(version_id=base.id)
    candidate = publish(run, 25)
    before = _unchanged()
    with pytest.raises(NotFound):
        release_roll_back(run_id=run.id, version_id=uuid.uuid4(), reason="to nowhere")
    with pytest.raises(InvalidRequest, match="say why"):
        release_roll_back(run_id=run.id, reason=" ")
    with pytest.raises(NotFound):
        rollout_begin(version_id=candidate.id, robot_ids=[uuid.uuid4()])
    with pytest.raises(CanaryTooSmall):
        rollout_begin(version_id=candidate.id, robot_ids=[robot.id for robot in robots])
    with pytest.raises(InvalidRequest):
        set_strategy(run, "sometimes")
    objects.delete(keys.policy_blob(next(iter(base.blobs))))
    with pytest.raises(VersionUnusable, match="weights of version 0 are deleted"):
        release_roll_back(run_id=run.id, version_id=base.id, reason="back")
    assert _unchanged() == before
    newest = publish(run, 50)
    rollout_begin(version_id=newest.id)
    with pytest.raises(RolloutOpen):
        rollout_begin(version_id=candidate.id)
    with pytest.raises(RolloutOpen):
        set_strategy(run, "immediate")


def _tagged(robots: list[Robot], tag: str) -> None:
    for robot in robots:
        robot.tags = [*robot.tags, "bench", tag]
        robot.save(update_fields=["tags"])


def test_a_canary_by_tag_reaches_exactly_the_tagged(robots: list[Robot], run: Any) -> None:
    """Pinned and retired ones are left out; the run's strategy may name the tag, too; the history says it."""
    _tagged(robots[:3], "canary")
    base = publish(run)
    pin(robots[2], base.id, reason="stays")
    candidate = publish(run, 25)
    rollout = rollout_begin(version_id=candidate.id, settings={"tag": "canary"})
    assert set(rollout.robots.all()) == set(robots[:2])
    assert wanted(robots) == [1, 1, 0, 0]
    event = RolloutEvent.objects.filter(kind="canary").get()
    assert event.reason == "on 2 of 3 robots, tagged 'canary'"
    rollout_roll_back(rollout_id=rollout.id, reason="enough")
    set_strategy(run, "canary", canary={"tag": "canary"})
    publish(run, 50)
    assert wanted(robots) == [2, 2, 0, 0]


def test_named_robots_win_over_the_tag(robots: list[Robot], run: Any) -> None:
    _tagged(robots[:2], "canary")
    publish(run)
    settings = {"tag": "canary"}
    rollout = rollout_begin(version_id=publish(run, 25).id, settings=settings, robot_ids=[robots[3].id])
    assert set(rollout.robots.all()) == {robots[3]}
    assert RolloutEvent.objects.filter(kind="canary").get().reason == "on 1 of 4 robots"


def test_a_tag_without_robots_on_either_side_is_explained(robots: list[Robot], run: Any) -> None:
    base = publish(run)
    candidate = publish(run, 25)
    before = _unchanged()
    with pytest.raises(CanaryTooSmall, match="carries the tag 'canary': tag some on the page Robots"):
        rollout_begin(version_id=candidate.id, settings={"tag": "canary"})
    assert _unchanged() == before
    _tagged(robots, "canary")
    before = _unchanged()
    with pytest.raises(CanaryTooSmall, match=r"carries the tag 'canary' \(4\): a canary needs one that does not"):
        rollout_begin(version_id=candidate.id, settings={"tag": "canary"})
    assert _unchanged() == before
    Robot.objects.exclude(id=robots[0].id).update(tags=[])
    pin(robots[0], base.id, reason="stays")
    before = _unchanged()
    with pytest.raises(CanaryTooSmall, match="1 carry it but are pinned or retired"):
        rollout_begin(version_id=candidate.id, settings={"tag": "canary"})
    assert _unchanged() == before


def test_a_retired_robot_is_in_no_canary(robots: list[Robot], run: Any) -> None:
    Robot.objects.filter(id__in=[robot.id for robot in robots[1:]]).update(retired_at=timezone.now())
    publish(run)
    candidate = publish(run, 25)
    with pytest.raises(CanaryTooSmall, match="1 are neither pinned nor retired"):
        rollout_begin(version_id=candidate.id)
    with pytest.raises(NotFound):
        rollout_begin(version_id=candidate.id, robot_ids=[robots[1].id])


def test_a_fleet_of_one_has_no_canary(run: Any) -> None:
    """Said, refused, nothing changed; with the strategy canary it keeps its version and the reason is recorded."""
    robot = builders.enrol().robot
    publish(run)
    set_strategy(run, "canary")
    candidate = publish(run, 25)
    assert wanted([robot]) == [0] and Rollout.objects.count() == 0
    event = RolloutEvent.objects.first()
    assert event is not None and event.kind == "not tried" and "at least one robot" in event.reason
    with pytest.raises(CanaryTooSmall):
        rollout_begin(version_id=candidate.id)
    version_promote(version_id=candidate.id)
    assert wanted([robot]) == [1]
