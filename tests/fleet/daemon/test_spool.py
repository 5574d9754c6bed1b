"""The spool: what is closed stays, what is unsent is never dropped, a crash leaves nothing half."""

from __future__ import annotations

import errno
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from fleet.daemon.episode import EpisodeRecording
from fleet.daemon.spool import Spool
from fleet.protocol.recording import MANIFEST_OBJECT, decode_manifest, sha256_of_file, validate_steps
from fleet.protocol.steps import decode_steps
from tests.fleet.daemon.point import ConstantPolicy
from tests.fleet.daemon.test_control_loop import runner, spec

ROOT = Path(__file__).resolve().parents[3]


def record(number: int) -> EpisodeRecording:
    return runner().run(spec(episode_id=str(uuid.UUID(int=number)), seed=number), ConstantPolicy())


def fill(spool: Spool, numbers: range) -> list[str]:
    return [spool.add(record(number), software={}).episode_id for number in numbers]


def check_whole(folder: Path) -> None:
    """Assert that a directory holds a complete, valid episode."""
    manifest = decode_manifest((folder / MANIFEST_OBJECT).read_bytes())
    assert manifest.episode_id == folder.name
    for item in manifest.objects:
        assert sha256_of_file(folder / item.name) == (item.size, item.sha256)
    validate_steps(decode_steps((folder / "steps.parquet").read_bytes()), manifest)


def episodes_in(directory: Path) -> set[str]:
    return {path.name for state in ("pending", "uploaded", "refused") for path in (directory / state).iterdir()}


def test_closed_episodes_wait_oldest_first_and_survive_a_restart(tmp_path: Path) -> None:
    spool = Spool(tmp_path, capacity_bytes=2**30)
    closings: list[int] = []
    spool.on_closed = lambda: closings.append(1)
    ids = fill(spool, range(1, 4))
    again = Spool(tmp_path, capacity_bytes=2**30)
    assert spool.pending() == again.pending() == ids
    assert again.stats() == spool.stats()
    assert (again.closed_count, len(closings)) == (3, 3)
    assert again.stats().pending_episodes == 3


def test_the_oldest_uploaded_episodes_make_room_and_unsent_ones_never_do(tmp_path: Path) -> None:
    """With room for about four: uploaded ones go one by one, and with four unsent the spool is full."""
    spool = Spool(tmp_path, capacity_bytes=2**30)
    ids = fill(spool, range(1, 5))
    used = spool.stats().pending_bytes
    spool = Spool(tmp_path, capacity_bytes=used + used // 8)
    assert not spool.reserve()
    assert spool.pending() == ids
    spool.mark_uploaded(ids[0])
    spool.mark_uploaded(ids[1])
    assert spool.reserve()
    spool.unreserve()
    assert episodes_in(tmp_path) == set(ids[1:])
    assert spool.closed_count == 4


def test_a_reservation_holds_its_room(tmp_path: Path) -> None:
    """Before anything is known of their size, episodes are taken for a sixteenth of the spool."""
    spool = Spool(tmp_path, capacity_bytes=1024 * 1024)
    assert [spool.reserve() for _ in range(17)] == [True] * 16 + [False]
    spool.unreserve()
    assert spool.reserve()


def test_a_refused_episode_is_set_aside_with_its_reason(tmp_path: Path) -> None:
    spool = Spool(tmp_path, capacity_bytes=2**30)
    (episode_id,) = fill(spool, range(1, 2))
    spool.mark_refused(episode_id, code="duplicate_id", message="known with other content")
    spool.mark_refused(episode_id, code="late", message="ignored")
    assert spool.pending() == Spool(tmp_path, capacity_bytes=2**30).pending() == []
    check_whole(tmp_path / "refused" / episode_id)
    reason = msgspec.json.decode((tmp_path / "refused" / episode_id / "refusal.json").read_bytes())
    assert reason == {"code": "duplicate_id", "message": "known with other content"}


def test_adding_twice_is_adding_once(tmp_path: Path) -> None:
    spool = Spool(tmp_path, capacity_bytes=2**30)
    recording = record(1)
    assert spool.add(recording, software={}) == spool.add(recording, software={})
    assert (spool.closed_count, len(spool.pending())) == (1, 1)


def test_a_line_that_did_not_fit_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit on the log's size stands for the full disk; the episode counts once when there is room again."""
    spool = Spool(tmp_path, capacity_bytes=2**30)
    ids = fill(spool, range(1, 3))
    room = (tmp_path / "closed.log").stat().st_size + 9
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
        with pytest.raises(OSError):
            spool._append_log(["third" * 3])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    spool.add(record(3), software={})
    assert Spool(tmp_path, capacity_bytes=2**30).closed_count == 3
    assert (tmp_path / "closed.log").read_text().split()[:2] == ids


@pytest.mark.parametrize("size_kib", [4, 8, 12])
def test_a_disk_that_fills_up_in_an_episode_keeps_nothing_of_it(
    small_disk: Callable[[int], Path], size_kib: int
) -> None:
    """Its three files take a page each. Nothing half stays, and it is closed once there is room."""
    disk = small_disk(size_kib)
    spool = Spool(disk, capacity_bytes=2**30)
    recording = record(1)
    room = shutil.disk_usage(disk).free
    with pytest.raises(OSError) as caught:
        spool.add(recording, software={})
    assert caught.value.errno == errno.ENOSPC
    assert (spool.pending(), spool.closed_count, episodes_in(disk)) == ([], 0, set())
    assert shutil.disk_usage(disk).free >= room
    subprocess.run(["mount", "-o", "remount,size=2m", str(disk)], check=True)
    manifest = spool.add(recording, software={})
    check_whole(disk / "pending" / manifest.episode_id)
    assert (spool.pending(), spool.closed_count) == ([manifest.episode_id], 1)


def test_a_disk_that_is_full_right_after_an_episode_counts_it_once(small_disk: Callable[[int], Path]) -> None:
    """It is whole under its name and may be sent; only the line in the log did not fit, and comes with the next one."""
    disk = small_disk(16)
    spool = Spool(disk, capacity_bytes=2**30)
    (episode_id,) = fill(spool, range(1, 2))
    check_whole(disk / "pending" / episode_id)
    assert (spool.pending(), spool.closed_count, (disk / "closed.log").read_bytes()) == ([episode_id], 1, b"")
    spool.mark_uploaded(episode_id)
    subprocess.run(["mount", "-o", "remount,size=2m", str(disk)], check=True)
    (second,) = fill(spool, range(2, 3))
    assert (spool.closed_count, (disk / "closed.log").read_text().split()) == (2, [episode_id, second])


def test_an_episode_that_goes_for_room_is_in_the_log_first_of_all(small_disk: Callable[[int], Path]) -> None:
    """Killed after that, nothing else would tell that it was ever closed here."""
    disk = small_disk(16)
    spool = Spool(disk, capacity_bytes=2**30)
    (episode_id,) = fill(spool, range(1, 2))
    spool.mark_uploaded(episode_id)
    assert spool.shrink()
    assert episodes_in(disk) == set()
    assert (disk / "closed.log").read_text() == f"{episode_id}\n"


def without_log(disk: Path, *, uploaded: int) -> list[str]:
    """Leave a full disk with four whole episodes of which no line is in the log: killed before it could be written."""
    spool = Spool(disk, capacity_bytes=2**30)
    ids = fill(spool, range(1, 5))
    for episode_id in ids[:uploaded]:
        spool.mark_uploaded(episode_id)
    (disk / "closed.log").unlink()
    (disk / "filler").write_bytes(b"x" * shutil.disk_usage(disk).free)
    return ids


def test_a_spool_opens_on_a_full_disk_and_mends_its_log_later(small_disk: Callable[[int], Path]) -> None:
    """Unsent ones never go for a line's sake; what the log lacks counts, is sent, and is noted with the next one."""
    disk = small_disk(1024)
    ids = without_log(disk, uploaded=0)
    spool = Spool(disk, capacity_bytes=2**30)
    assert (spool.pending(), spool.closed_count) == (ids, 4)
    assert (disk / "closed.log").read_bytes() == b""
    (disk / "filler").unlink()
    (fifth,) = fill(spool, range(5, 6))
    assert (disk / "closed.log").read_text().split() == [*ids, fifth]
    assert Spool(disk, capacity_bytes=2**30).closed_count == 5


def test_a_full_disk_gives_an_uploaded_episode_for_the_log(small_disk: Callable[[int], Path]) -> None:
    disk = small_disk(1024)
    ids = without_log(disk, uploaded=1)
    spool = Spool(disk, capacity_bytes=2**30)
    assert set((disk / "closed.log").read_text().split()) == set(ids)
    assert (spool.pending(), episodes_in(disk)) == (ids[1:], set(ids[1:]))


def test_a_torn_log_and_half_written_episodes_are_mended(tmp_path: Path) -> None:
    """A crash between rename and log, within the log's line, and within a recording."""
    spool = Spool(tmp_path, capacity_bytes=2**30)
    ids = fill(spool, range(1, 4))
    log = tmp_path / "closed.log"
    log.write_text(f"{ids[0]}\n{ids[1]}\n{ids[2][:9]}")
    half = tmp_path / "pending" / f".writing-{uuid.uuid4()}"
    half.mkdir()
    (half / "steps.parquet").write_bytes(b"half")
    again = Spool(tmp_path, capacity_bytes=2**30)
    assert again.closed_count == 3
    assert log.read_text().split() == ids
    assert episodes_in(tmp_path) == set(ids)


@pytest.mark.timeout(120)
def test_kill_9_at_any_moment_keeps_every_closed_episode_and_no_half_one(tmp_path: Path) -> None:
    """Killed six times at random moments: what `add` reported is there, whole, counted once; nothing else is."""
    rng = random.Random(20)
    reported: set[str] = set()
    for _ in range(6):
        command = [sys.executable, "-m", "tests.fleet.daemon.spool_child", str(tmp_path)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            time.sleep(rng.uniform(0.02, 0.7))  # the moment of death is the point of the test
            child.kill()
            output = child.stdout.read()
            whole_lines = output[: output.rfind("\n") + 1]
            reported |= set(whole_lines.split())
        spool = Spool(tmp_path, capacity_bytes=2**30)
        stored = episodes_in(tmp_path)
        logged = (tmp_path / "closed.log").read_text().split()
        assert len(logged) == len(set(logged)) == spool.closed_count
        assert reported <= stored == set(logged)
    for state in ("pending", "uploaded"):
        for folder in (tmp_path / state).iterdir():
            check_whole(folder)
    assert len(reported) >= 6
