"""A robot's disk that is full: episodes before versions, and of the versions those that something needs.

Disks are real ones in memory, whose end is as real as any disk's.
"""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from fleet.daemon.config import PolicyConfig
from fleet.daemon.downloads import DiskFull, Downloads
from fleet.daemon.enrolment import ROOM_FILE, read_credentials
from fleet.daemon.files import free_bytes, write_durably
from fleet.daemon.policy_hold import CurrentVersion, revert
from fleet.daemon.policy_store import PolicyStore
from fleet.daemon.spool import Spool
from fleet.daemon.status import StatusBoard
from fleet.daemon.work import Writer
from fleet.protocol.messages import PolicyApplied, PolicyRefused, ShadowReport
from fleet.protocol.policy import PolicyManifest, decode_policy_manifest
from tests.fleet.daemon.harness import closed_ids, running
from tests.fleet.daemon.peer import Peer
from tests.fleet.daemon.point_policy import make_version
from tests.fleet.daemon.test_process import daemon
from tests.fleet.daemon.test_spool import fill, record
from tests.fleet.waiting import until, wait_for

MIB = 2**20
PADDING = 200_000  # a version of 0.8 MB
SMALL_SPOOL = f"spool.capacity_bytes={MIB}"


@pytest.fixture
def disk(small_disk: Callable[[int], Path]) -> Path:
    return small_disk(4 * 1024)


def take(disk: Path, leave: int = 0) -> Path:
    """Fill a disk to so many bytes; return the file to remove."""
    filler = disk / "filler"
    with filler.open("wb") as file:
        file.write(b"x" * (free_bytes(disk) - leave))
    return filler


def keep(store: PolicyStore, number: int, *, padding: int = 40_000) -> PolicyManifest:
    """Put a version into a store as if it had been fetched."""
    target, files = make_version(number, dx=number / 10, padding=padding)
    manifest = decode_policy_manifest(files[target.manifest_url])
    for sha256, url in target.blob_urls.items():
        store.path(sha256).write_bytes(files[url])
    return manifest


def drove(store: PolicyStore, number: int) -> PolicyManifest:
    manifest = keep(store, number)
    store.write_current(CurrentVersion(number=number, manifest=manifest))
    return manifest


def is_there(store: PolicyStore, manifest: PolicyManifest) -> bool:
    return all(store.is_held(blob) for blob in manifest.blobs)


async def test_a_disk_smaller_than_the_cache_takes_every_new_version(
    peer: Peer, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache may hold 4 GiB as by default, and the disk has four MiB: the oldest versions make room in time."""
    peer.update(assignments=(peer.task(),))
    published = []
    async with running(peer, disk, monkeypatch, SMALL_SPOOL):
        for number in range(1, 9):
            published.append(peer.publish(number, dx=number / 10, padding=PADDING))
            await until(lambda: published[-1] in {m.policy_version_id for m in list(peer.registered.values())})
        known = len(closed_ids(disk))
        await until(lambda: len(closed_ids(disk)) > known)
    assert [report.version_id for report in peer.of(PolicyApplied)] == published
    assert not peer.of(PolicyRefused)
    held = PolicyStore(disk / "policies", cache_bytes=2**40).history.complete()
    assert [item.number for item in held][:2] == [8, 7], "what drives and what a local revert goes back to"


async def test_a_version_without_room_is_refused_and_taken_once_there_is_some(
    peer: Peer, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said once, with a code; the old version records on in the spool's room, and nobody has to order it again."""
    peer.update(assignments=(peer.task(),))
    peer.publish(1, dx=0.7, padding=PADDING)
    async with running(peer, disk, monkeypatch, SMALL_SPOOL):
        await until(lambda: len(peer.registered) >= 1)
        filler = take(disk, leave=MIB)
        second = peer.publish(2, dx=0.9, padding=PADDING)
        await until(lambda: peer.of(PolicyRefused))
        known = len(peer.registered)
        await until(lambda: len(peer.registered) >= known + 3)
        (refusal,) = peer.of(PolicyRefused)
        assert (refusal.version_id, refusal.code) == (second, "disk_full")
        assert "0.8 MB of the disk" in refusal.message
        filler.unlink()
        await until(lambda: second in {m.policy_version_id for m in list(peer.registered.values())})
    assert len(peer.of(PolicyRefused)) == 1


async def test_a_candidate_without_room_is_not_shadowed(
    peer: Peer, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer.update(assignments=(peer.task(),))
    peer.publish(1, dx=0.7, padding=PADDING)
    async with running(peer, disk, monkeypatch, SMALL_SPOOL):
        await until(lambda: len(peer.registered) >= 1)
        take(disk, leave=MIB)
        peer.shadow(2, dx=0.5, padding=PADDING)
        await until(lambda: "refused" in [report.state for report in peer.of(ShadowReport)])
    assert peer.of(ShadowReport)[-1].code == "shadow_disk"


@pytest.mark.parametrize("is_first", [True, False])
async def test_a_fetch_leaves_the_spool_its_room_but_for_the_first_version(
    peer: Peer, disk: Path, is_first: bool
) -> None:
    """A robot without any version records nothing, so there is nothing to keep room for."""
    store = PolicyStore(disk, cache_bytes=2**40, spool_room=lambda: 4 * MIB)
    if not is_first:
        drove(store, 1)
    target, files = make_version(2, dx=0.5, padding=PADDING)
    peer.objects.update(files)
    manifest = decode_policy_manifest(files[target.manifest_url])
    async with httpx.AsyncClient(base_url=peer.url) as client:
        downloads = Downloads(client, PolicyConfig(), rng=random.Random(0))
        if is_first:
            await store.fetch_missing(downloads, manifest, target)
        else:
            with pytest.raises(DiskFull):
                await store.fetch_missing(downloads, manifest, target)
    assert is_there(store, manifest) is is_first
    assert not list((disk / "blobs").glob("*.part*"))


async def test_a_disk_that_fills_up_in_a_fetch_ends_it_with_a_code(
    peer: Peer, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others write, too: what was free when the fetch began may be gone in the middle of it."""
    monkeypatch.setattr("fleet.daemon.policy_store.free_bytes", lambda directory: 2**40)
    store = PolicyStore(disk / "policies", cache_bytes=2**40)
    take(disk, leave=MIB // 2)
    target, files = make_version(1, dx=0.5, padding=PADDING)
    peer.objects.update(files)
    manifest = decode_policy_manifest(files[target.manifest_url])
    async with httpx.AsyncClient(base_url=peer.url) as client:
        with pytest.raises(DiskFull):
            await store.fetch_missing(Downloads(client, PolicyConfig(), rng=random.Random(0)), manifest, target)
    store.make_room()
    assert list((disk / "policies" / "blobs").iterdir()) == [], "the episodes get what had arrived"


def test_what_something_needs_is_never_evicted(tmp_path: Path) -> None:
    store = PolicyStore(tmp_path, cache_bytes=2**40)
    versions = [drove(store, number) for number in range(1, 6)]
    revert(tmp_path, to="2", reason="it drops cups")
    shadowed, coming, forgotten = (keep(store, number) for number in (6, 7, 8))
    store.shadow_blobs = frozenset(blob.sha256 for blob in shadowed.blobs)
    store.driving = lambda: (coming,)
    (tmp_path / "blobs" / f"{'0' * 64}.part").write_bytes(b"half of something")
    store.make_room()
    assert [is_there(store, item) for item in versions] == [False, True, False, True, True]
    assert [is_there(store, item) for item in (shadowed, coming, forgotten)] == [True, True, False]
    assert len(list((tmp_path / "blobs").iterdir())) == 5


def test_of_what_nothing_needs_the_longest_unused_goes_first(tmp_path: Path) -> None:
    store = PolicyStore(tmp_path, cache_bytes=500_000)
    first, second, third = (keep(store, number) for number in (1, 2, 3))
    (blob,) = first.blobs
    store.verify(blob)  # it was loaded again
    keep(store, 4)
    store.evict()
    assert [is_there(store, item) for item in (first, second, third)] == [True, False, True]


@pytest.fixture
def writing(disk: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Spool, PolicyStore, Writer]]:
    monkeypatch.setattr("fleet.daemon.work.DISK_RETRY_S", 0.02)
    spool, store = Spool(disk / "spool", capacity_bytes=2**30), PolicyStore(disk / "policies", cache_bytes=2**40)
    writer = Writer(spool=spool, board=StatusBoard(), software={}, make_room=store.make_room)
    writer.start()
    yield spool, store, writer
    writer.stop()


def test_a_full_disk_takes_episodes_where_cached_versions_were(
    writing: tuple[Spool, PolicyStore, Writer], disk: Path
) -> None:
    """Those that drove last stay; without make_room the robot would record nothing until a person came."""
    spool, store, writer = writing
    versions = [drove(store, number) for number in range(1, 4)]
    take(disk)
    writer.put(record(1))
    wait_for(lambda: spool.pending())
    assert [is_there(store, item) for item in versions] == [False, True, True]


def test_registered_episodes_make_room_before_versions(writing: tuple[Spool, PolicyStore, Writer], disk: Path) -> None:
    spool, store, writer = writing
    versions = [drove(store, number) for number in range(1, 4)]
    registered = fill(spool, range(1, 6))
    for episode_id in registered[:-1]:
        spool.mark_uploaded(episode_id)
    take(disk)
    writer.put(record(9))
    wait_for(lambda: len(spool.pending()) == 2)
    assert all(is_there(store, item) for item in versions)
    assert spool.pending()[0] == registered[-1], "the one that is not registered stays"
    assert {path.name for path in (disk / "spool" / "uploaded").iterdir()} < set(registered[:-1])


def test_the_version_that_drives_is_noted_on_a_full_disk(disk: Path) -> None:
    store = PolicyStore(disk, cache_bytes=2**40)
    forgotten, driving = keep(store, 1), keep(store, 2)
    store.driving = lambda: (driving,)
    take(disk)
    store.write_current(CurrentVersion(number=2, manifest=driving))
    current = store.read_current()
    assert current is not None and current.manifest == driving
    assert not is_there(store, forgotten)


@pytest.mark.timeout(60)
def test_a_robot_starts_on_a_full_disk_and_makes_its_own_room(peer: Peer, disk: Path) -> None:
    """Killed on a disk that is full, with episodes that no line of the log names yet: it starts all the same,
    delivers them, and what is delivered makes room to record on."""
    peer.update(assignments=(peer.task(),))
    peer.publish(1, dx=0.7, padding=PADDING)
    with daemon(peer, disk):
        wait_for(lambda: len(peer.registered) >= 1)
    for delivered in (disk / "spool" / "uploaded").iterdir():
        shutil.rmtree(delivered)
    unsent = fill(Spool(disk / "spool", capacity_bytes=2**30), range(1, 4))
    (disk / "spool" / "closed.log").unlink()
    take(disk)
    with daemon(peer, disk) as process:
        wait_for(lambda: set(unsent) <= set(peer.registered))
        known = len(peer.registered)
        wait_for(lambda: len(peer.registered) > known)
        assert process.poll() is None
    assert set(unsent) <= set(closed_ids(disk))


async def test_a_token_is_not_spent_while_the_disk_has_no_room_for_the_key(
    peer: Peer, disk: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It counts once: a key that could not be kept would leave a robot that nobody lets in."""
    filler = take(disk)

    async def start() -> None:
        async with running(peer, disk, monkeypatch):
            await until(lambda: peer.status is not None)

    starting = asyncio.create_task(start())
    await until(lambda: caplog.text.count("No space left on device") >= 3)
    assert (peer.enrolments, starting.done()) == (0, False)
    filler.unlink()
    await starting
    assert peer.enrolments == 1
    assert read_credentials(disk) is not None
    assert not (disk / ROOM_FILE).exists()


def test_a_small_file_that_does_not_fit_leaves_the_old_one_and_no_half(disk: Path) -> None:
    file = disk / "kept.json"
    write_durably(file, b"old")
    take(disk, leave=8 * 1024)
    room = free_bytes(disk)
    with pytest.raises(OSError):
        write_durably(file, bytes(32 * 1024))
    assert (file.read_bytes(), free_bytes(disk)) == (b"old", room)
    assert {path.name for path in disk.iterdir()} == {"filler", "kept.json"}
