"""Imports end to end in the database and the object store: all or nothing, once, resumed, cancelled, cleared up."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
import time
import uuid
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from fleet.errors import Busy, ImportNotNow, InvalidRequest, NotFound, PreconditionFailed, UploadMissing
from fleet.imports.errors import FolderRefused, MappingInvalid, ProblemsLeft
from fleet.imports.mapping import Mapping
from fleet.models import DatasetImport, Episode, Task
from fleet.protocol.recording import MANIFEST_OBJECT, STEPS_OBJECT, decode_manifest
from fleet.selectors.objects import object_store
from fleet.services import dataset_import_work as work
from fleet.services.dataset_import import (
    Upload,
    dataset_import_cancel,
    dataset_import_check,
    dataset_import_create,
    dataset_import_map,
    dataset_import_run,
    import_mapping,
    import_report,
)
from fleet.services.rollup import rollups_check
from fleet.storage import StoreFull, StoreUnavailable, keys
from fleet.storage.local import LocalStore
from tests.fleet.imports.made import data_of, export, record, set_nan

pytestmark = pytest.mark.django_db
State = DatasetImport.State


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of three episodes, v2.1."""
    folder = tmp_path_factory.mktemp("made")
    return export("lerobot-v2.1", record(folder / "recorded"), folder / "set")


@pytest.fixture(autouse=True)
def place(objects: LocalStore, settings: Any, tmp_path: Path) -> Path:
    """Imports may name folders below tmp_path/roots; scratch lies in tmp_path/scratch."""
    settings.SOP_IMPORT_SCRATCH_DIR = tmp_path / "scratch"
    settings.SOP_IMPORTS = replace(settings.SOP_IMPORTS, roots=(tmp_path / "roots",))
    (tmp_path / "roots").mkdir()
    return tmp_path


@pytest.fixture
def root(made: Path, place: Path) -> Path:
    import shutil

    return Path(shutil.copytree(made, place / "roots/set"))


def create(root: Path) -> DatasetImport:
    return dataset_import_create(user=None, name="squares", folder=str(root))[0]


def go(row: DatasetImport) -> DatasetImport:
    """Do what the worker would."""
    work.dataset_import_work(import_id=str(row.id), epoch=row.epoch)
    row.refresh_from_db()
    return row


def check(root: Path) -> DatasetImport:
    return go(dataset_import_check(import_id=create(root).id))


def run(row: DatasetImport, **changes: Any) -> DatasetImport:
    if changes:
        mapping = msgspec.structs.replace(import_mapping(row), **changes)
        row = dataset_import_map(import_id=row.id, mapping=mapping, revision=row.mapping_revision)
    return go(dataset_import_run(import_id=row.id))


def assert_nothing_left(objects: LocalStore, place: Path) -> None:
    assert list(objects.list("")) == []
    assert not (place / "scratch").exists() or list((place / "scratch").iterdir()) == []
    assert Episode.objects.count() == Task.objects.count() == 0


def archive_of(root: Path) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        archive.add(root, "set")
    return out.getvalue()


def test_a_folder_is_checked_mapped_and_imported(root: Path, objects: LocalStore, place: Path) -> None:
    """The dry run writes nothing; the run registers every episode under one tag, with tasks made for it."""
    row = check(root)
    assert (row.state, row.error_code) == (State.CHECKED, "")
    report = import_report(row)
    assert (report.episodes, report.frames, report.problems, report.is_own) == (3, 30, (), True)
    assert_nothing_left(objects, place)

    row = run(row)

    assert (row.state, row.registered, row.known, row.left_out) == (State.DONE, 3, 0, 0)
    episodes = list(Episode.objects.order_by("index_seq"))
    assert [e.steps for e in episodes] == [9, 10, 11]
    assert {(e.origin, e.task.slug, tuple(e.tags)) for e in episodes} == {("demonstration", "push", (row.tag,))}
    assert [e.index_seq for e in episodes] == [1, 2, 3]
    assert episodes[0].operators == ["ada"] and episodes[0].segments.count() == 2
    manifest = decode_manifest(object_store().get(episodes[0].manifest_key))
    assert manifest.software["dataset.sha256"] == row.digest
    assert rollups_check().wrong == 0
    assert list((place / "scratch").iterdir()) == []


def test_an_uploaded_archive_does_the_same_and_goes_afterwards(
    made: Path, objects: LocalStore, place: Path, django_capture_on_commit_callbacks: Any
) -> None:
    """Its episodes have the ids of the folder's: nothing is registered twice, and nothing of it is touched."""
    data = archive_of(made)
    import hashlib
    import shutil

    upload = Upload(size=len(data), sha256=hashlib.sha256(data).hexdigest())
    row, signed = dataset_import_create(user=None, name="squares", upload=upload)
    assert signed is not None and signed.url.startswith("/objects/imports/")
    with pytest.raises(UploadMissing):
        dataset_import_check(import_id=row.id)
    objects.put(keys.import_archive(str(row.id)), data)

    row = run(go(dataset_import_check(import_id=row.id)))

    assert (row.state, row.registered) == (State.DONE, 3)
    work.dataset_import_clean(import_id=str(row.id))
    assert list(objects.list("imports")) == []
    before = {key: objects.digest(key) for key in objects.list("episodes")}
    again = run(check(Path(shutil.copytree(made, place / "roots/again"))), is_own=False)
    assert (again.state, again.registered, again.known) == (State.DONE, 0, 3)
    work.dataset_import_clean(import_id=str(again.id))
    assert {key: objects.digest(key) for key in objects.list("episodes")} == before
    assert Episode.objects.count() == 3


def test_problems_keep_a_dataset_out_until_they_are_left_out(root: Path, objects: LocalStore, place: Path) -> None:
    """A NaN in an action of episode 1: refused; with its episode left out, the other two come in."""
    set_nan(data_of(root, 1))
    row = check(root)
    assert [(p.code, p.feature, p.examples[0].frame) for p in import_report(row).problems] == [
        ("value_not_finite", "action", 4)
    ]
    with pytest.raises(ProblemsLeft):
        dataset_import_run(import_id=row.id)
    row.refresh_from_db()
    assert row.state == State.CHECKED
    assert_nothing_left(objects, place)

    row = run(row, leave_out_broken=True)

    assert (row.state, row.registered, row.left_out) == (State.DONE, 2, 1)


def test_a_dataset_that_changed_since_its_check_is_refused(root: Path, objects: LocalStore, place: Path) -> None:
    row = check(root)
    (root / "new").write_text("x")
    row = run(row)
    assert (row.state, row.error_code) == (State.FAILED, "import_failed")
    work.dataset_import_clean(import_id=str(row.id))
    assert_nothing_left(objects, place)


@pytest.mark.parametrize("data", [b"noise", b""])
def test_what_is_no_archive_fails_and_leaves_nothing(data: bytes, objects: LocalStore, place: Path) -> None:
    row, _ = dataset_import_create(user=None, name="x", upload=Upload(size=max(1, len(data)), sha256="a" * 64))
    objects.put(keys.import_archive(str(row.id)), data or b"\0")
    row = go(dataset_import_check(import_id=row.id))
    assert (row.state, row.error_code) == (State.FAILED, "archive_refused")
    work.dataset_import_clean(import_id=str(row.id))
    assert_nothing_left(objects, place)


def test_requests_that_make_no_sense_are_refused(root: Path, settings: Any) -> None:
    sound = Upload(size=10, sha256="a" * 64)
    for arguments in ({}, {"upload": sound, "folder": str(root)}):
        with pytest.raises(InvalidRequest):
            dataset_import_create(user=None, name="x", **arguments)
    for upload in (replace(sound, size=0), replace(sound, size=2**50), replace(sound, sha256="A" * 64)):
        with pytest.raises(InvalidRequest):
            dataset_import_create(user=None, name="x", upload=upload)
    for folder in ("/etc", str(root / "../.."), "relative"):
        with pytest.raises(FolderRefused):
            dataset_import_create(user=None, name="x", folder=folder)
    assert DatasetImport.objects.count() == 0
    settings.SOP_IMPORTS = replace(settings.SOP_IMPORTS, most=1)
    row = create(root)
    with pytest.raises(Busy):
        create(root)
    with pytest.raises(ImportNotNow):
        dataset_import_run(import_id=row.id)
    with pytest.raises(NotFound):
        dataset_import_check(import_id=uuid.uuid4())


def test_a_mapping_is_replaced_over_the_revision_that_was_read(root: Path) -> None:
    row = check(root)
    mapping = import_mapping(row)
    bad = msgspec.structs.replace(mapping, action="none", is_own=False)
    with pytest.raises(MappingInvalid) as error:
        dataset_import_map(import_id=row.id, mapping=bad, revision=row.mapping_revision)
    assert error.value.data["field"] == "action"
    new = msgspec.structs.replace(mapping, leave_out_broken=True)
    changed = dataset_import_map(import_id=row.id, mapping=new, revision=row.mapping_revision)
    with pytest.raises(PreconditionFailed):
        dataset_import_map(import_id=row.id, mapping=mapping, revision=row.mapping_revision)
    with pytest.raises(PreconditionFailed):
        dataset_import_run(import_id=row.id, revision=row.mapping_revision)
    assert msgspec.convert(changed.mapping, Mapping) == new
    assert import_mapping(go(dataset_import_check(import_id=row.id))) == new  # a second check keeps what was chosen


def test_a_cancel_stops_the_worker_and_leaves_nothing(
    root: Path, objects: LocalStore, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for while the second episode is under way."""
    row = dataset_import_run(import_id=check(root).id)
    staged: list[str] = []
    convert = work.convert_episode

    def cancelled(origins: Any, found: Any, folder: Path) -> Any:
        if staged:
            dataset_import_cancel(import_id=row.id)
        staged.append(str(folder))
        return convert(origins, found, folder)

    monkeypatch.setattr(work, "convert_episode", cancelled)
    go(row)
    assert (row.state, len(staged)) == (State.CANCELLED, 2)
    assert_nothing_left(objects, place)
    with pytest.raises(ImportNotNow):
        dataset_import_check(import_id=row.id)


def test_two_runs_of_one_dataset_at_once_are_refused(root: Path) -> None:
    first, second = check(root), check(root)
    dataset_import_run(import_id=first.id)
    with pytest.raises(Busy):
        dataset_import_run(import_id=second.id)


def test_a_store_that_does_not_answer_ends_nothing(
    root: Path, objects: LocalStore, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = check(root)
    with monkeypatch.context() as patch:

        def silent(*args: object, **kwargs: object) -> None:
            raise StoreUnavailable("no answer")

        patch.setattr(LocalStore, "put_file", silent)
        row = run(row)
    assert (row.state, row.error_code) == (State.CHECKED, "store_unavailable")
    assert (run(row).state, Episode.objects.count()) == (State.DONE, 3)


@pytest.mark.parametrize("said", [OSError(28, "No space left on device"), StoreFull("the object store is full")])
def test_a_full_disk_is_said_and_space_released(
    root: Path, objects: LocalStore, place: Path, monkeypatch: pytest.MonkeyPatch, said: Exception
) -> None:
    """While the second episode is staged: the first goes too."""
    row = check(root)
    calls: list[str] = []
    put_file = LocalStore.put_file

    def full(self: LocalStore, key: str, path: Path, *, sha256: str) -> None:
        calls.append(key)
        if len(calls) == 4:
            raise said
        put_file(self, key, path, sha256=sha256)

    monkeypatch.setattr(LocalStore, "put_file", full)
    row = run(row)
    assert (row.state, row.error_code) == (State.CHECKED, "disk_full")
    assert_nothing_left(objects, place)


def test_the_reaper_takes_up_expires_and_clears(root: Path, objects: LocalStore, settings: Any) -> None:
    """Silence gives a new epoch, five times; what nobody goes on with ends after a week."""
    row = dataset_import_check(import_id=create(root).id)
    work.dataset_imports_reap()
    row.refresh_from_db()
    assert row.epoch == 1
    for epoch in range(2, 2 + work.MAX_ATTEMPTS):
        work._claim(str(row.id), row.epoch)
        DatasetImport.objects.filter(id=row.id).update(heartbeat_at=timezone.now() - timedelta(hours=1))
        work.dataset_imports_reap()
        row.refresh_from_db()
        assert row.epoch == epoch
    assert (row.state, row.error_code) == (State.FAILED, "import_keeps_failing")
    old = create(root)
    DatasetImport.objects.filter(id=old.id).update(changed_at=timezone.now() - timedelta(days=8))
    work.dataset_imports_reap()
    old.refresh_from_db()
    assert (old.state, old.error_code) == (State.CANCELLED, "import_expired")
    assert old.cleanup_at is not None
    work.dataset_import_clean(import_id=str(old.id))
    old.refresh_from_db()
    assert old.cleanup_at is None


@pytest.mark.django_db(transaction=True)
def test_a_killed_worker_is_resumed_and_registers_once(root: Path, objects: LocalStore, place: Path) -> None:
    """SIGKILL while it converts: no episode is visible; the next worker goes on behind what was staged."""
    row = dataset_import_run(import_id=check(root).id)
    env = {
        **os.environ,
        "OBJECT_STORE_URL": f"file://{place}/objects",
        "SOP_DATA_DIR": str(place / "data"),
        "SOP_IMPORT_ROOTS": str(place / "roots"),
    }
    database = connection.settings_dict["NAME"]
    killed = subprocess.Popen(
        [sys.executable, "-m", "tests.fleet.imports.killed", str(row.id), str(row.epoch), database, "wait"], env=env
    )
    deadline = time.monotonic() + 60
    while row.converted < 1 and killed.poll() is None and time.monotonic() < deadline:
        row.refresh_from_db()
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    row.refresh_from_db()
    assert (row.state, row.converted, Episode.objects.count()) == (State.RUNNING, 1, 0)
    staged = {key: objects.digest(key) for key in objects.list("episodes")}
    assert any(key.endswith(MANIFEST_OBJECT) for key in staged) and any(key.endswith(STEPS_OBJECT) for key in staged)

    DatasetImport.objects.filter(id=row.id).update(heartbeat_at=timezone.now() - timedelta(hours=1))
    work.dataset_imports_reap()
    row.refresh_from_db()
    row = go(row)

    assert (row.state, row.registered, Episode.objects.count()) == (State.DONE, 3, 3)
    assert {key: objects.digest(key) for key in staged} == staged
    assert list((place / "scratch").iterdir()) == []


def test_the_command_checks_and_imports(root: Path, made: Path, objects: LocalStore, place: Path, capsys: Any) -> None:
    """`--check` leaves nothing but the mapping's file; `--run` takes it; a broken set is refused with its problems."""
    path = place / "mapping.json"
    archive = place / "set.tar.gz"
    archive.write_bytes(archive_of(made))
    call_command("import_dataset", str(archive), "--check", "--mapping", str(path))
    assert "3 episodes, 30 frames at 10 Hz" in capsys.readouterr().out
    assert_nothing_left(objects, place)
    call_command("import_dataset", str(root), "--run", "--mapping", str(path))
    assert "3 new episodes with the tag import-" in capsys.readouterr().out
    assert Episode.objects.count() == 3
    set_nan(data_of(root, 1))
    with pytest.raises(CommandError, match="problems_left"):
        call_command("import_dataset", str(root), "--check")
    assert "episode 1 frame 4" in capsys.readouterr().out
    with pytest.raises(CommandError, match="No such file"):
        call_command("import_dataset", str(place / "none"), "--check")
