"""Objects that no row names: found, left alone while they are young, removed when asked, and never under a row."""

from __future__ import annotations

import itertools
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from fleet.errors import InvalidRequest
from fleet.models import (
    DatasetImport,
    Episode,
    Export,
    PolicyVersion,
    ReleaseTrack,
    Robot,
    StorageState,
    TrainingRound,
    TrainingRun,
)
from fleet.services import episode as episodes
from fleet.services import policy as policies
from fleet.services.episode import episode_register
from fleet.services.episode_check import ObjectAbsent
from fleet.services.policy import policy_version_publish
from fleet.services.storage_gc import GcReport, KindReport, storage_collect
from fleet.storage import keys
from fleet.storage.local import LocalStore
from tests.fleet import builders

pytestmark = pytest.mark.django_db

AGED = timedelta(hours=25)


def _collect(*, is_dry: bool = False, aged: timedelta = AGED) -> GcReport:
    """Collect as if every object were so much older."""
    return storage_collect(is_dry=is_dry, now=timezone.now() + aged)


def _of(report: GcReport, kind: str) -> KindReport:
    return next(each for each in report.kinds if each.kind == kind)


def _registered() -> Episode:
    manifest, files = builders.episode(builders.task(f"task-{uuid.uuid4().hex[:6]}"), None)
    builders.store(manifest, files)
    return episode_register(robot_id=None, manifest=manifest, uploaded_ns=None)


def _committed(run: Any, index: int, key: str) -> TrainingRound:
    now = timezone.now()
    return TrainingRound.objects.create(
        run=run, index=index, start_step=index, end_step=index + 1, ingest_upto=0, begun_at=now, committed_at=now,
        checkpoint_key=key, checkpoint_sha256="a" * 64,
    )  # fmt: skip


def _fill(objects: LocalStore) -> tuple[set[str], set[str]]:
    """Put one of everything that rows name and of everything that none does; return both sets of keys."""
    episode, run = _registered(), builders.running_run(config={"value": {"file": "f" * 64}})
    manifest, blobs = builders.policy(run.id)
    version = policy_version_publish(run_id=str(run.id), manifest_bytes=manifest, blobs=blobs)
    old, new = keys.run_checkpoint(str(run.id), 0, 1), keys.run_checkpoint(str(run.id), 1, 1)
    _committed(run, 0, old)
    _committed(run, 1, new)
    export = Export.objects.create(
        query={"ids": 1}, info={}, format="raw", folder="f", heartbeat_at=timezone.now(), episodes=1, frames_total=1,
        bytes_total=1,
    )  # fmt: skip
    named = {
        *(keys.episode_object(str(episode.id), name) for name in ("steps.parquet", "front.mp4", "manifest.json")),
        version.manifest_key,
        *(keys.policy_blob(sha256) for sha256 in blobs),
        new,
        keys.run_sidecar(str(run.id), str(episode.id)),
        keys.training_file("f" * 64),
        keys.import_archive(str(DatasetImport.objects.create(name="set").id)),
        f"{keys.export_folder(str(export.id))}/data/file.parquet",
    }
    orphans = {
        keys.episode_object(str(uuid.uuid4()), "front.mp4"),
        keys.policy_manifest("1" * 64),
        keys.policy_blob("2" * 64),
        keys.policy_patch("2" * 64, "4" * 64),
        old,
        keys.run_checkpoint(str(uuid.uuid4()), 0, 1),
        keys.run_sidecar(str(run.id), str(uuid.uuid4())),
        keys.run_sidecar(str(uuid.uuid4()), str(episode.id)),
        keys.training_file("3" * 64),
        keys.import_archive(str(DatasetImport.objects.create(name="old", state="cancelled").id)),
        f"{keys.export_folder(str(uuid.uuid4()))}/data/file.parquet",
    }
    for key in (*orphans, *(named - set(objects.list()))):
        objects.put(key, b"x" * 10)
    objects.put("elsewhere/thing", b"y")
    return named, orphans


def test_what_no_row_names_goes_and_nothing_else(objects: LocalStore) -> None:
    """First told, then done; what no kind knows is counted and stays."""
    named, orphans = _fill(objects)
    everything = set(objects.list())
    dry = _collect(is_dry=True)
    assert (dry.orphans, sum(kind.removed for kind in dry.kinds)) == (11, 0)
    assert set(objects.list()) == everything
    assert {key for kind in dry.kinds for key in kind.examples} == orphans
    done = _collect()
    assert [(kind.kind, kind.orphans, kind.removed) for kind in done.kinds] == [
        ("episodes", 1, 1), ("policy manifests", 1, 1), ("policy blobs", 1, 1), ("policy patches", 1, 1),
        ("checkpoints and sidecars", 4, 4),
        ("training files", 1, 1), ("imports", 1, 1), ("exports", 1, 1), ("other", 0, 0),
    ]  # fmt: skip
    assert set(objects.list()) == named | {"elsewhere/thing"}
    assert _of(done, "other").objects == 1
    assert _collect().orphans == 0
    state = StorageState.objects.get()
    assert state.gc_report is not None and state.gc_report["kinds"][0]["objects"] == 3


def _run_with_patches(objects: LocalStore, count: int) -> tuple[TrainingRun, list[PolicyVersion], list[str]]:
    """Publish versions of one blob each, and put a patch from each to the next; patches[i] is of versions[i + 1]."""
    run = builders.running_run()
    versions = []
    for step in range(count):
        manifest, blobs = builders.policy(run.id, step=step, value=float(step))
        versions.append(policy_version_publish(run_id=str(run.id), manifest_bytes=manifest, blobs=blobs))
    pairs = itertools.pairwise(next(iter(version.blobs)) for version in versions)
    patches = [keys.policy_patch(base, sha256) for base, sha256 in pairs]
    for key in patches:
        objects.put(key, b"x")
    return run, versions, patches


def test_patches_of_old_versions_go_but_for_those_in_use(objects: LocalStore, settings: Any) -> None:
    """The newest two stay; so do those to and from what a robot drives with, is pinned to, or is to get."""
    settings.SOP_PATCH_VERSIONS = 2
    run, versions, patches = _run_with_patches(objects, 9)
    driving, pinned, retired = (builders.enrol(name).robot for name in ("driving", "pinned", "retired"))
    Robot.objects.filter(id=driving.id).update(policy_version=versions[1])
    Robot.objects.filter(id=pinned.id).update(pinned_version=versions[4])
    Robot.objects.filter(id=retired.id).update(policy_version=versions[6], retired_at=timezone.now())
    gone = {patches[2], patches[5]}  # to versions 3 and 6
    dry = _of(_collect(is_dry=True), "policy patches")
    assert (dry.objects, dry.orphans, set(dry.examples), dry.removed) == (8, 2, gone, 0)
    assert set(objects.list(keys.POLICY_PATCHES)) == set(patches)
    _collect()
    assert set(objects.list(keys.POLICY_PATCHES)) == set(patches) - gone
    Robot.objects.all().delete()
    ReleaseTrack.objects.create(run=run, strategy="manual", current=versions[1])
    _collect()
    assert set(objects.list(keys.POLICY_PATCHES)) == {patches[0], patches[1], patches[6], patches[7]}


def test_a_patch_that_fits_no_two_versions_in_a_row_goes(objects: LocalStore) -> None:
    _, versions, patches = _run_with_patches(objects, 3)
    first, _, last = (next(iter(version.blobs)) for version in versions)
    objects.put(keys.policy_patch(first, last), b"x")
    objects.put(f"{keys.POLICY_PATCHES}{last}/deeper/{first}.patch", b"x")
    _collect()
    assert list(objects.list(keys.POLICY_PATCHES)) == sorted(patches)


def test_young_objects_are_left_alone(objects: LocalStore) -> None:
    """An upload comes before its row."""
    objects.put(keys.episode_object(str(uuid.uuid4()), "front.mp4"), b"x")
    report = _collect(aged=timedelta(hours=23))
    assert (_of(report, "episodes").orphans, _of(report, "episodes").young) == (0, 1)
    assert len(list(objects.list())) == 1
    with pytest.raises(InvalidRequest):
        storage_collect(older_than=timedelta(minutes=59))


def test_an_episode_that_registers_meanwhile_asks_for_its_objects_again(
    objects: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Collected between the look at its objects and its row: no row comes, and the robot uploads once more."""
    manifest, files = builders.episode(builders.task(), None)
    builders.store(manifest, files)
    original = episodes._values

    def collect_first(*arguments: Any) -> Any:
        _collect()
        return original(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(episodes, "_values", collect_first)
        with pytest.raises(ObjectAbsent):
            episode_register(robot_id=None, manifest=manifest, uploaded_ns=None)
    assert (Episode.objects.count(), list(objects.list())) == (0, [])
    builders.store(manifest, files)
    episode_register(robot_id=None, manifest=manifest, uploaded_ns=None)
    _collect()
    assert len(list(objects.list())) == 3


def test_a_row_that_comes_after_the_look_keeps_its_objects(
    objects: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The collector asks the rows again under the lock."""
    from fleet.services import storage_gc

    manifest, files = builders.episode(builders.task(), None)
    builders.store(manifest, files)
    original = storage_gc._remove

    def register_first(*arguments: Any) -> Any:
        episode_register(robot_id=None, manifest=manifest, uploaded_ns=None)
        return original(*arguments)

    monkeypatch.setattr(storage_gc, "_remove", register_first)
    report = _collect()
    assert (_of(report, "episodes").orphans, _of(report, "episodes").removed) == (3, 0)
    assert len(list(objects.list())) == 3


def test_a_publication_stores_again_what_was_collected_meanwhile(
    objects: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A blob that an earlier, killed publication left is not put twice, but may be collected before the row comes."""
    run = builders.running_run()
    manifest, blobs = builders.policy(run.id)
    [(sha256, data)] = blobs.items()
    objects.put(keys.policy_blob(sha256), data)
    original = policies.run_lock

    def collect_first(**arguments: Any) -> Any:
        _collect()
        return original(**arguments)

    monkeypatch.setattr(policies, "run_lock", collect_first)
    version = policy_version_publish(run_id=str(run.id), manifest_bytes=manifest, blobs=blobs)
    assert PolicyVersion.objects.get() == version
    assert objects.get(keys.policy_blob(sha256)) == data
    assert objects.get(version.manifest_key) == manifest
