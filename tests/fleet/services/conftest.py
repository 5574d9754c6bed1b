"""Fixtures that several modules of this folder share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fleet.models import Dataset, Episode, PolicyVersion, Robot, Task
    from fleet.storage.local import LocalStore
    from tests.fleet.outbound.receiver import Receiver

# Imports that need Django stay inside the fixtures: pytest loads this file before Django.


@pytest.fixture
def ann(django_user_model: Any) -> Any:
    return django_user_model.objects.create_user("ann")


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    from tests.fleet.outbound.receiver import listening

    settings.SOP_WEBHOOK_ALLOW = "127.0.0.0/8"
    settings.SOP_WEBHOOK_TIMEOUT_S = 2.0
    with listening() as found:
        yield found


@pytest.fixture
def task() -> Task:
    from tests.fleet import builders

    return builders.task()


@pytest.fixture
def episodes(objects: LocalStore, task: Task) -> list[Episode]:
    """Ten of one robot; a person helped in four, the last one failed."""
    from fleet.protocol.recording import Outcome
    from tests.fleet import builders
    from tests.fleet.api.episode_rows import register

    robot = builders.enrol("arm-1").robot
    rows = [register(task, robot, steps=5 + k, human=k % 2, operator="ada" if k % 2 else "") for k in range(9)]
    return [*rows, register(task, robot, steps=4, outcome=Outcome.FAILURE)]


@pytest.fixture
def dataset(ann: Any) -> Dataset:
    from fleet.services.dataset import dataset_create

    return dataset_create(user=ann, name="pushes", description="Pushing.", licence="cc-by-4.0")


@pytest.fixture
def run(objects: LocalStore) -> Any:
    from tests.fleet import builders

    return builders.running_run()


@pytest.fixture
def robots() -> list[Robot]:
    """Three whose daemons can shadow."""
    from tests.fleet import builders
    from tests.fleet.services.shadow_rows import connect

    found = [builders.enrol().robot for _ in range(3)]
    for robot in found:
        connect(robot)
    return found


@pytest.fixture
def candidate(run: Any, robots: list[Robot]) -> PolicyVersion:
    """Version 1; every robot shall drive with version 0."""
    from fleet.services.rollout import release_strategy_set
    from tests.fleet.services.shadow_rows import publish

    publish(run)
    release_strategy_set(run_id=run.id, strategy="manual", revision=0)
    return publish(run, 25)
