"""Rounds of runs that learn from a dataset: its split with the outcomes that were frozen, whatever happens later."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction

from fleet.errors import InvalidRequest
from fleet.models import DatasetEpisode, DatasetVersion, PolicyVersion, TrainingRun
from fleet.protocol.recording import MANIFEST_OBJECT, Outcome
from fleet.selectors.dataset_selection import Selection
from fleet.selectors.objects import object_store
from fleet.selectors.training import fleet_run, run_experience
from fleet.services.dataset import dataset_create
from fleet.services.dataset_freeze import dataset_freeze
from fleet.services.dataset_train import dataset_train
from fleet.services.episode_label import LabelChange, episodes_label
from fleet.storage import keys
from learner import tasks
from tests.fleet import builders
from tests.learner.rounds_made import CONFIG, register, start, train

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("services", "cold_process")]


@pytest.fixture
def ann() -> Any:
    return get_user_model().objects.create_user("ann")


def freeze(ann: Any, episodes: list[str], splits: dict[str, float] | None = None) -> DatasetVersion:
    dataset = dataset_create(user=ann, name="boxes")
    ids = tuple(uuid.UUID(each) for each in episodes)
    return dataset_freeze(
        dataset_id=dataset.id,
        user=ann,
        selection=Selection(ids=ids),
        asked={"ids": episodes},
        splits=splits or {"train": 1.0},
        seed=1,
    )


def train_from(version: DatasetVersion, base: PolicyVersion, **changes: Any) -> TrainingRun:
    values: dict[str, Any] = {
        "name": "from-dataset",
        "algorithm": "hg_dagger",
        "config": CONFIG,
        "seed": 5,
        "split": "train",
        "takes_online": False,
        "target_steps": 12,
    }
    return dataset_train(version=version, base=base, **values | changes)


def base_version() -> PolicyVersion:
    return PolicyVersion.objects.get(run=start("base"), number=0)


def learned() -> dict[str, tuple[Outcome, bool]]:
    """Episode id -> the outcome that the learner was told, and whether it is in the online buffer."""
    warm = tasks._process.warm
    assert warm is not None
    found = {}
    for number, entry in enumerate(warm.trainer.replay._entries):
        manifest = warm.trainer.replay.episode(number).manifest
        found[manifest.episode_id] = (manifest.outcome, entry.draw.is_online)
    return found


def test_a_run_learns_from_its_dataset_alone(ann: Any):
    """Of two demonstrations and an online episode the dataset holds two; what is relabelled or recorded later, even an
    archived member, changes nothing. Cold rounds end in the same weights as warm ones, and the run ends by itself."""
    robot = builders.enrol().robot
    inside = [register("one"), register("online", robot)]
    register("outside")
    episodes_label(episode_ids=[uuid.UUID(inside[0])], user=ann, change=LabelChange(outcome=Outcome.FAILURE))
    version = freeze(ann, inside)
    base = base_version()
    run, cold = train_from(version, base), train_from(version, base, name="cold")
    label = LabelChange(outcome=Outcome.ABORTED, is_archived=True)
    episodes_label(episode_ids=[uuid.UUID(each) for each in inside], user=ann, change=label)
    train(run)
    register("later", robot)
    train(run)
    assert learned() == {inside[0]: (Outcome.FAILURE, False), inside[1]: (Outcome.SUCCESS, False)}
    for _ in range(2):
        tasks._process.warm = None
        train(cold)
    run.refresh_from_db()
    assert (run.state, run.step) == ("stopped", 12)
    weights = [
        list(PolicyVersion.objects.filter(run=each).order_by("number").values("step", "blobs")) for each in (run, cold)
    ]
    assert [row["step"] for row in weights[0]] == [0, 2, 4, 6, 8, 10, 12] and weights[0] == weights[1]
    assert (run_experience(run=run).usable, run_experience(run=run).ingested) == (2, 2)
    first = PolicyVersion.objects.get(run=run, number=0)
    assert first.blobs == base.blobs and first.id != base.id


def test_only_the_split_that_was_chosen_is_read(ann: Any):
    names = [register(f"episode {k}") for k in range(4)]
    version = freeze(ann, names, {"train": 0.5, "val": 0.5})
    train(train_from(version, base_version(), split="val"))
    rows = DatasetEpisode.objects.filter(version=version, split="val")
    assert set(learned()) == {str(row.episode_id) for row in rows}


def test_new_episodes_come_on_top_where_they_are_wanted(ann: Any):
    """Online ones outside the dataset; not demonstrations, and not what the dataset keeps for validation."""
    robot = builders.enrol().robot
    inside = [register(f"online {k}", robot) for k in range(2)]
    version = freeze(ann, inside, {"train": 0.5, "val": 0.5})
    kept = str(DatasetEpisode.objects.get(version=version, split="train").episode_id)
    run = train_from(version, base_version(), takes_online=True, target_steps=None)
    new = register("new", robot)
    register("a demonstration")
    train(run)
    assert learned() == {kept: (Outcome.SUCCESS, False), new: (Outcome.SUCCESS, True)}


def test_a_swapped_manifest_is_left_out(ann: Any):
    """What was frozen is what is learned from, or nothing is."""
    good, bad = register("good"), register("bad")
    version = freeze(ann, [good, bad])
    key = keys.episode_object(bad, MANIFEST_OBJECT)
    object_store().put(key, object_store().get(key).replace(b'"seed":1', b'"seed":2'))
    train(train_from(version, base_version()))
    assert set(learned()) == {good}


def test_a_run_on_a_dataset_alone_feeds_no_robot(ann: Any):
    """Studying a dataset does not change what robots drive with."""
    version, base = freeze(ann, [register("one")]), base_version()
    train_from(version, base)
    found = fleet_run()
    assert found is not None and found.name == "base"


def test_impossible_runs_are_refused(ann: Any):
    version, base = freeze(ann, [register("one")]), base_version()
    for changes in ({"split": "val"}, {"target_steps": None}, {"name": " "}, {"name": "a\nb"}, {"name": "base"}):
        with pytest.raises(InvalidRequest):
            train_from(version, base, **changes)
    with pytest.raises(IntegrityError), transaction.atomic():
        TrainingRun.objects.create(name="nothing", algorithm="hg_dagger", takes_online=False)
    assert TrainingRun.objects.count() == 1
