"""Recorded episodes with real videos, registered, for the tests of exports; and workers that run in the test."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model

from fleet.models import Episode, Export, Robot, Task
from fleet.selectors.dataset_selection import Selection
from fleet.services.episode import episode_register
from fleet.services.export import ExportAsked
from fleet.services.export_run import export_run
from tests.fleet import builders
from tests.fleet.exports.made import write_episode


def user(name: str = "ann") -> Any:
    return get_user_model().objects.get_or_create(username=name)[0]


def recorded(count: int = 3, *, first: int = 1, **changes: Any) -> list[Episode]:
    """Register episodes of 8 steps with one camera, in the order of their recording."""
    robot = Robot.objects.first() or builders.enrol("arm-1").robot
    task = Task.objects.first() or builders.task("push")
    made = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + count):
            manifest = write_episode(
                Path(folder), seed, steps=8, robot_id=str(robot.id), robot_name=robot.name, task_id=str(task.id),
                task_slug=task.slug, policy_version_id=None, started_ns=10**18 + seed * 10**10,
                ended_ns=10**18 + seed * 10**10 + 8 * 10**8, **changes,
            )  # fmt: skip
            files = {path.name: path.read_bytes() for path in (Path(folder) / manifest.episode_id).iterdir()}
            builders.store(manifest, files)
            episode_register(robot_id=str(robot.id), manifest=manifest, uploaded_ns=None)
            made.append(Episode.objects.get(id=manifest.episode_id))
    return made


def asked(episodes: list[Episode], **changes: Any) -> ExportAsked:
    ids = tuple(episode.id for episode in episodes)
    values: dict[str, Any] = {"selection": Selection(ids=ids), "query": {"ids": len(ids)}, "format": "raw"}
    return ExportAsked(**(values | changes))


def work(export: Export) -> Export:
    """Let a worker take the export up once; return its row as it is then."""
    export.refresh_from_db()
    export_run(export_id=str(export.id), epoch=export.epoch)
    export.refresh_from_db()
    return export
