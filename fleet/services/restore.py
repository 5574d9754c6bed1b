"""Brings a backup back: objects first, then the database in one transaction. Called by `manage.py restore`.

Nothing is changed before the backup is known to be whole. A restore that was cut is begun again: objects that are there
are kept, and until the end no row names them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from fleet.protocol.errors import ObjectMismatch
from fleet.protocol.recording import sha256_of_file
from fleet.selectors.objects import object_store
from fleet.services.backup import DATABASE, KEYS, Backup, Progress
from fleet.services.backup_errors import BackupDamaged
from fleet.services.database_dump import database_load
from fleet.storage.vault import Vault


@dataclass(frozen=True)
class RestoreReport:
    """`written`: objects that were not there. `is_key_kept`: this server has other signing keys, which stay."""

    rows: int
    objects: int
    written: int
    is_key_kept: bool


def backup_restore(
    *, backup: Backup, is_replacing: bool = False, progress: Progress = lambda *_: None
) -> RestoreReport:
    """Restore objects, rows and signing keys. `is_replacing`: tables that are there go first; objects never do.

    Raises: BackupDamaged (nothing was changed), DatabaseNotEmpty, DatabaseInUse, DatabaseFailed, StoreUnavailable.
    """
    backup_check(backup=backup)
    written = _objects(backup, progress)
    rows = database_load(backup.folder / DATABASE, is_replacing=is_replacing)
    if rows != backup.facts.rows:
        differing = sorted(
            name for name in rows.keys() | backup.facts.rows if rows.get(name) != backup.facts.rows.get(name)
        )
        raise BackupDamaged(f"the restored tables hold other numbers of rows: {', '.join(differing)}")
    return RestoreReport(sum(rows.values()), backup.facts.objects, written, _keys(backup))


def backup_check(*, backup: Backup, is_deep: bool = False) -> int:
    """Return the bytes of objects read: with `is_deep` each is hashed, else only its file's size is looked at.

    Raises: BackupDamaged unless every file is as it was written.
    """
    for name, sha256 in backup.facts.files.items():
        path = backup.folder / name
        if not path.is_file() or sha256_of_file(path)[1] != sha256:
            raise BackupDamaged(f"{path} is missing or differs from its SHA-256")
    vault, size = _vault(backup), 0
    lost: list[str] = []
    hashed: dict[str, bool] = {}  # objects may share bytes
    for each in backup.objects():
        is_there = vault.holds(each.sha256, size=each.size)
        if is_there and is_deep:
            if each.sha256 not in hashed:
                hashed[each.sha256] = sha256_of_file(vault.path(each.sha256)) == (each.size, each.sha256)
                size += each.size
            is_there = hashed[each.sha256]
        if not is_there:
            lost.append(each.key)
    if lost:
        raise BackupDamaged(f"{len(lost)} objects lost their bytes, the first: {', '.join(lost[:5])}")
    return size


def _vault(backup: Backup) -> Vault:
    return Vault(backup.folder.parent.parent / "objects")


def _objects(backup: Backup, progress: Progress) -> int:
    store, vault, done, written, size = object_store(), _vault(backup), 0, 0, 0
    store.begin()
    for each in backup.objects():
        if not store.holds(each.key, size=each.size, sha256=each.sha256):
            try:
                store.put_file(each.key, vault.path(each.sha256), sha256=each.sha256)
            except ObjectMismatch:
                raise BackupDamaged(f"{each.key}: its bytes in the backup differ from their SHA-256") from None
            written += 1
        done, size = done + 1, size + each.size
        progress(done, size)
    return written


def _keys(backup: Backup) -> bool:
    """Put the signing keys back unless this server has some; return whether it has others."""
    source, target = backup.folder / KEYS, Path(settings.SOP_SIGNING_KEYS_FILE)
    if not source.exists():
        return False
    if target.exists():
        return target.read_bytes() != source.read_bytes()
    target.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(source.read_bytes())
    return False
