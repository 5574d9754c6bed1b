"""What the demo asks of the rows, through Django in its own process: progress, the report, the final policy.

`setup_django` must come after the services run and before anything else here. The demo's process never serves requests.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def setup_django(env: Mapping[str, str]) -> None:
    """Load Django with the demo's environment."""
    os.environ.update(env)
    import django

    django.setup()


def report_rows() -> dict[str, Any]:
    """Return what `manage.py report_rows --json` prints."""
    from fleet.selectors.report import rows_report

    return dict(rows_report())


def registered_episodes() -> list[str]:
    """Return the ids of all episodes that the server registered from robots."""
    from fleet.models import Episode

    return [str(row) for row in Episode.objects.filter(origin="online").values_list("id", flat=True)]


def end_assignments() -> None:
    """Let every robot finish its episode and begin no other."""
    from fleet.models import Assignment
    from fleet.services.assignment import assignment_set

    for robot_id, task_id in Assignment.objects.filter(ended_at__isnull=True).values_list("robot_id", "task_id"):
        assignment_set(robot_id=robot_id, task_id=task_id, weight=None)


def busy_robots() -> list[str]:
    """Return the names of robots that are in an episode or prepare one."""
    from fleet.selectors.robot_card import robot_cards

    return [card.name for card in robot_cards() if card.is_online and card.activity in ("running", "resetting")]


def stop_runs() -> None:
    """Stop training; the holder of a run ends at its next write."""
    from fleet.models import TrainingRun
    from fleet.services.training import training_run_stop

    for run_id in TrainingRun.objects.filter(state=TrainingRun.State.RUNNING).values_list("id", flat=True):
        training_run_stop(run_id=run_id)


def run_base_blobs(name: str) -> set[str] | None:
    """Return the SHA-256 of the weights that a run began from; None if it has no base yet."""
    from fleet.models import PolicyVersion

    base = PolicyVersion.objects.filter(run__name=name, number=0).first()
    return set(base.blobs) if base is not None else None


def export_newest_policy(folder: Path) -> int:
    """Write the newest published version as a policy directory; return its number. Raises: LookupError without one."""
    from fleet.selectors.objects import object_store
    from fleet.selectors.policy import policy_version_newest
    from fleet.storage import keys

    version = policy_version_newest()
    if version is None:
        raise LookupError("no policy version is published")
    store = object_store()
    folder.mkdir(parents=True, exist_ok=True)
    for sha256 in version.blobs:
        (folder / f"{sha256}.safetensors").write_bytes(store.get(keys.policy_blob(sha256)))
    (folder / "manifest.json").write_bytes(store.get(version.manifest_key))
    return int(version.number)


def assign_tasks(robot_names: list[str], task_slugs: tuple[str, ...]) -> list[str]:
    """Give the robots that are enrolled all tasks with equal weight; return the names that are not enrolled yet."""
    from fleet.models import Robot, Task
    from fleet.services.assignment import assignment_set

    tasks = list(Task.objects.filter(slug__in=task_slugs).values_list("id", flat=True))
    robots = dict(Robot.objects.filter(name__in=robot_names).values_list("name", "id"))
    for robot_id in robots.values():
        for task_id in tasks:
            assignment_set(robot_id=robot_id, task_id=task_id, weight=1.0)
    return [name for name in robot_names if name not in robots]


def start_run(name: str) -> None:
    """Let the demo's run train, under a new epoch."""
    from fleet.models import TrainingRun
    from fleet.services.training import training_run_start

    training_run_start(run_id=TrainingRun.objects.get(name=name).id)
