"""Two sites on one server: a robot, a task, an episode, a dataset version, an export, ... of each, as rows alone."""

from __future__ import annotations

import itertools
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from fleet.models import (
    Alert,
    AlertRule,
    Dataset,
    DatasetEpisode,
    DatasetImport,
    DatasetVersion,
    Episode,
    Export,
    HelpRequest,
    PeopleGroup,
    Robot,
    Task,
)
from fleet.permissions import Role
from fleet.selectors.dataset_overview import dataset_overview
from fleet.services.people_group import GroupChange, people_group_create, people_limit
from fleet.services.person import person_roles_set
from fleet.services.rollup import rollup_episodes_changed

_sequence = itertools.count(1)


def episode_row(robot: Robot | None, task: Task, *, ended_at: datetime | None = None, **values: Any) -> Episode:
    """A registered episode without objects, in the charts' sums as well."""
    ended = ended_at or timezone.now() - timedelta(minutes=20)
    row = Episode(
        **{
            "index_seq": next(_sequence),
            "origin": "online" if robot else "demonstration",
            "outcome": "success",
            "outcome_source": "environment",
            "robot": robot,
            "task": task,
            "instruction": task.instruction,
            "seed": 1,
            "steps": 10,
            "human_steps": 0,
            "control_rate_hz": 10.0,
            "started_at": ended - timedelta(seconds=1),
            "ended_at": ended,
            "indexed_at": ended,
            "manifest_key": "none",
            "manifest_sha256": "0" * 64,
            "size_bytes": 1,
            **values,
        }
    )
    with transaction.atomic(), rollup_episodes_changed(episode_ids=[row.id]):
        row.save(force_insert=True)
    return row


@dataclass(frozen=True)
class Site:
    robot: Robot
    task: Task
    episode: Episode
    dataset: Dataset
    version: DatasetVersion
    export: Export
    alert: Alert
    request: HelpRequest
    imported: DatasetImport


def dataset_of(name: str, *episodes: Episode, by: Any = None) -> DatasetVersion:
    dataset = Dataset.objects.create(name=name, created_by=by)
    version = DatasetVersion.objects.create(dataset=dataset, number=1, query={}, seed=0)
    for position, row in enumerate(episodes):
        frozen = {"episode": row, "outcome": row.outcome, "manifest_sha256": row.manifest_sha256}
        DatasetEpisode.objects.create(version=version, position=position, split="train", **frozen)
    DatasetVersion.objects.filter(id=version.id).update(
        digest=uuid.uuid4().hex * 2,
        episodes_count=len(episodes),
        state="ready",
        statistics=dataset_overview(version=version),
    )
    version.refresh_from_db()
    return version


def site(name: str) -> Site:
    """A robot tagged with the site's name and everything that comes of it."""
    now = timezone.now()
    robot = Robot.objects.create(name=f"{name}-arm", tags=[name])
    task = Task.objects.create(slug=f"{name}-task", instruction="do", driver_task="do", max_steps=10)
    episode = episode_row(robot, task)
    version = dataset_of(f"{name}-data", episode)
    export = Export.objects.create(
        dataset_version=version, info={"name": name, "digest": "0"}, format="raw", folder=name, heartbeat_at=now,
        episodes=1, frames_total=10, bytes_total=1,
    )  # fmt: skip
    rule = AlertRule.objects.create(name=f"{name}-rule", kind="offline", params={})
    alert = Alert.objects.create(
        rule=rule, rule_name=rule.name, kind="offline", severity="warning", subject_kind="robot",
        subject_id=str(robot.id), subject_name=robot.name, opened_at=now, last_seen_at=now, unit="s", value=1, text="-",
    )  # fmt: skip
    request = HelpRequest.objects.create(
        robot=robot, task=task, reason="paused", score=0.5, opened_at=now, ranked_at=now
    )
    imported = DatasetImport.objects.create(name=name)
    return Site(robot, task, episode, version.dataset, version, export, alert, request, imported)


def person(users: Any, name: str, *roles: Role, groups: tuple[PeopleGroup, ...] = ()) -> Any:
    user = users.objects.create_user(name)
    person_roles_set(user=user, roles=roles or (Role.MANAGER, Role.EXPORTER))
    if groups:
        people_limit(user_id=user.pk, groups=groups)
    return user


def group_of(tag: str, *tasks: Task) -> PeopleGroup:
    """A group of the robots with a tag, at all tasks or at these."""
    change = GroupChange(
        name=f"site {tag}", robot_tags=(tag,), covers_all_tasks=not tasks, tasks=tuple(task.id for task in tasks)
    )
    return people_group_create(change=change)
