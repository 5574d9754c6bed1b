"""Stored objects hashed again: what is damaged is named, marked, left out of learning, and cleared when it is back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from fleet.models import Episode, StorageState, TrainingRound
from fleet.selectors.episode import episodes_for_learner
from fleet.services import storage_verify as verification
from fleet.services.episode import episode_register
from fleet.services.policy import policy_version_publish
from fleet.services.storage_verify import storage_verify
from fleet.storage import keys
from fleet.storage.local import LocalStore
from tests.fleet import builders

pytestmark = pytest.mark.django_db


def _registered(count: int) -> list[Episode]:
    task, made = builders.task(), []
    for _ in range(count):
        manifest, files = builders.episode(task, None)
        builders.store(manifest, files)
        made.append(episode_register(robot_id=None, manifest=manifest, uploaded_ns=None))
    return made


def _key(episode: Episode, name: str) -> str:
    return keys.episode_object(str(episode.id), name)


def test_damage_is_found_marked_and_cleared(objects: LocalStore) -> None:
    """Missing, changed, truncated, a manifest that lies: each is named; a whole episode is not."""
    whole, missing, swapped, truncated, lying = _registered(5)
    kept = objects.get(_key(missing, "front.mp4"))
    objects.delete(_key(missing, "front.mp4"))
    objects.put(_key(swapped, "steps.parquet"), objects.get(_key(swapped, "front.mp4")))
    objects.put(_key(truncated, "front.mp4"), objects.get(_key(truncated, "front.mp4"))[:-1])
    objects.put(_key(lying, "manifest.json"), objects.get(_key(whole, "manifest.json")))
    report = storage_verify()
    assert (report.episodes, report.damaged) == (5, 4)
    assert dict(Episode.objects.values_list("id", "damage")) == {
        whole.id: "",
        missing.id: "front.mp4 is missing",
        swapped.id: "steps.parquet differs from its SHA-256",
        truncated.id: "front.mp4 differs from its SHA-256",
        lying.id: "the manifest differs from its SHA-256",
    }
    assert Episode.objects.filter(verified_at__isnull=True).count() == 0
    run = builders.running_run()
    usable = episodes_for_learner(run_id=str(run.id), after_seq=0, upto_seq=100)
    assert [row.id for row in usable] == [str(whole.id)]
    objects.put(_key(missing, "front.mp4"), kept)
    assert storage_verify().damaged == 3
    missing.refresh_from_db()
    assert missing.damage == ""


def test_versions_and_the_newest_checkpoints_are_verified_too(objects: LocalStore) -> None:
    run, now = builders.running_run(), timezone.now()
    manifest, blobs = builders.policy(run.id)
    policy_version_publish(run_id=str(run.id), manifest_bytes=manifest, blobs=blobs)
    for index in range(2):
        TrainingRound.objects.create(
            run=run, index=index, start_step=0, end_step=1, ingest_upto=0, begun_at=now, committed_at=now,
            checkpoint_key=f"runs/{run.id}/checkpoints/{index}", checkpoint_sha256="a" * 64,
        )  # fmt: skip
    objects.put(keys.policy_blob(next(iter(blobs))), b"other")
    report = storage_verify()
    assert (report.policies, report.checkpoints, report.damaged) == (1, 1, 2)
    assert [problem.partition(":")[0].split(" ")[0] for problem in report.problems] == ["policy", "checkpoint"]
    state = StorageState.objects.get()
    assert state.verify_report is not None and state.verify_report["damaged"] == 2


def test_a_sample_and_a_date_choose_episodes(objects: LocalStore) -> None:
    first, *_ = _registered(4)
    assert storage_verify(sample=2, seed=1).episodes == 2
    assert storage_verify(sample=9).episodes == 4
    Episode.objects.filter(id=first.id).update(indexed_at=timezone.now() - timedelta(days=9))
    assert storage_verify(since=timezone.now() - timedelta(days=1)).episodes == 3


def test_an_interrupted_run_goes_on(objects: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the last number that was kept; a finished one begins anew."""
    _registered(5)
    monkeypatch.setattr(verification, "_CURSOR_EVERY", 2)

    def interrupt(done: int, total: int, damaged: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        storage_verify(progress=interrupt)
    assert StorageState.objects.get().verify_cursor == 2
    seen: list[Any] = []
    report = storage_verify(is_resumed=True, progress=lambda *numbers: seen.append(numbers))
    assert (report.episodes, report.scope, seen[-1]) == (3, "all, from number 3 on", (3, 3, 0))
    assert storage_verify(is_resumed=True).episodes == 5
