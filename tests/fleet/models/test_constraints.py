"""The database itself refuses rows that break an invariant, whoever writes them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction
from django.utils import timezone

from fleet.models import (
    Assignment,
    EnrolmentToken,
    Episode,
    HelpRequest,
    HelpSettings,
    Lease,
    PolicyDeployment,
    PolicyVersion,
    Robot,
    RobotKey,
    RobotStateInterval,
    RobotStop,
    RunMetric,
    Segment,
    Shadow,
    ShadowResult,
    ShadowRobot,
    Task,
    TrainingRound,
    TrainingRun,
)
from tests.fleet import builders

pytestmark = pytest.mark.django_db

NOW = timezone.now()
SHA = "a" * 64


class World:
    """One valid row of everything, and makers of a second."""

    def __init__(self) -> None:
        self.robot, self.task = builders.enrol().robot, builders.task()
        self.run = builders.running_run()
        self.version = PolicyVersion.objects.create(**self.version_values())
        self.episode = Episode.objects.create(**self.episode_values())

    def version_values(self, **changes: Any) -> dict[str, Any]:
        values = {
            "id": uuid.uuid4(), "run": self.run, "number": 0, "step": 0, "architecture": "tiny",
            "manifest_key": "k", "manifest_sha256": SHA, "blobs": {}, "size_bytes": 1,
            "trained_at": NOW, "published_at": NOW,
        }  # fmt: skip
        return values | changes

    def episode_values(self, **changes: Any) -> dict[str, Any]:
        values = {
            "id": uuid.uuid4(), "index_seq": 1, "origin": "online", "outcome": "success",
            "outcome_source": "environment", "robot": self.robot, "task": self.task, "instruction": "x", "seed": 0,
            "steps": 5, "human_steps": 0, "control_rate_hz": 10.0, "started_at": NOW, "ended_at": NOW,
            "indexed_at": NOW, "manifest_key": "k", "manifest_sha256": SHA, "size_bytes": 1,
        }  # fmt: skip
        return values | changes

    def lease_values(self, **changes: Any) -> dict[str, Any]:
        values = {
            "robot": self.robot, "epoch": 1, "source": "scripted", "operator": "s", "granted_at": NOW,
            "expires_at": NOW + timedelta(seconds=5),
        }  # fmt: skip
        return values | changes

    def round_values(self, **changes: Any) -> dict[str, Any]:
        return {"run": self.run, "index": 0, "start_step": 0, "ingest_upto": 0, "begun_at": NOW} | changes

    def add_episode(self, **changes: Any) -> Episode:
        return Episode.objects.create(**self.episode_values(**({"index_seq": 2} | changes)))


def _two_leases(w: World, **second: Any) -> None:
    Lease.objects.create(**w.lease_values())
    Lease.objects.create(**w.lease_values(**({"epoch": 2} | second)))


def _two_rounds(w: World) -> None:
    TrainingRound.objects.create(**w.round_values())
    TrainingRound.objects.create(**w.round_values(index=1))


def _two_assignments(w: World) -> None:
    for _ in range(2):
        Assignment.objects.create(robot=w.robot, task=w.task)


def _deploy(w: World, **values: Any) -> None:
    PolicyDeployment.objects.create(robot=w.robot, version=w.version, announced_at=NOW, **values)


def _two_deployments(w: World) -> None:
    _deploy(w)
    _deploy(w)


def _two_metrics(w: World) -> None:
    for _ in range(2):
        RunMetric.objects.create(run=w.run, step=1, at=NOW, values={})


def _two_segments(w: World) -> None:
    for end in (2, 3):
        _segment(w, end=end)


def _segment(w: World, **changes: Any) -> None:
    values = {"start": 0, "end": 2, "mode": "autonomous", "source": "policy", "lease_epoch": 0} | changes
    Segment.objects.create(episode=w.episode, **values)


def _token(**changes: Any) -> None:
    EnrolmentToken.objects.create(**({"token_sha256": SHA, "expires_at": NOW + timedelta(days=1)} | changes))


def _two_stops(w: World) -> None:
    stop_id = uuid.uuid4()
    for _ in range(2):
        RobotStop.objects.create(robot=w.robot, stop_id=stop_id, by="ann", stopped_at=NOW)


def _help(w: World, **changes: Any) -> None:
    values = {"reason": "paused", "score": 0.5, "opened_at": NOW, "ranked_at": NOW} | changes
    HelpRequest.objects.create(robot=w.robot, **values)


def _two_requests(w: World) -> None:
    for _ in range(2):
        _help(w)


def _state(w: World, **changes: Any) -> RobotStateInterval:
    values = {"robot": w.robot, "state": "working", "started_at": NOW, "seen_at": NOW}
    return RobotStateInterval.objects.create(**{**values, **changes})


def _shadow(w: World, **changes: Any) -> Shadow:
    values = {"version": w.version, "max_episodes": 5, "ends_at": NOW + timedelta(days=1)} | changes
    return Shadow.objects.create(**values)


def _shadowing(w: World, *members: dict[str, Any], is_one: bool = True) -> None:
    shadow = _shadow(w)
    for values in members:
        ShadowRobot.objects.create(shadow=shadow if is_one else _shadow(w), robot=w.robot, **values)


def _result(w: World, **changes: Any) -> None:
    values = {"instants": 3, "asked": 3, "answered": 3, "inference_ms": 1.0, "policy_n": 3, "human_n": 0}
    values |= {f"{kind}_{name}": 0.0 for kind in ("policy", "human", "own") for name in ("total", "p50", "p95")}
    ShadowResult.objects.create(shadow=_shadow(w), episode=w.episode, **(values | changes))


BROKEN: dict[str, Callable[[World], object]] = {
    "robot_has_a_name": lambda w: Robot.objects.create(name=""),
    "fleet_robot_name_key": lambda w: Robot.objects.create(name=w.robot.name),
    "token_is_hashed": lambda w: _token(token_sha256="secret"),
    "token_expires_after_creation": lambda w: _token(created_at=NOW, expires_at=NOW),
    "key_is_hashed": lambda w: RobotKey.objects.create(robot=w.robot, key_sha256="secret"),
    "fleet_robotkey_key_sha256_key": lambda w: RobotKey.objects.create(
        robot=w.robot, key_sha256=w.robot.keys.get().key_sha256
    ),
    "key_revoked_after_creation": lambda w: w.robot.keys.update(revoked_at=NOW - timedelta(days=1)),
    "stop_id_unique_a_robot": _two_stops,
    "stop_cleared_by_at_a_time": lambda w: RobotStop.objects.create(
        robot=w.robot, stop_id=uuid.uuid4(), by="ann", stopped_at=NOW, cleared_by=get_user_model().objects.create()
    ),
    "task_max_steps_range": lambda w: Task.objects.update(max_steps=0),
    "task_target_rate_range": lambda w: Task.objects.update(target_rate=1.1),
    "task_has_an_instruction": lambda w: Task.objects.update(instruction=""),
    "assignment_one_active_a_robot_task": _two_assignments,
    "assignment_weight_range": lambda w: Assignment.objects.create(robot=w.robot, task=w.task, weight=0.0),
    "assignment_priority_range": lambda w: Assignment.objects.create(robot=w.robot, task=w.task, priority=10),
    "assignment_ends_after_start": lambda w: Assignment.objects.create(
        robot=w.robot, task=w.task, ended_at=NOW - timedelta(days=1)
    ),
    "lease_one_open_a_robot": _two_leases,
    "lease_epoch_unique_a_robot": lambda w: _two_leases(w, epoch=1, released_at=NOW),
    "lease_epoch_range": lambda w: Lease.objects.create(**w.lease_values(epoch=0)),
    "lease_expires_after_grant": lambda w: Lease.objects.create(**w.lease_values(expires_at=NOW)),
    "lease_person_has_a_user": lambda w: Lease.objects.create(**w.lease_values(source="person")),
    "fleet_episode_index_seq_key": lambda w: w.add_episode(index_seq=1),
    "fleet_episode_pkey": lambda w: w.add_episode(id=w.episode.id),
    "episode_steps_range": lambda w: w.add_episode(steps=0),
    "episode_human_steps_range": lambda w: w.add_episode(human_steps=6),
    "episode_index_seq_range": lambda w: w.add_episode(index_seq=0),
    "episode_origin_known": lambda w: w.add_episode(origin="dream"),
    "episode_outcome_known": lambda w: w.add_episode(outcome="draw"),
    "episode_environment_outcome_known": lambda w: w.add_episode(environment_outcome="draw"),
    "episode_ends_after_start": lambda w: w.add_episode(ended_at=NOW - timedelta(seconds=1)),
    "episode_manifest_is_hashed": lambda w: w.add_episode(manifest_sha256="x"),
    "episode_online_has_a_robot": lambda w: w.add_episode(robot=None),
    "segment_is_not_empty": lambda w: _segment(w, end=0),
    "segment_mode_known": lambda w: _segment(w, mode="asleep"),
    "segment_source_known": lambda w: _segment(w, source="ghost"),
    "segment_one_a_start": _two_segments,
    "policy_number_unique_a_run": lambda w: PolicyVersion.objects.create(**w.version_values()),
    "policy_manifest_is_hashed": lambda w: PolicyVersion.objects.update(manifest_sha256="x"),
    "deployment_one_a_robot_version": _two_deployments,
    "deployment_applied_after_fetched": lambda w: _deploy(w, fetched_at=NOW, applied_at=NOW - timedelta(seconds=1)),
    "deployment_refused_with_a_code": lambda w: _deploy(w, refused_at=NOW),
    "run_state_known": lambda w: TrainingRun.objects.update(state="tired"),
    "run_has_something_to_learn_from": lambda w: TrainingRun.objects.update(takes_online=False),
    "run_failed_with_a_code": lambda w: TrainingRun.objects.update(state="failed"),
    "run_asked_while_it_runs": lambda w: TrainingRun.objects.update(state="paused", asked="stopped", asked_at=NOW),
    "round_one_open_a_run": _two_rounds,
    "round_index_unique_a_run": lambda w: [
        TrainingRound.objects.create(
            **w.round_values(committed_at=NOW, end_step=1, checkpoint_key="k", checkpoint_sha256=SHA)
        )
        for _ in range(2)
    ],
    "round_steps_forward": lambda w: TrainingRound.objects.create(**w.round_values(start_step=5, end_step=4)),
    "round_committed_with_checkpoint": lambda w: TrainingRound.objects.create(
        **w.round_values(committed_at=NOW, end_step=1)
    ),
    "metric_one_a_step": _two_metrics,
    "robot_state_one_open_a_robot": lambda w: [_state(w), _state(w)],
    "robot_state_known": lambda w: _state(w, state="asleep"),
    "robot_state_ends_after_start": lambda w: _state(w, ended_at=NOW - timedelta(days=1)),
    "help_one_unclosed_a_robot": _two_requests,
    "help_score_range": lambda w: _help(w, score=1.1),
    "help_reason_known": lambda w: _help(w, reason="bored"),
    "help_state_fits_its_times": lambda w: _help(w, state="served"),
    "help_claimed_after_opened": lambda w: _help(w, state="served", claimed_at=NOW - timedelta(seconds=1)),
    "help_closed_after_opened": lambda w: _help(
        w, state="closed", ending="offline", closed_at=NOW - timedelta(seconds=1)
    ),
    "shadow_share_range": lambda w: _shadow(w, share=0.0),
    "shadow_has_episodes": lambda w: _shadow(w, max_episodes=0),
    "shadow_ends_after_it_began": lambda w: _shadow(w, ends_at=NOW - timedelta(days=1)),
    "shadow_ended_with_a_reason": lambda w: _shadow(w, ended_at=NOW),
    "shadow_robot_once": lambda w: _shadowing(w, {"ended_at": NOW}, {"ended_at": NOW}),
    "shadow_one_open_a_robot": lambda w: _shadowing(w, {}, {}, is_one=False),
    "shadow_robot_state_known": lambda w: _shadowing(w, {"state": "asleep"}),
    "shadow_robot_refused_with_a_code": lambda w: _shadowing(w, {"state": "refused"}),
    "shadow_counts_in_order": lambda w: _result(w, asked=4),
    "shadow_of_answered_ones": lambda w: _result(w, policy_n=4),
    "shadow_distance_range": lambda w: _result(w, policy_total=6.1),
    "help_settings_one_row": lambda w: HelpSettings.objects.create(id=2, ranking="cur", changed_at=NOW),
    "help_ranking_known": lambda w: HelpSettings.objects.create(ranking="loudest", changed_at=NOW),
}


@pytest.mark.parametrize("constraint", BROKEN)
def test_constraint_holds(constraint: str) -> None:
    world = World()
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        BROKEN[constraint](world)


def test_every_named_constraint_is_tried() -> None:
    """Given a constraint without a case above, this test names it."""
    models = (
        Assignment, EnrolmentToken, Episode, HelpRequest, HelpSettings, Lease, PolicyDeployment, PolicyVersion, Robot,
        RobotKey, RobotStateInterval, RobotStop, RunMetric, Segment, Shadow, ShadowResult, ShadowRobot, Task,
        TrainingRound, TrainingRun,
    )  # fmt: skip
    named = {constraint.name for model in models for constraint in model._meta.constraints}
    assert named - set(BROKEN) == set()
