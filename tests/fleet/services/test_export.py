"""Exports from the request to their end: made, cancelled, broken off and taken up, refused, expired, deleted."""

from __future__ import annotations

import errno
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import pytest
from django.utils import timezone

from fleet.errors import Busy, ExportNotNow, InvalidRequest, NotFound
from fleet.exports.errors import ExportEmpty, ExportRefused, OptionInvalid, UnknownFormat
from fleet.exports.tar import tar_next, tar_size
from fleet.models import Export, ExportEpisode, ExportFile
from fleet.selectors.dataset_selection import Selection
from fleet.selectors.episode_filter import EpisodeFilter
from fleet.services import export_run as running
from fleet.services.export import export_cancel, export_check, export_delete, export_request, export_retry
from fleet.services.export_reap import export_clean, exports_reap
from fleet.services.export_sinks import StoredFolderSink
from fleet.services.export_watch import ExportWatch
from fleet.storage import StoreUnavailable, keys
from fleet.storage.local import LocalStore
from tests.fleet.exports.made import contents
from tests.fleet.services.export_rows import asked, recorded, user, work

pytestmark = pytest.mark.django_db(transaction=True)  # the watch writes over a connection of its own


@pytest.fixture(autouse=True)
def enqueued(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What was handed to the broker: (task, arguments, options)."""
    sent: list[tuple[Any, ...]] = []

    class Signature:
        def __init__(self, name: str, args: tuple[Any, ...]) -> None:
            self._call = (name, args)

        def apply_async(self, **options: Any) -> None:
            sent.append((*self._call, options))

    monkeypatch.setattr("fleet.queue.current_app.signature", Signature, raising=False)
    return sent


def folder(objects: LocalStore, row: Export) -> Path:
    return objects.folder(keys.export_folder(str(row.id)))


def left(objects: LocalStore) -> list[str]:
    """Return the names of everything about exports in the store, hidden things too."""
    root = objects.folder("exports")
    return sorted(path.name for path in root.iterdir()) if root.exists() else []


def test_an_export_is_made(objects: LocalStore, enqueued: list[Any]) -> None:
    row = export_request(user=user(), asked=asked(recorded(), name="Würfel ../../etc"))
    assert enqueued == [("fleet.export_run", (str(row.id), 1), enqueued[0][2])]
    assert enqueued[0][2]["queue"] == "data"
    assert row.folder == f"w-rfel-etc-raw-{row.id.hex[:8]}"  # no path out of it
    row = work(row)
    assert (row.state, row.frames, row.attempts, row.resumed_files) == ("done", 24, 1, 0)
    assert row.bytes_read == row.bytes_total > 0
    assert row.expires_at is not None and row.expires_at > timezone.now() + timedelta(days=13)
    made = folder(objects, row)
    check = subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=made, capture_output=True, timeout=20)
    assert check.returncode == 0, check.stderr
    assert dict(row.made_files.values_list("name", "sha256")) == contents(made)
    assert row.size_bytes == sum(path.stat().st_size for path in made.rglob("*") if path.is_file())
    offset = 0
    for file in row.made_files.order_by("tar_offset"):
        assert file.tar_offset == offset
        offset = tar_next(f"{row.folder}/{file.name}", file.size, offset)
    assert (row.tar_bytes, row.files) == (tar_size(offset), row.made_files.count())
    assert left(objects) == [str(row.id)]


def test_a_filter_is_frozen_when_it_is_asked_for(objects: LocalStore) -> None:
    """Labels written later do not reach it."""
    recorded()
    selection = Selection(filter=EpisodeFilter(outcome=("success",)))
    row = export_request(user=user(), asked=asked([], selection=selection, query={"filter": {"outcome": ["success"]}}))
    assert row.episodes == 2
    ExportEpisode.objects.get(export=row, position=0).episode.delete()  # what it needs and is gone is named
    objects.delete(keys.episode_object(str(row.entries.get(position=0).episode_id), "manifest.json"))
    row = work(row)
    assert (row.state, row.error_code) == ("failed", "object_mismatch")
    assert str(row.entries.get(position=0).episode_id) in row.error_message


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"format": "zip"}, UnknownFormat),
        ({"format": "lerobot-v3.0", "options": {"episodes": 0}}, OptionInvalid),
        ({"format": "lerobot-v3.0", "options": {"episodes": True}}, OptionInvalid),
        ({"options": {"episodes": 5}}, OptionInvalid),
        ({"destination": "s3://elsewhere"}, InvalidRequest),
        ({"selection": None}, InvalidRequest),
        ({"name": "a\x00b"}, InvalidRequest),
        ({"selection": Selection(filter=EpisodeFilter(tag=("none",)))}, ExportEmpty),
    ],
)
def test_what_cannot_be_asked_for_is_refused(
    objects: LocalStore, enqueued: list[Any], changes: Any, error: type[Exception]
) -> None:
    episodes = recorded(1)
    with pytest.raises(error):
        export_request(user=user(), asked=asked(episodes, **changes))
    assert (Export.objects.count(), ExportEpisode.objects.count(), enqueued) == (0, 0, [])


def test_every_problem_is_named_before_anything_is_queued(objects: LocalStore, enqueued: list[Any]) -> None:
    episodes = [*recorded(2), *recorded(1, first=5, cameras=("wrist",)), *recorded(1, first=6, size=(32, 64))]
    wanted = asked(episodes, format="lerobot-v3.0")
    found = export_check(user=user(), asked=wanted)
    assert (found.episodes, found.frames, found.checked, len(found.problems)) == (4, 32, 4, 2)
    with pytest.raises(ExportRefused) as refused:
        export_request(user=user(), asked=wanted)
    assert refused.value.data["problems"] == found.problems
    assert (Export.objects.count(), enqueued) == (0, [])
    assert export_check(user=user(), asked=asked(episodes)).problems == []  # raw holds them


def test_a_large_selection_is_sampled_and_says_so(objects: LocalStore, settings: Any) -> None:
    settings.SOP_EXPORT_CHECK_EPISODES = 2
    found = export_check(user=user(), asked=asked(recorded(5)))
    assert (found.episodes, found.frames) == (5, 40)
    assert 0 < found.checked <= 2


def test_a_store_without_room_is_a_problem(objects: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("usage", (), {"free": 5})
    monkeypatch.setattr("fleet.selectors.export_entries.shutil.disk_usage", lambda _: usage)
    found = export_check(user=user(), asked=asked(recorded(1)))
    assert found.problems == ["the episodes have 0.0 GB, and the store has 0.0 GB free"]


def test_only_so_many_wait(objects: LocalStore, settings: Any) -> None:
    settings.SOP_EXPORT_MOST = 1
    episodes = recorded(1)
    export_request(user=user(), asked=asked(episodes))
    with pytest.raises(Busy):
        export_request(user=user(), asked=asked(episodes))
    assert Export.objects.count() == 1


def test_cancelling_what_waits_and_once_more(objects: LocalStore) -> None:
    row = export_request(user=user(), asked=asked(recorded(1)))
    row = export_cancel(export_id=row.id)
    assert (row.state, export_cancel(export_id=row.id).state) == ("cancelled", "cancelled")
    assert work(row).state == "cancelled"  # a message on its way finds nothing to do
    assert left(objects) == []


def test_cancelling_what_runs(objects: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle: the row says so, and nothing is left."""
    row = export_request(user=user(), asked=asked(recorded()))
    seen = ExportWatch.note

    def cancel(watch: ExportWatch, progress: Any) -> None:
        seen(watch, progress)
        if progress.frames >= 8:
            export_cancel(export_id=row.id)
            watch._beat()

    monkeypatch.setattr(ExportWatch, "note", cancel)
    row = work(row)
    assert (row.state, row.error_code, row.made_files.count(), left(objects)) == ("cancelled", "", 0, [])
    assert 0 < row.frames < 24


def test_a_finished_export_is_not_cancelled(objects: LocalStore) -> None:
    row = work(export_request(user=user(), asked=asked(recorded(1))))
    with pytest.raises(ExportNotNow) as error:
        export_cancel(export_id=row.id)
    assert error.value.data["state"] == "done"


class Flaky:
    """A store that stops answering after some reads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers = 1000
        really = LocalStore.open
        monkeypatch.setattr(LocalStore, "open", lambda store, key, start=0: self._open(really, store, key))

    def _open(self, really: Any, store: LocalStore, key: str) -> IO[bytes]:
        self.answers -= 1
        if self.answers < 0:
            raise StoreUnavailable("the object store does not answer")
        opened: IO[bytes] = really(store, key)
        return opened


def test_what_broke_off_goes_on_to_the_same_bytes(
    objects: LocalStore, monkeypatch: pytest.MonkeyPatch, enqueued: list[Any]
) -> None:
    store, episodes = Flaky(monkeypatch), recorded()
    whole = work(export_request(user=user(), asked=asked(episodes)))
    row = export_request(user=user(), asked=asked(episodes))
    store.answers = 3
    row = work(row)
    assert (row.state, row.attempts, row.epoch, row.error_code) == ("queued", 1, 2, "")
    assert (enqueued[-1][:2], enqueued[-1][2]["countdown"]) == (("fleet.export_run", (str(row.id), 2)), 5.0)
    store.answers = 1000
    row = work(row)
    assert (row.state, row.attempts) == ("done", 2)
    assert row.resumed_files > 0
    assert contents(folder(objects, row)) == contents(folder(objects, whole))
    assert row.sha256 == whole.sha256


def test_a_store_that_stays_away_fails_it_and_a_retry_goes_on(
    objects: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "MAX_ATTEMPTS", 2)
    store = Flaky(monkeypatch)
    row = export_request(user=user(), asked=asked(recorded()))
    store.answers = 3
    row = work(work(row))
    assert (row.state, row.error_code) == ("failed", "store_unavailable")
    assert left(objects) == [f".{row.id}.export"]  # kept for the retry, until it expires
    store.answers = 1000
    row = work(export_retry(export_id=row.id))
    assert (row.state, row.error_code, row.attempts) == ("done", "", 1)
    assert row.resumed_files > 0


def test_a_truncated_source_is_named_and_nothing_is_left(objects: LocalStore) -> None:
    episodes = recorded()
    key = keys.episode_object(str(episodes[1].id), "camera-0.mp4")
    objects.put(key, objects.get(key)[:-7])
    row = work(export_request(user=user(), asked=asked(episodes, format="lerobot-v3.0")))
    assert (row.state, row.error_code) == ("failed", "object_mismatch")
    assert row.error_data["episode_id"] == str(episodes[1].id)
    assert left(objects) == []


def test_a_full_disk_fails_it_and_is_empty_again(objects: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the third file finds no room."""
    files = iter(range(3))

    def create(self: Any, path: Path) -> IO[bytes]:
        if next(files, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        return path.open("w+b")

    monkeypatch.setattr(StoredFolderSink, "create", create)
    row = work(export_request(user=user(), asked=asked(recorded())))
    assert (row.state, row.error_code, left(objects)) == ("failed", "disk_full", [])


def test_an_error_that_nobody_foresaw_is_named_not_shown(objects: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "MAX_ATTEMPTS", 1)
    monkeypatch.setattr(running, "run_export", lambda *_: 1 / 0)
    row = work(export_request(user=user(), asked=asked(recorded(1))))
    assert (row.error_code, row.error_message) == ("internal", "ZeroDivisionError: the worker's log says more")


def _silent(row: Export, **changes: Any) -> None:
    """As a worker leaves it that is killed."""
    long_ago = timezone.now() - timedelta(hours=1)
    values = {"state": "running", "attempts": 1, "heartbeat_at": long_ago} | changes
    Export.objects.filter(id=row.id).update(**values)


def test_a_killed_worker_s_export_is_taken_up(objects: LocalStore, enqueued: list[Any]) -> None:
    """With a new epoch: the old worker, if it lives after all, is fenced and leaves what it made to the new one."""
    row = export_request(user=user(), asked=asked(recorded()))
    _silent(row)
    exports_reap()
    row.refresh_from_db()
    assert (row.state, row.epoch, enqueued[-1][:2]) == ("queued", 2, ("fleet.export_run", (str(row.id), 2)))
    running.export_run(export_id=str(row.id), epoch=1)
    row.refresh_from_db()
    assert (row.state, left(objects)) == ("queued", [])
    assert work(row).state == "done"


def test_a_fenced_worker_changes_nothing(objects: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    row = export_request(user=user(), asked=asked(recorded()))
    seen = ExportWatch.note

    def lose(watch: ExportWatch, progress: Any) -> None:
        seen(watch, progress)
        if progress.frames >= 8:
            Export.objects.filter(id=row.id).update(epoch=9)
            watch._beat()

    monkeypatch.setattr(ExportWatch, "note", lose)
    row = work(row)
    assert (row.state, row.epoch, row.error_code) == ("running", 9, "")
    assert left(objects) == [f".{row.id}.export"]  # for the one who has it


@pytest.mark.parametrize(
    ("changes", "state", "code"),
    [
        ({"attempts": running.MAX_ATTEMPTS, "file": "data/x"}, "failed", "worker_lost"),
        ({"cancel_requested_at": timezone.now()}, "cancelled", ""),
    ],
)
def test_not_every_silent_export_is_tried_again(objects: LocalStore, changes: Any, state: str, code: str) -> None:
    row = export_request(user=user(), asked=asked(recorded(1)))
    _silent(row, **changes)
    exports_reap()
    row.refresh_from_db()
    assert (row.state, row.error_code) == (state, code)


def test_a_lost_message_is_sent_again(objects: LocalStore, enqueued: list[Any]) -> None:
    row = export_request(user=user(), asked=asked(recorded(1)))
    exports_reap()
    assert len(enqueued) == 1
    Export.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=11))
    exports_reap()
    exports_reap()
    assert [call[:2] for call in enqueued] == [("fleet.export_run", (str(row.id), 1))] * 2


def test_a_finished_export_expires_and_can_be_made_again(objects: LocalStore) -> None:
    row = work(export_request(user=user(), asked=asked(recorded(2))))
    first = row.sha256
    Export.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    exports_reap()
    export_clean(export_id=str(row.id))
    row.refresh_from_db()
    assert (row.state, row.cleanup_at, row.made_files.count(), left(objects)) == ("expired", None, 0, [])
    assert work(export_retry(export_id=row.id)).sha256 == first


def test_a_deleted_export_is_gone_with_its_files(objects: LocalStore, enqueued: list[Any]) -> None:
    row = work(export_request(user=user(), asked=asked(recorded(2))))
    export_delete(export_id=row.id)
    with pytest.raises(NotFound):
        export_delete(export_id=row.id)
    assert enqueued[-1][:2] == ("fleet.export_clean", (str(row.id),))
    export_clean(export_id=str(row.id))
    export_clean(export_id=str(row.id))
    assert (Export.objects.count(), ExportFile.objects.count(), left(objects)) == (0, 0, [])


def test_what_runs_is_not_deleted(objects: LocalStore) -> None:
    row = export_request(user=user(), asked=asked(recorded(1)))
    with pytest.raises(ExportNotNow):
        export_delete(export_id=row.id)
    with pytest.raises(ExportNotNow):
        export_retry(export_id=row.id)
    assert work(row).state == "done"


def test_cleaning_up_leaves_a_retried_export_alone(objects: LocalStore) -> None:
    """A message to clean up that arrives late finds that somebody wants it again."""
    row = export_request(user=user(), asked=asked(recorded(1)))
    export_cancel(export_id=row.id)
    row = work(export_retry(export_id=row.id))
    export_clean(export_id=str(row.id))
    assert (row.state, left(objects)) == ("done", [str(row.id)])
