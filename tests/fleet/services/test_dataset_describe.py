"""A version described: statistics from the steps, the card, and describing that fails or falls silent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fleet.models import Dataset, DatasetVersion, Episode, Task
from fleet.protocol.recording import STEPS_OBJECT, Outcome
from fleet.services.dataset_describe import dataset_describe, datasets_reap
from fleet.storage import keys
from fleet.storage.base import StoreUnavailable
from fleet.storage.local import LocalStore
from tests.fleet import builders
from tests.fleet.api.episode_rows import register
from tests.fleet.services.dataset_rows import freeze

pytestmark = pytest.mark.django_db


def test_statistics_come_from_the_steps(dataset: Dataset, ann: Any, task: Task, objects: LocalStore) -> None:
    """In pieces, equal to those of all steps at once; an unreadable episode is named and does not stop the rest."""
    robot, random = builders.enrol().robot, np.random.default_rng(1)
    made = []
    for steps in (3, 5, 8):
        arrays = builders.step_arrays(steps)
        arrays["action"] = random.normal(size=arrays["action"].shape).astype(np.float32)
        made.append((register(task, robot, steps=steps, arrays=arrays), arrays["action"]))
    broken = register(task, robot)
    objects.put(keys.episode_object(str(broken.id), STEPS_OBJECT), b"not it")
    version = freeze(dataset, ann, splits={"train": 1.0})
    pieces = 0
    while not dataset_describe(version_id=str(version.id), budget_s=0.0):
        pieces += 1
    version.refresh_from_db()
    assert (pieces, version.state) == (3, "ready")
    action, state = version.statistics["features"]
    every = np.concatenate([values for _, values in made]).astype(np.float64)
    assert (action["axes"], action["episodes"], action["frames"]) == (list(builders.ACTIONS), 3, 16)
    for kind in ("min", "max", "mean", "std"):
        np.testing.assert_allclose(action[kind], getattr(every, kind)(axis=0), rtol=1e-12)
    assert state["axes"] == list(builders.PROPRIO)
    read = version.statistics["steps_read"]
    assert (read["episodes"], read["unreadable"]) == (4, 1)
    assert (read["problems"][0]["episode"], read["problems"][0]["code"]) == (str(broken.id), "object_mismatch")
    assert "| action \\(" not in version.card and "| action (3 episodes, 16 frames) | min |" in version.card
    before = version.statistics
    assert dataset_describe(version_id=str(version.id))
    version.refresh_from_db()
    assert version.statistics == before, "describing again changes nothing"


def test_the_card_says_who_and_how_and_takes_nothing_for_markdown(
    dataset: Dataset, ann: Any, task: Task, objects: LocalStore
) -> None:
    robot = builders.enrol("arm | [x](y) <b>").robot
    rows = [register(task, robot, steps=6, human=2, operator="ada") for _ in range(3)]
    register(task, robot, outcome=Outcome.FAILURE)
    register(task, robot, outcome=Outcome.ABORTED)
    version = freeze(dataset, ann, splits={"train": 0.8, "val": 0.2})
    assert "- Success: 3 of 4 that terminated, 75.0% [30.1%, 95.4%] (95 % Wilson)" in version.card
    assert f"- People drove 6 frames ({6 / 28:.1%}), took over in 3 episodes, and drove 0 wholly" in version.card
    assert r"| arm \| \[x\](y) \<b\> | 5 | 3 |" in version.card
    assert "| ada | 3 | 6 |" in version.card
    assert "| train | 4 | " in version.card
    assert version.statistics["operators"] == [{"name": "ada", "episodes": 3, "frames": 6}]
    assert rows[0].operators == ["ada"]


def test_a_store_that_stays_silent_does_not_hold_a_version_for_ever(
    dataset: Dataset, ann: Any, episodes: list[Episode], monkeypatch: pytest.MonkeyPatch
) -> None:
    version = freeze(dataset, ann)

    def silent(**_: Any) -> Any:
        raise StoreUnavailable("no answer")

    monkeypatch.setattr("fleet.services.dataset_describe.dataset_episode_manifest", silent)
    monkeypatch.setattr("fleet.services.dataset_describe.MAX_ATTEMPTS", 2)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            dataset_describe(version_id=str(version.id))
    version.refresh_from_db()
    assert (version.state, version.statistics["steps_read"]["unreadable"]) == ("ready", 10)
    assert "The steps of 10 episodes could not be read" in version.card


def test_a_describing_that_fell_silent_is_asked_for_again(
    dataset: Dataset, ann: Any, episodes: list[Episode], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    version = freeze(dataset, ann)
    monkeypatch.setattr(
        "fleet.services.dataset_describe.enqueue_dataset_describe", lambda *, version_id: asked.append(version_id)
    )
    datasets_reap()
    assert asked == []
    long_ago = version.frozen_at.replace(year=2020)
    DatasetVersion.objects.filter(id=version.id).update(described_at=long_ago)
    datasets_reap()
    datasets_reap()
    assert asked == [str(version.id)]
