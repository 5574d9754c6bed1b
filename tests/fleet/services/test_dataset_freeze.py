"""Freezing: what is in a version, in which split and under which digest."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from django.db import connection

from fleet.errors import (
    DatasetArchived,
    InvalidRequest,
    NameTaken,
    NotFound,
    SelectionChanged,
    SelectionEmpty,
    SelectionTooLarge,
    SplitEmpty,
)
from fleet.models import Dataset, DatasetEpisode, DatasetVersion, Episode, Task
from fleet.protocol.recording import Outcome
from fleet.selectors.dataset_selection import Selection, selection_counts
from fleet.selectors.dataset_split import sound_splits, split_counts
from fleet.selectors.episode_filter import EpisodeFilter
from fleet.services.dataset import DatasetChange, dataset_change, dataset_collect, dataset_create, dataset_uncollect
from fleet.services.episode_label import LabelChange, episodes_label
from tests.fleet import builders
from tests.fleet.api.episode_rows import register
from tests.fleet.services.dataset_rows import ALL, SPLITS, freeze, split_of

pytestmark = pytest.mark.django_db


def counts(dataset: Dataset, selection: Selection = ALL, splits: Mapping[str, float] = SPLITS, **changes: Any) -> Any:
    values: dict[str, Any] = {"is_stratified": False, **changes}
    rows = Episode.objects.all()
    return selection_counts(rows, dataset_id=dataset.id, selection=selection, splits=sound_splits(splits), **values)


def test_a_version_counts_what_it_holds(dataset: Dataset, ann: Any, episodes: list[Episode]) -> None:
    shown = counts(dataset)
    version = freeze(dataset, ann, notes="first", expected=shown.fingerprint)
    assert (version.number, version.frozen_by_name, version.notes) == (1, "ann", "first")
    assert (version.episodes_count, version.successes, version.terminated) == (10, 9, 10)
    assert (version.frames, version.human_frames) == (sum(row.steps for row in episodes), 4)
    assert version.size_bytes == sum(row.size_bytes for row in episodes)
    assert version.splits == [
        {"name": "train", "share": 0.7, "episodes": 7},
        {"name": "val", "share": 0.3, "episodes": 3},
    ]
    assert (shown.episodes, shown.frames, shown.splits) == (10, version.frames, [("train", 7), ("val", 3)])
    assert shown.tasks == [("box-close", 10)]


def test_the_digest_is_what_the_documentation_says(dataset: Dataset, ann: Any, episodes: list[Episode]) -> None:
    """Recomputed by hand: split by SHA-256 of seed and id, splits largest first, in each by time of recording."""
    version = freeze(dataset, ann)
    by_hash = sorted(episodes, key=lambda row: hashlib.sha256(f"3:{row.id}".encode()).digest())
    places = {row.id: (0 if rank < 7 else 1) for rank, row in enumerate(by_hash)}
    ordered = sorted(episodes, key=lambda row: (places[row.id], row.started_at, row.id))
    lines = ['{"format":"sop-dataset-1","seed":3,"splits":[["train",0.7],["val",0.3]],"stratified":false}\n']
    for row in ordered:
        values = [str(row.id), row.manifest_sha256, ("train", "val")[places[row.id]], row.outcome, []]
        lines.append(msgspec.json.encode(values).decode() + "\n")
    assert version.digest == hashlib.sha256("".join(lines).encode()).hexdigest()
    stored = DatasetEpisode.objects.filter(version=version).order_by("position")
    assert [(row.position, row.episode_id) for row in stored] == list(enumerate(row.id for row in ordered))


def test_the_same_data_frozen_the_same_way_has_the_same_digest(
    dataset: Dataset, ann: Any, episodes: list[Episode]
) -> None:
    first, named = freeze(dataset, ann), dataset_create(user=ann, name="other")
    by_ids = Selection(ids=tuple(row.id for row in reversed(episodes)))
    assert freeze(named, ann, by_ids, splits={"val": 0.3, "train": 0.7}).digest == first.digest
    assert freeze(dataset, ann, seed=4).digest != first.digest
    assert freeze(dataset, ann, is_stratified=True).digest != first.digest
    episodes_label(episode_ids=[episodes[0].id], user=ann, change=LabelChange(tags=("a", "b")))
    tagged = freeze(dataset, ann)
    assert tagged.digest != first.digest
    episodes_label(episode_ids=[episodes[0].id], user=ann, change=LabelChange(tags=("b", "a")))
    assert freeze(dataset, ann).digest == tagged.digest, "the order of tags says nothing"
    assert DatasetVersion.objects.filter(dataset=dataset).count() == 5


def test_what_is_added_moves_only_episodes_beside_the_cut(
    dataset: Dataset, ann: Any, task: Task, episodes: list[Episode]
) -> None:
    before = split_of(freeze(dataset, ann))
    register(task, Episode.objects.get(id=episodes[0].id).robot)
    after = split_of(freeze(dataset, ann))
    moved = [row for row, split in before.items() if after[row] != split]
    assert len(moved) <= 1 and len(after) == 11


def test_tasks_are_cut_by_themselves_when_asked(dataset: Dataset, ann: Any, episodes: list[Episode]) -> None:
    other, robot = builders.task("bin-picking"), builders.enrol().robot
    rare = [register(other, robot) for _ in range(4)]
    splits = {"train": 0.75, "test": 0.25}
    version = freeze(dataset, ann, splits=splits, is_stratified=True)
    of = split_of(version)
    assert sorted(of[row.id] for row in rare) == ["test", "train", "train", "train"]
    assert [(s["name"], s["episodes"]) for s in version.splits] == [("train", 11), ("test", 3)]
    assert counts(dataset, splits=splits, is_stratified=True).splits == [("train", 11), ("test", 3)]


@pytest.mark.parametrize(
    ("episodes", "shares", "expected"),
    [
        (10, {"train": 0.8, "val": 0.1, "test": 0.1}, [8, 1, 1]),
        (3, {"train": 0.9, "val": 0.1}, [3, 0]),
        (7, {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, [3, 2, 2]),
        (101, {"train": 0.5, "val": 0.5}, [51, 50]),
        (1000, {"train": 0.7, "val": 0.2, "test": 0.1}, [700, 200, 100]),
        (0, {"train": 1.0}, [0]),
    ],
)
def test_shares_become_whole_episodes(episodes: int, shares: dict[str, float], expected: list[int]) -> None:
    assert split_counts(episodes, sound_splits(shares)) == expected


@pytest.mark.parametrize(
    "shares",
    [
        {},
        {"train": 0.8, "val": 0.1},
        {"train": 1.0, "val": 0.0},
        {"train": 1.5, "val": -0.5},
        {"train": float("nan")},
        {"Train": 1.0},
        {"": 1.0},
        {"../x": 1.0},
        {"x" * 33: 1.0},
        {f"s{k}": 1 / 11 for k in range(11)},
    ],
)
def test_impossible_shares_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        sound_splits(shares)
    assert refused.value.data["field"] == "splits"


IMPOSSIBLE: tuple[tuple[dict[str, Any], type[Exception]], ...] = (
    ({"selection": Selection(filter=EpisodeFilter(text="nowhere"))}, SelectionEmpty),
    ({"selection": Selection()}, SelectionEmpty),
    ({"selection": Selection(ids=())}, InvalidRequest),
    ({"selection": Selection(ids=(uuid.UUID(int=1),))}, InvalidRequest),
    ({"selection": Selection(ids=tuple(uuid.UUID(int=k) for k in range(10_001)))}, InvalidRequest),
    ({"splits": {"train": 0.99, "val": 0.01}}, SplitEmpty),
    ({"splits": {"train": 0.5}}, InvalidRequest),
    ({"seed": 2**63}, InvalidRequest),
    ({"notes": "a\x00b"}, InvalidRequest),
    ({"expected": "0" * 32}, SelectionChanged),
)


def test_what_cannot_be_frozen_leaves_nothing(dataset: Dataset, ann: Any, episodes: list[Episode]) -> None:
    for changes, error in IMPOSSIBLE:
        with pytest.raises(error):
            freeze(dataset, ann, **changes)
        assert not DatasetVersion.objects.exists() and not DatasetEpisode.objects.exists(), changes
    assert freeze(dataset, ann).number == 1


def test_a_version_holds_no_more_than_is_set(
    dataset: Dataset, ann: Any, episodes: list[Episode], settings: Any
) -> None:
    settings.SOP_DATASET_EPISODES = 9
    with pytest.raises(SelectionTooLarge):
        freeze(dataset, ann)


def test_a_label_between_preview_and_freeze_is_noticed(dataset: Dataset, ann: Any, episodes: list[Episode]) -> None:
    changes = (LabelChange(is_archived=True), LabelChange(outcome=Outcome.FAILURE), LabelChange(tags=("x",)))
    for k, change in enumerate(changes):
        shown = counts(dataset).fingerprint
        episodes_label(episode_ids=[episodes[k].id], user=ann, change=change)
        with pytest.raises(SelectionChanged):
            freeze(dataset, ann, expected=shown)
        assert not DatasetVersion.objects.exists()
    assert freeze(dataset, ann, expected=counts(dataset).fingerprint).number == 1


def test_archived_episodes_that_are_named_are_left_out_and_counted(
    dataset: Dataset, ann: Any, episodes: list[Episode]
) -> None:
    episodes_label(episode_ids=[episodes[0].id], user=ann, change=LabelChange(is_archived=True))
    named = Selection(ids=tuple(row.id for row in episodes))
    assert counts(dataset, named).archived_left_out == 1
    version = freeze(dataset, ann, named)
    assert (version.episodes_count, version.archived_left_out) == (9, 1)
    assert "1 archived episodes were left out" in version.card


def test_collected_episodes_are_frozen(dataset: Dataset, ann: Any, episodes: list[Episode]) -> None:
    ids = tuple(row.id for row in episodes)
    assert dataset_collect(dataset_id=dataset.id, user=ann, selection=Selection(ids=ids[:4])) == 4
    failures = Selection(filter=EpisodeFilter(outcome=("failure",)))
    assert dataset_collect(dataset_id=dataset.id, user=ann, selection=failures) == 1
    assert dataset_collect(dataset_id=dataset.id, user=ann, selection=Selection(ids=ids[2:5])) == 1, "once each"
    assert dataset_uncollect(dataset_id=dataset.id, user=ann, ids=ids[:2]) == 2
    version = freeze(dataset, ann, Selection())
    assert set(split_of(version)) == {*ids[2:5], ids[9]}
    assert dataset_uncollect(dataset_id=dataset.id, user=ann, ids=None) == 4


def test_an_archived_dataset_takes_nothing_new(dataset: Dataset, ann: Any, episodes: list[Episode]) -> None:
    dataset_change(dataset_id=dataset.id, change=DatasetChange(is_archived=True), revision=0)
    with pytest.raises(DatasetArchived):
        freeze(dataset, ann)
    with pytest.raises(DatasetArchived):
        dataset_collect(dataset_id=dataset.id, user=ann, selection=ALL)
    with pytest.raises(NotFound):
        freeze(Dataset(id=uuid.uuid4()), ann)


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\x00b", "\u202egnp", "x" * 101, "\ud800"])
def test_impossible_names_are_refused(ann: Any, name: str) -> None:
    with pytest.raises(InvalidRequest):
        dataset_create(user=ann, name=name)
    assert not Dataset.objects.exists()


def test_a_name_is_there_once_however_it_is_composed(ann: Any) -> None:
    assert dataset_create(user=ann, name=" W\u00fcrfel \U0001f7e5 ").name == "W\u00fcrfel \U0001f7e5"
    with pytest.raises(NameTaken):
        dataset_create(user=ann, name="Wu\u0308rfel \U0001f7e5")


@pytest.mark.django_db(transaction=True)
def test_two_people_freeze_at_once(dataset: Dataset, ann: Any, episodes: list[Episode]) -> None:
    """Each gets a version with a number of its own and the same digest."""
    made: list[DatasetVersion] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait(timeout=10)
        try:
            made.append(freeze(dataset, ann))
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(version.number for version in made) == [1, 2, 3, 4]
    assert len({version.digest for version in made}) == 1
