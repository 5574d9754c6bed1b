"""What a worker does for an import: unpack, check, convert, stage, register; and the clearing up. On the queue `data`.

    SOP_IMPORT_SCRATCH_DIR/<import>-<epoch>/   the archive, what was unpacked, the episode under way; gone in every case

A killed worker's import is taken up by the reaper under a new epoch: a check begins anew, a run behind the last episode
that it staged. Staged episodes are objects without a row, which nobody sees; the last step gives all of them rows in
one transaction. Episode ids derive from the dataset's contents, so the same dataset registers nothing twice.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import shutil
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from fleet.errors import ImportFenced, NotFound, VideoCheckSlow
from fleet.imports.check import EpisodeChecker, check_dataset
from fleet.imports.convert import Origins, convert_episode, episode_id_of
from fleet.imports.errors import DiskFull, ImportFailed, ProblemsLeft
from fleet.imports.layout import EpisodeRow, read_dataset
from fleet.imports.mapping import misfits, propose
from fleet.imports.problems import Problems, that_matter
from fleet.imports.unpack import Limits, dataset_root, folder_digest, folder_in_roots, unpack
from fleet.models import DatasetImport, Episode, Task
from fleet.protocol.errors import InvalidEpisode, InvalidManifest, SopError
from fleet.protocol.recording import MANIFEST_OBJECT, EpisodeManifest, decode_manifest
from fleet.queue import enqueue_dataset_import, enqueue_dataset_import_clean
from fleet.selectors.objects import object_store
from fleet.selectors.silence import is_silent, silent_since
from fleet.services.dataset_import import (
    CLEAN_AGAIN,
    MAX_ATTEMPTS,
    import_end,
    import_lock,
    import_mapping,
    import_report,
    require_fit,
)
from fleet.services.episode import episode_verify, episodes_register_verified
from fleet.services.storage_guard import collections_counted
from fleet.services.task import task_create
from fleet.storage import StoreFull, StoreUnavailable, keys

logger = logging.getLogger(__name__)

_TICK_S = 1.0  # between two signs of life
_PIECE = 1024 * 1024
_MAX_STEPS = 100_000  # of a task
State = DatasetImport.State


class Watch:
    """Says that the worker lives and how far it is; hears of a cancel. Called often, writes once a second."""

    def __init__(self, row: DatasetImport) -> None:
        self._rows = DatasetImport.objects.filter(id=row.id, epoch=row.epoch, state=row.state)
        self._phase, self._done, self._total, self._next_s = "", 0, 0, 0.0

    def begin(self, phase: str, total: int, done: int = 0) -> None:
        self._phase, self._total, self._done, self._next_s = phase, total, done, 0.0
        self.tick()

    def add(self, count: int) -> None:
        self._done += count
        self.tick()

    def at(self, done: int, total: int) -> None:
        self._done, self._total = done, total
        self.tick()

    def tick(self, **values: Any) -> None:
        """Raises: ImportFenced. `values`: fields of the row, written at once."""
        now_s = time.monotonic()
        if now_s < self._next_s and not values:
            return
        self._next_s = now_s + _TICK_S
        progress = {"phase": self._phase, "progress": self._done, "progress_total": max(self._total, self._done)}
        if not self._rows.update(heartbeat_at=timezone.now(), **progress, **values):
            raise ImportFenced("the import was cancelled, or another worker has it")


def dataset_import_work(*, import_id: str, epoch: int) -> None:
    """Check or run an import that this epoch is to work at; a message of an older epoch does nothing."""
    try:
        row = _claim(import_id, epoch)
    except (ImportFenced, NotFound):
        return
    watch = Watch(row)
    try:
        with _scratch(row) as folder, _full_disk_as_error():
            (_check if row.state == State.CHECKING else _run)(row, watch, folder)
    except ImportFenced:
        logger.info("import given up", extra={"event": {"import": import_id, "epoch": epoch}})
        dataset_import_clean(import_id=import_id)
    except (StoreUnavailable, VideoCheckSlow, DiskFull, ProblemsLeft) as error:
        _step_back(import_id, epoch, error)
    except SopError as error:
        _fail(import_id, epoch, error)


@transaction.atomic
def _claim(import_id: str, epoch: int) -> DatasetImport:
    row = import_lock(import_id=import_id, epoch=epoch)
    row.attempts, row.heartbeat_at = row.attempts + 1, timezone.now()
    row.save(update_fields=["attempts", "heartbeat_at"])
    return row


def _check(row: DatasetImport, watch: Watch, folder: Path) -> None:
    root, digest = _dataset(row, watch, folder)
    watch.begin("checking", 0)
    problems = Problems()
    dataset = read_dataset(root, problems)
    report = check_dataset(dataset, problems, watch.at)
    slugs = dict(Task.objects.values_list("instruction", "slug"))
    mapping = propose(dataset, report.tasks, slugs)
    if row.mapping is not None:  # checked again: what a person chose stays, if it still fits
        kept = import_mapping(row)
        mapping = mapping if misfits(kept, report) else kept
    with transaction.atomic():
        row = import_lock(import_id=row.id, epoch=row.epoch)
        row.digest, row.state, row.phase = digest, State.CHECKED, ""
        row.report, row.mapping = msgspec.to_builtins(report), msgspec.to_builtins(mapping)
        row.mapping_revision += 1
        row.changed_at = timezone.now()
        row.save()


def _run(row: DatasetImport, watch: Watch, folder: Path) -> None:
    root, digest = _dataset(row, watch, folder)
    if digest != row.digest:
        raise ImportFailed("the dataset has changed since it was checked; check it again")
    mapping = import_mapping(row)
    require_fit(mapping, import_report(row))
    problems = Problems()
    dataset = read_dataset(root, problems)
    started_ns = int(row.created_at.timestamp()) * 10**9
    origins = Origins(dataset=dataset, mapping=mapping, digest=digest, started_ns=started_ns)
    if row.converted == 0:
        _clear_staged(digest, dataset.episodes[-1].index)
    watch.begin("converting", len(dataset.episodes), row.converted)
    checker = EpisodeChecker(dataset)
    left_out, known = row.left_out, row.known
    for number, episode in enumerate(dataset.episodes[row.converted :], start=row.converted + 1):
        outcome = _stage(origins, checker, episode, folder / "episode", watch)
        left_out, known = left_out + (outcome == "left out"), known + (outcome == "known")
        watch.add(1)
        watch.tick(converted=number, left_out=left_out, known=known)
    _register(row, watch, digest, [episode.index for episode in dataset.episodes])


def _stage(origins: Origins, checker: EpisodeChecker, row: EpisodeRow, folder: Path, watch: Watch) -> str:
    """Put one episode's objects where uploads go. Raises: ProblemsLeft unless the mapping leaves it out."""
    episode_id = episode_id_of(origins.digest, row.index)
    if Episode.objects.filter(id=episode_id).exists():
        return "known"
    problems = Problems()
    found = checker.check(row, problems)
    left = that_matter(problems.all(), origins.mapping.features())
    try:
        if found is None or left:
            raise InvalidEpisode(left[0].message if left else "its rows cannot be used")
        manifest = convert_episode(origins, found, folder)
    except (InvalidEpisode, InvalidManifest) as error:
        if origins.mapping.leave_out_broken:
            return "left out"
        raise ProblemsLeft(f"episode {row.index}: {error.message}", episode=row.index) from None
    try:
        store = object_store()
        for record in manifest.objects:
            store.put_file(keys.episode_object(episode_id, record.name), folder / record.name, sha256=record.sha256)
            watch.tick()
        # Last, as by the recorder: an episode with a manifest is whole.
        store.put(keys.episode_object(episode_id, MANIFEST_OBJECT), (folder / MANIFEST_OBJECT).read_bytes())
    finally:
        shutil.rmtree(folder)
    return "staged"


def _register(row: DatasetImport, watch: Watch, digest: str, indices: list[int]) -> None:
    """Verify what was staged, then let all of it become visible in one step."""
    watch.begin("registering", len(indices))
    manifests: list[EpisodeManifest] = []
    store, collected = object_store(), collections_counted()
    for index in indices:
        key = keys.episode_object(episode_id_of(digest, index), MANIFEST_OBJECT)
        if store.exists(key):
            manifest = decode_manifest(store.get(key))
            if not Episode.objects.filter(id=manifest.episode_id).exists():
                episode_verify(manifest=manifest)
                manifests.append(manifest)
        watch.add(1)
    with transaction.atomic():
        locked = import_lock(import_id=row.id, epoch=row.epoch)
        if not manifests and not locked.known:
            raise ProblemsLeft("every episode was left out")
        _make_tasks(manifests)
        locked.registered = episodes_register_verified(manifests=manifests, tags=[locked.tag], collected=collected)
        import_end(locked, State.DONE)


def _make_tasks(manifests: list[EpisodeManifest]) -> None:
    longest: dict[str, EpisodeManifest] = {}
    for manifest in manifests:
        known = longest.get(manifest.task_slug)
        if known is None or manifest.steps > known.steps:
            longest[manifest.task_slug] = manifest
    there = set(Task.objects.filter(slug__in=longest).values_list("slug", flat=True))
    for slug, manifest in longest.items():
        if slug not in there:
            most = min(_MAX_STEPS, 2 * manifest.steps)  # of a robot that tries the task: twice the longest here
            task_create(slug=slug, instruction=manifest.instruction, driver_task=slug, max_steps=most)


def _dataset(row: DatasetImport, watch: Watch, folder: Path) -> tuple[Path, str]:
    """Return where the dataset lies and its digest. Raises: ArchiveRefused, FolderRefused, InvalidDataset."""
    bounds = settings.SOP_IMPORTS
    limits = Limits(
        files=bounds.files, file_bytes=bounds.file_bytes, total_bytes=bounds.unpacked_bytes, ratio=bounds.ratio
    )
    if row.folder:
        watch.begin("hashing", 0)
        root = dataset_root(folder_in_roots(row.folder, bounds.roots))
        return root, folder_digest(root, limits, watch.add)
    watch.begin("unpacking", 0)
    archive, target = _archive(row, watch, folder), folder / "dataset"
    target.mkdir()
    digest = unpack(archive, target, limits, watch.add)
    return dataset_root(target), digest


def _archive(row: DatasetImport, watch: Watch, folder: Path) -> Path:
    """Return the archive as a file of this machine."""
    store, key = object_store(), keys.import_archive(str(row.id))
    path = store.path_or_none(key)
    if path is not None:
        return path
    copy = folder / "archive"
    with store.open(key) as source, copy.open("wb") as target:
        while piece := source.read(_PIECE):
            target.write(piece)
            watch.tick()
    return copy


@contextlib.contextmanager
def _scratch(row: DatasetImport) -> Iterator[Path]:
    """A new, empty folder that goes in every case; what a killed worker of this import left goes first."""
    _clear_scratch(row.id)
    folder: Path = settings.SOP_IMPORT_SCRATCH_DIR / f"{row.id}-{row.epoch}"
    try:
        folder.mkdir(parents=True)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _full_disk_as_error() -> Iterator[None]:
    try:
        yield
    except (OSError, StoreFull) as error:
        if isinstance(error, StoreFull) or error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull("the disk is full; nothing of this import is left on it") from error
        raise


def _clear_scratch(import_id: uuid.UUID) -> None:
    for path in settings.SOP_IMPORT_SCRATCH_DIR.glob(f"{import_id}-*"):
        shutil.rmtree(path, ignore_errors=True)


def _clear_staged(digest: str, last_index: int) -> None:
    """Remove objects of the dataset's episodes that have no row."""
    store = object_store()
    for index in range(last_index + 1):
        episode_id = episode_id_of(digest, index)
        if Episode.objects.filter(id=episode_id).exists():
            continue
        for key in list(store.list(keys.episode_object(episode_id, ""))):
            store.delete(key)


def _fail(import_id: str, epoch: int, error: SopError) -> None:
    with contextlib.suppress(ImportFenced), transaction.atomic():
        row = import_lock(import_id=import_id, epoch=epoch)
        _note(row, error)
        import_end(row, State.FAILED)


def _step_back(import_id: str, epoch: int, error: SopError) -> None:
    """What may succeed another time ends nothing: a check waits to be asked for again, and so does a run."""
    with contextlib.suppress(ImportFenced), transaction.atomic():
        row = import_lock(import_id=import_id, epoch=epoch)
        _note(row, error)
        row.state = State.CREATED if row.state == State.CHECKING else State.CHECKED
        row.phase, row.changed_at, row.epoch = "", timezone.now(), row.epoch + 1
        row.save()
        if not isinstance(error, StoreUnavailable | VideoCheckSlow):
            _clear_staged_of(row)


def _note(row: DatasetImport, error: SopError) -> None:
    row.error_code, row.error_message = error.code, error.message[:2000]
    row.error_data = {name: value for name, value in error.data.items() if isinstance(value, str | int | list)}
    logger.warning("import failed", extra={"event": {"import": str(row.id), "code": error.code}})


def _clear_staged_of(row: DatasetImport) -> None:
    if row.digest and row.report is not None:
        _clear_staged(row.digest, import_report(row).last_index)


def dataset_import_clean(*, import_id: str) -> None:
    """Remove an ended import's archive, scratch and, unless it is done, what it staged. Raises: StoreUnavailable."""
    row = DatasetImport.objects.filter(id=import_id).first()
    if row is None or row.state not in DatasetImport.ENDED:
        return
    object_store().delete(keys.import_archive(str(row.id)))
    _clear_scratch(row.id)
    is_alone = not DatasetImport.objects.filter(digest=row.digest, state=State.RUNNING).exists()
    if row.state != State.DONE and is_alone:
        _clear_staged_of(row)
    DatasetImport.objects.filter(id=row.id).update(cleanup_at=None)


def dataset_imports_reap() -> None:
    """Take up imports whose worker fell silent; end those that nobody went on with; clear up again what is due."""
    now, bounds = timezone.now(), settings.SOP_IMPORTS
    silent = Q(state__in=DatasetImport.ACTIVE) & silent_since("heartbeat_at", now - timedelta(seconds=bounds.stale_s))
    for import_id in DatasetImport.objects.filter(silent).values_list("id", flat=True):
        _take_up(import_id)
    waiting = Q(state__in=[State.CREATED, State.CHECKED], changed_at__lt=now - timedelta(days=bounds.keep_days))
    for import_id in DatasetImport.objects.filter(waiting).values_list("id", flat=True):
        _expire(import_id)
    for row in DatasetImport.objects.filter(cleanup_at__lt=now):
        DatasetImport.objects.filter(id=row.id).update(cleanup_at=now + CLEAN_AGAIN)
        enqueue_dataset_import_clean(import_id=str(row.id))


@transaction.atomic
def _take_up(import_id: uuid.UUID) -> None:
    row = import_lock(import_id=import_id)
    stale = timezone.now() - timedelta(seconds=settings.SOP_IMPORTS.stale_s)
    if row.state not in DatasetImport.ACTIVE or not is_silent(row.heartbeat_at, stale):
        return
    if row.attempts >= MAX_ATTEMPTS:
        row.error_code = "import_keeps_failing"
        row.error_message = (
            f"it was tried {MAX_ATTEMPTS} times and its worker died each time; the worker's log says why"
        )
        import_end(row, State.FAILED)
        return
    row.epoch, row.heartbeat_at = row.epoch + 1, timezone.now()
    row.save(update_fields=["epoch", "heartbeat_at"])
    logger.warning("import reaped", extra={"event": {"import": str(row.id), "epoch": row.epoch}})
    enqueue_dataset_import(import_id=str(row.id), epoch=row.epoch)


@transaction.atomic
def _expire(import_id: uuid.UUID) -> None:
    row = import_lock(import_id=import_id)
    if row.state in (State.CREATED, State.CHECKED):
        row.error_code = "import_expired"
        row.error_message = f"nobody went on with it for {settings.SOP_IMPORTS.keep_days} days"
        import_end(row, State.CANCELLED)
