"""A backup of database, objects and signing keys in a folder; `restore.py` reads it. Called by `manage.py backup`.

    <folder>/.sop-backups                         an empty file: the folder is one of backups
    <folder>/objects/<xx>/<sha256>                bytes of objects, shared by all backups (storage/vault.py)
    <folder>/backups/<UTC time>/database.dump     pg_dump's custom format
                               /objects.jsonl     a line an object: key, size, SHA-256, when it was stored
                               /signing_keys      if the server has some
                               /backup.json       written last, with the hashes of the others: without it, no backup

The database is frozen first and objects are copied after it, so every object that its rows name is there: an object is
stored before its row and removed after it. What retention or store_gc removes in between is counted as `vanished`.
Left out on purpose: Redis (rows are the truth), SOP_SECRET_KEY and other configuration, and what can be made anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from django.conf import settings

from fleet.protocol.recording import sha256_of_file
from fleet.selectors.objects import object_store
from fleet.services.backup_errors import BackupBusy, BackupDamaged, BackupMisplaced, BackupMissing
from fleet.services.database_dump import database_dump, frozen_database
from fleet.storage import ObjectMissing
from fleet.storage.vault import Vault

FORMAT = 1
MARK = ".sop-backups"  # says whose folder it is, and is locked while a backup runs
_NAME = re.compile(r"\.?\d{8}T\d{6}\.\d{6}Z")
DATABASE, OBJECTS, KEYS, FACTS = "database.dump", "objects.jsonl", "signing_keys", "backup.json"
Progress = Callable[[int, int], object]


class BackedObject(msgspec.Struct, frozen=True):
    """One line of objects.jsonl. `stored_ns`: Unix time at which the store got it."""

    key: str
    size: int
    sha256: str
    stored_ns: int


class BackupFacts(msgspec.Struct, frozen=True):
    """backup.json. `rows`: by table. `files`: SHA-256 of this backup's other files. `copied`: objects new in it."""

    format: int
    started_at: datetime
    ended_at: datetime
    rows: dict[str, int]
    objects: int
    bytes: int
    copied: int
    copied_bytes: int
    vanished: int
    files: dict[str, str]


@dataclass(frozen=True)
class Backup:
    """A complete backup."""

    folder: Path
    facts: BackupFacts

    @property
    def name(self) -> str:
        return self.folder.name

    def objects(self) -> Iterator[BackedObject]:
        with (self.folder / OBJECTS).open("rb") as lines:
            for line in lines:
                yield msgspec.json.decode(line, type=BackedObject)


def backup_make(*, folder: Path, keep: int | None = None, progress: Progress = lambda *_: None) -> Backup:
    """Add a backup to the folder, and with `keep` remove all but the newest so many afterwards.

    `progress`: called with objects and bytes done so far. Raises: BackupError, StoreUnavailable. What was begun and did
    not end is no backup; the objects it copied are found there by the next one.
    """
    _require_own(folder)
    with _locked(folder):
        _clear_unfinished(folder)
        started_at = datetime.now(UTC)
        (folder / "backups").mkdir(exist_ok=True, mode=0o700)
        part = folder / "backups" / f".{started_at:%Y%m%dT%H%M%S.%fZ}"
        part.mkdir(mode=0o700)
        with frozen_database() as (snapshot, rows):
            database_dump(part / DATABASE, snapshot=snapshot)
        copy = _ObjectsCopy(folder, progress)
        copy.run(part / OBJECTS)
        if (keys := Path(settings.SOP_SIGNING_KEYS_FILE)).is_file():
            _write(part / KEYS, keys.read_bytes())
        for path in part.iterdir():
            path.chmod(0o600)
        facts = BackupFacts(
            FORMAT, started_at, datetime.now(UTC), rows, copy.objects, copy.bytes, copy.copied, copy.copied_bytes,
            copy.vanished, {path.name: sha256_of_file(path)[1] for path in part.iterdir()},
        )  # fmt: skip
        _write(part / FACTS, msgspec.json.format(msgspec.json.encode(facts)))
        done = part.with_name(part.name[1:])
        part.rename(done)
        if keep is not None:
            _prune(folder, keep)
        return Backup(done, facts)


def backups(folder: Path) -> list[Backup]:
    """Return the complete backups, the newest first. Raises: BackupDamaged if one is not of this form."""
    found = sorted((folder / "backups").glob(f"[0-9]*/{FACTS}"), reverse=True)
    return [Backup(path.parent, _facts(path)) for path in found]


def backup_find(*, folder: Path, name: str | None) -> Backup:
    """Return the backup of this name, or the newest. Raises: BackupMissing, BackupDamaged."""
    for backup in backups(folder):
        if name in (None, backup.name):
            return backup
    raise BackupMissing(f"{folder} holds no backup{f' {name}' if name else ''}")


class _ObjectsCopy:
    """Brings the store's objects into the vault; those of the newest backup that are as they were are not read."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        self._vault = Vault(folder / "objects")
        newest = next(iter(backups(folder)), None)
        self._known = {each.key: each for each in newest.objects()} if newest else {}
        self._progress = progress
        self.objects = self.bytes = self.copied = self.copied_bytes = self.vanished = 0

    def run(self, target: Path) -> None:
        store = object_store()
        with target.open("wb") as lines:
            for found in store.scan():
                stored_ns = int(found.modified_at.timestamp() * 1e6) * 1000
                known = self._known.get(found.key)
                is_same = known is not None and (known.size, known.stored_ns) == (found.size, stored_ns)
                if known is not None and is_same and self._vault.holds(known.sha256, size=known.size):
                    line = known
                else:
                    try:
                        with store.open(found.key) as source:
                            size, sha256 = self._vault.take(source)
                    except ObjectMissing:
                        self.vanished += 1
                        continue
                    line = BackedObject(found.key, size, sha256, stored_ns)
                    self.copied, self.copied_bytes = self.copied + 1, self.copied_bytes + size
                lines.write(msgspec.json.encode(line) + b"\n")
                self.objects, self.bytes = self.objects + 1, self.bytes + line.size
                self._progress(self.objects, self.bytes)
            lines.flush()
            os.fsync(lines.fileno())


def _facts(path: Path) -> BackupFacts:
    try:
        facts = msgspec.json.decode(path.read_bytes(), type=BackupFacts)
    except msgspec.MsgspecError as error:
        raise BackupDamaged(f"{path}: {error}") from None
    if facts.format != FORMAT:
        raise BackupDamaged(f"{path}: format {facts.format} is not read here, only {FORMAT}")
    return facts


def _prune(folder: Path, keep: int) -> None:
    found = backups(folder)
    for old in found[keep:]:
        (old.folder / FACTS).unlink()  # first: what is half removed is no backup
        shutil.rmtree(old.folder)
    Vault(folder / "objects").sweep({each.sha256 for backup in found[:keep] for each in backup.objects()})


def _require_own(folder: Path) -> None:
    """Make the folder if it is missing. Raises: BackupMisplaced if it is one of something else, which pruning would
    remove files of."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    others = {path.name for path in folder.iterdir()} - {"lost+found"}
    if others and MARK not in others:
        raise BackupMisplaced(f"{folder} holds other files: name an empty folder, or one of backups")


def _clear_unfinished(folder: Path) -> None:
    for path in (folder / "backups").glob("*"):
        if _NAME.fullmatch(path.name) and (path.name.startswith(".") or not (path / FACTS).exists()):
            shutil.rmtree(path)


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        path.chmod(0o600)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with os.fdopen(os.open(folder / MARK, os.O_WRONLY | os.O_CREAT, 0o600), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BackupBusy(f"another backup to {folder} runs") from None
        yield
