"""A frozen version: nothing changes it afterwards, and its episodes are read as they were frozen."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from django.db import IntegrityError, connection, models, transaction

from fleet.exports.base import Entry
from fleet.models import Dataset, DatasetEpisode, DatasetVersion, Episode
from fleet.protocol.errors import ObjectMismatch
from fleet.protocol.recording import STEPS_OBJECT, Outcome
from fleet.selectors.dataset import dataset_entries, dataset_info
from fleet.selectors.dataset_selection import Selection
from fleet.services.episode_label import LabelChange, episodes_label
from fleet.storage import keys
from fleet.storage.local import LocalStore
from tests.fleet.services.dataset_rows import freeze

pytestmark = pytest.mark.django_db


def _refused(change: Any) -> None:
    with pytest.raises((IntegrityError, models.ProtectedError)), transaction.atomic():
        change()


def test_nothing_changes_a_frozen_version(dataset: Dataset, ann: Any, episodes: list[Episode]) -> None:
    """Not the services, not the ORM, not SQL: the database refuses."""
    version = freeze(dataset, ann)
    held = DatasetEpisode.objects.filter(version=version)
    mine = DatasetVersion.objects.filter(id=version.id)
    one = held.get(position=0)
    extra = DatasetEpisode(version=version, position=10, episode=episodes[0], split="train", outcome="success")
    _refused(lambda: held.update(outcome="failure"))
    _refused(lambda: held.filter(position=0).delete())
    _refused(lambda: held._raw_delete(held.db))
    held.filter(position=99).update(position=98)
    _refused(lambda: DatasetEpisode.objects.bulk_create([extra]))
    for change in ({"seed": 9}, {"digest": "0" * 64}, {"splits": []}, {"query": {}}, {"frames": 1}, {"digest": ""}):
        _refused(lambda change=change: mine.update(**change))
    _refused(lambda: mine.delete())
    _refused(lambda: mine._raw_delete(mine.db))
    _refused(lambda: dataset.delete())
    mine.update(notes="may change", card="is derived")
    version.refresh_from_db()
    one.refresh_from_db()
    assert (version.seed, version.notes, one.outcome, held.count()) == (3, "may change", one.outcome, 10)


def test_an_episode_of_a_version_is_not_deleted(dataset: Dataset, ann: Any, episodes: list[Episode]) -> None:
    freeze(dataset, ann, Selection(ids=(episodes[0].id, episodes[1].id)), splits={"train": 1.0})
    with pytest.raises(models.ProtectedError):
        episodes[0].delete()

    def by_sql() -> None:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM fleet_segment")
            cursor.execute("DELETE FROM fleet_episode WHERE id = %s", [episodes[0].id])
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")

    _refused(by_sql)
    episodes[5].delete()
    assert Episode.objects.count() == 9


def test_later_labels_do_not_reach_a_version(dataset: Dataset, ann: Any, episodes: list[Episode]) -> None:
    episodes_label(episode_ids=[episodes[0].id], user=ann, change=LabelChange(outcome=Outcome.FAILURE, tags=("kept",)))
    version = freeze(dataset, ann)
    episodes_label(episode_ids=[episodes[0].id], user=ann, change=LabelChange(outcome=Outcome.SUCCESS, tags=()))
    entry = _entry(version, episodes[0])
    assert (entry.outcome, entry.tags, entry.is_success) == (Outcome.FAILURE, ("kept",), False)
    assert entry.manifest.outcome is Outcome.SUCCESS, "the manifest is what was recorded"


def _entry(version: DatasetVersion, episode: Episode) -> Entry:
    return next(e for e in dataset_entries(version=version) if e.manifest.episode_id == str(episode.id))


def test_entries_come_split_by_split_with_their_objects(dataset: Dataset, ann: Any, episodes: list[Episode]) -> None:
    version = freeze(dataset, ann)
    entries = dataset_entries(version=version)
    found = list(entries)
    assert [entry.split for entry in found] == ["train"] * 7 + ["val"] * 3
    assert len(entries) == 10
    val = dataset_entries(version=version, splits=["val"])
    assert [e.manifest.episode_id for e in val] == [e.manifest.episode_id for e in found[7:]]
    with entries.open(found[0].manifest.episode_id, STEPS_OBJECT) as file:
        data = file.read()
    record = next(record for record in found[0].manifest.objects if record.name == STEPS_OBJECT)
    assert hashlib.sha256(data).hexdigest() == record.sha256
    info = dataset_info(version=version)
    assert (info.name, info.version, info.digest, info.licence) == ("pushes", "1", version.digest, "cc-by-4.0")
    assert info.card.startswith("Pushing.\n\n- Version 1, frozen ")


def test_a_manifest_that_was_swapped_is_noticed(
    dataset: Dataset, ann: Any, episodes: list[Episode], objects: LocalStore
) -> None:
    version = freeze(dataset, ann)
    other = objects.get(keys.episode_object(str(episodes[1].id), "manifest.json"))
    objects.put(keys.episode_object(str(episodes[0].id), "manifest.json"), other)
    with pytest.raises(ObjectMismatch) as refused:
        list(dataset_entries(version=version))
    assert refused.value.data["episode_id"] == str(episodes[0].id)
