"""Where exports go: a folder of the object store, its bucket, or a bucket of the people's own.

In a bucket an export is whole once SHA256SUMS is there: it is written last, and removed first.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from fleet.exports.errors import ExportBusy, TargetTaken
from fleet.exports.runner import SUMS
from fleet.exports.sink import FolderSink, Sink, check_name
from fleet.models import Export
from fleet.protocol.recording import sha256_of_file
from fleet.selectors.objects import object_store
from fleet.storage import ConfigurationInvalid, ObjectMissing, ObjectStore, keys, open_store
from fleet.storage.local import LocalStore


class StoreSink(Sink):
    """Files under `prefix` of an object store, sent one by one; `work` keeps the file under way and SHA256SUMS.

    What an interrupted run sent is asked for again before it counts. `discard` leaves an export that stands whole.
    """

    def __init__(self, store: ObjectStore, prefix: str, work: Path) -> None:
        self._store = store
        self._prefix = prefix
        self.work = work
        self._sums = work / "sums"

    @contextlib.contextmanager
    def begin(self) -> Iterator[None]:
        self.work.mkdir(parents=True, exist_ok=True)
        with (self.work / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ExportBusy(f"another process exports to {self._prefix}") from None
            yield

    def finished(self, name: str) -> bytes | None:
        if not self._store.exists(self._key(SUMS)):
            return None
        try:
            return self._store.get(self._key(name))
        except ObjectMissing:
            raise TargetTaken(f"there is something else at {self._prefix}") from None

    def holds(self, name: str, *, size: int, sha256: str) -> bool:
        if name == SUMS:
            return self._sums.is_file() and sha256_of_file(self._sums) == (size, sha256)
        return self._store.holds(self._key(name), size=size, sha256=sha256)

    def keep(self, name: str, path: Path) -> None:
        if name == SUMS:
            path.replace(self._sums)
            return
        self._store.put_file(self._key(name), path, sha256=sha256_of_file(path)[1])
        path.unlink()

    def clear(self) -> None:
        for key in self._store.list(f"{self._prefix}/"):
            self._store.delete(key)
        self._sums.unlink(missing_ok=True)

    def commit(self) -> None:
        self._store.put(self._key(SUMS), self._sums.read_bytes())
        shutil.rmtree(self.work)

    def discard(self) -> None:
        if not self._store.exists(self._key(SUMS)):
            self.clear()
        shutil.rmtree(self.work)

    def remove(self) -> None:
        """Remove the export whether it is whole or not, SHA256SUMS first."""
        self._store.delete(self._key(SUMS))
        self.clear()
        shutil.rmtree(self.work, ignore_errors=True)

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{check_name(name)}"


class StoredFolderSink(FolderSink):
    """A folder of the local object store: files are moved into it, not copied."""

    def remove(self) -> None:
        """Remove the export whether it is whole or not; a half removed one is not seen."""
        shutil.rmtree(self.work, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            self._target.replace(self.work)
            shutil.rmtree(self.work)


def export_sink(*, export: Export) -> StoreSink | StoredFolderSink:
    """Return where the export goes. Raises: ConfigurationInvalid if its destination is not configured any more."""
    work = Path(settings.SOP_EXPORT_WORK_DIR) / str(export.id)
    if export.destination:
        return StoreSink(destination_store(export.destination), export.folder, work)
    store, prefix = object_store(), keys.export_folder(str(export.id))
    if isinstance(store, LocalStore):
        return StoredFolderSink(store.folder(prefix))
    return StoreSink(store, prefix, work)


def destination_store(name: str) -> ObjectStore:
    """Return the store of a configured destination. Raises: ConfigurationInvalid."""
    url = settings.SOP_EXPORT_DESTINATIONS.get(name)
    if url is None:
        raise ConfigurationInvalid(f"the destination '{name[:64]}' is not configured")
    return open_store(url)
