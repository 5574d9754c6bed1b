"""The folder of backups: what is shared, what goes, what is refused. Rows: tests/stack/test_backup.py."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.services import backup, restore
from fleet.services.backup_errors import BackupBusy, BackupDamaged, BackupMisplaced
from fleet.storage.local import LocalStore


@pytest.fixture
def folder(objects: LocalStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: Any) -> Path:
    """A place for backups of the test's objects; PostgreSQL is played by four bytes."""

    @contextlib.contextmanager
    def frozen() -> Iterator[tuple[str, dict[str, int]]]:
        yield "snapshot", {"fleet_robot": 3}

    settings.SOP_SIGNING_KEYS_FILE = tmp_path / "signing_keys"
    settings.SOP_SIGNING_KEYS_FILE.write_text("00\n")
    monkeypatch.setattr(backup, "frozen_database", frozen)
    monkeypatch.setattr(backup, "database_dump", lambda target, *, snapshot: target.write_bytes(b"dump"))
    monkeypatch.setattr(restore, "database_load", lambda source, *, is_replacing: {"fleet_robot": 3})
    for number, content in enumerate((b"same", b"same", b"other")):
        objects.put(f"episodes/e{number}/a.bin", content)
    return tmp_path / "backups"


def _kept(folder: Path) -> int:
    return len(list((folder / "objects").glob("??/*")))


def test_each_backup_adds_what_is_new(folder: Path, objects: LocalStore) -> None:
    """Equal bytes are kept once, known objects are not read again, and nobody else may read any of it."""
    first = backup.backup_make(folder=folder)
    assert (first.facts.objects, first.facts.copied, _kept(folder)) == (3, 3, 2)
    objects.put("episodes/e9/a.bin", b"new")
    second = backup.backup_make(folder=folder)
    assert (second.facts.objects, second.facts.copied, second.facts.copied_bytes) == (4, 1, 3)
    assert [each.name for each in backup.backups(folder)] == [second.name, first.name]
    assert not [path for path in (folder, *folder.rglob("*")) if path.stat().st_mode & 0o077]


def test_keeping_one_removes_the_others_bytes_and_nothing_of_others(folder: Path, objects: LocalStore) -> None:
    backup.backup_make(folder=folder)
    left = folder / "backups" / ".20200101T000000.000000Z"
    for other in (left, folder / "backups" / "mine"):
        other.mkdir()
    objects.delete("episodes/e2/a.bin")
    newest = backup.backup_make(folder=folder, keep=1)
    assert [each.name for each in backup.backups(folder)] == [newest.name]
    assert {path.name for path in (folder / "backups").iterdir()} == {newest.name, "mine"}
    assert _kept(folder) == 1


def test_an_object_that_went_meanwhile_is_counted(
    folder: Path, objects: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = list(objects.scan())
    monkeypatch.setattr(objects, "scan", lambda: iter(listed))
    objects.delete("episodes/e1/a.bin")
    assert (made := backup.backup_make(folder=folder)).facts.vanished == 1
    assert [each.key for each in made.objects()].count("episodes/e1/a.bin") == 0


def test_two_at_once_and_other_folders_are_refused(folder: Path, tmp_path: Path) -> None:
    backup.backup_make(folder=folder)
    with (folder / backup.MARK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BackupBusy):
            backup.backup_make(folder=folder)
    with pytest.raises(BackupMisplaced):
        backup.backup_make(folder=tmp_path / "objects")


def test_what_was_lost_comes_back_and_what_is_there_stays(folder: Path, objects: LocalStore, settings: Any) -> None:
    made = backup.backup_make(folder=folder)
    objects.delete("episodes/e0/a.bin")
    settings.SOP_SIGNING_KEYS_FILE.write_text("11\n")
    report = restore.backup_restore(backup=made)
    assert (report.rows, report.objects, report.written, report.is_key_kept) == (3, 3, 1, True)
    assert objects.get("episodes/e0/a.bin") == b"same"
    settings.SOP_SIGNING_KEYS_FILE.unlink()
    assert not restore.backup_restore(backup=made).is_key_kept
    assert settings.SOP_SIGNING_KEYS_FILE.read_text() == "00\n"
    assert settings.SOP_SIGNING_KEYS_FILE.stat().st_mode & 0o777 == 0o600


def test_a_changed_byte_is_found(folder: Path, objects: LocalStore) -> None:
    """By size at once; by its hash when it is read, before a row is restored."""
    made = backup.backup_make(folder=folder)
    assert restore.backup_check(backup=made, is_deep=True) == len(b"same") + len(b"other")
    path = next(path for path in (folder / "objects").glob("??/*") if path.read_bytes() == b"same")
    path.write_bytes(b"sane")
    with pytest.raises(BackupDamaged, match="2 objects lost"):
        restore.backup_check(backup=made, is_deep=True)
    objects.delete("episodes/e0/a.bin")
    with pytest.raises(BackupDamaged, match="differ from their SHA-256"):
        restore.backup_restore(backup=made)
    assert not objects.exists("episodes/e0/a.bin")
    path.write_bytes(b"longer")
    with pytest.raises(BackupDamaged, match="2 objects lost"):
        restore.backup_check(backup=made)
