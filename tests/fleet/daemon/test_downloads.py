"""Downloads over several connections: parts, resumed after every kind of interruption, within a rate."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import random
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from fleet.daemon.config import PolicyConfig
from fleet.daemon.downloads import (
    ByteRate,
    Damaged,
    Downloads,
    FetchFailed,
    FetchLater,
    Part,
    Progress,
    Wanted,
    finish,
)
from tests.fleet.daemon.peer import Peer
from tests.fleet.waiting import until

PART = 64 * 1024
DATA = random.Random(0).randbytes(5 * PART + 777)
CONFIG = PolicyConfig(fetch_part_bytes=PART, backoff_min_s=0.01, backoff_max_s=0.02, fetch_attempts=3)
PATH = "/objects/blob"
WANTED = Wanted("blob", PATH, len(DATA))


@pytest.fixture
def serving(peer: Peer) -> Peer:
    peer.objects[PATH] = DATA
    return peer


async def fetch(peer: Peer, file: Path, wanted: Wanted = WANTED, **changes: Any) -> int:
    async with httpx.AsyncClient(base_url=peer.url) as client:
        downloads = Downloads(client, dataclasses.replace(CONFIG, **changes), rng=random.Random(0))
        return await downloads.fetch(wanted, file)


def ranges(peer: Peer) -> list[str]:
    return [header.removeprefix("bytes=") for _, path, header in peer.requests if path == PATH]


async def test_every_part_is_fetched_once_and_put_where_it_belongs(serving: Peer, tmp_path: Path) -> None:
    assert await fetch(serving, tmp_path / "f") == len(DATA)
    assert (tmp_path / "f").read_bytes() == DATA
    starts = range(0, len(DATA), PART)
    assert sorted(ranges(serving)) == sorted(f"{start}-{min(start + PART, len(DATA)) - 1}" for start in starts)
    finish(tmp_path / "f")
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


async def test_no_more_connections_than_configured(tmp_path: Path) -> None:
    """And as many as that, where there are parts for them."""
    open_now, most = 0, 0

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        first, last = (int(text) for text in request.headers["Range"].removeprefix("bytes=").split("-"))
        await asyncio.sleep(0.02)
        open_now -= 1
        headers = {"Content-Range": f"bytes {first}-{last}/{len(DATA)}"}
        return httpx.Response(206, stream=httpx.ByteStream(DATA[first : last + 1]), headers=headers)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://robot.invalid") as client:
        config = dataclasses.replace(CONFIG, fetch_connections=3)
        await Downloads(client, config, rng=random.Random(0)).fetch(WANTED, tmp_path / "f")
    assert (most, (tmp_path / "f").read_bytes() == DATA) == (3, True)


async def test_a_part_that_breaks_off_goes_on_where_it_stopped(serving: Peer, tmp_path: Path) -> None:
    serving.cut_gets_at = 1000
    assert await fetch(serving, tmp_path / "f", fetch_connections=1) == len(DATA)
    assert (tmp_path / "f").read_bytes() == DATA
    assert ranges(serving)[:2] == [f"0-{PART - 1}", f"1000-{PART - 1}"]


async def test_what_arrived_before_a_kill_is_not_fetched_again(serving: Peer, tmp_path: Path) -> None:
    """Cancelled at any moment: together the two fetches transfer the object once."""
    file = tmp_path / "f"
    slow: dict[str, Any] = {"fetch_rate_bytes_s": 400_000.0, "fetch_rate_watched_bytes_s": 10_000.0}
    task = asyncio.create_task(fetch(serving, file, **slow))
    await until(lambda: file.exists() and len(ranges(serving)) >= 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    parts = msgspec.json.decode((tmp_path / "f.progress").read_bytes(), type=Progress).parts
    held = sum(part.at - part.start for part in parts)
    assert 0 < held < len(DATA)
    assert await fetch(serving, file) == len(DATA) - held
    assert file.read_bytes() == DATA


@pytest.mark.parametrize("damage", ["no record", "no JSON", "a gap", "another size", "a short file"])
async def test_a_record_that_does_not_fit_counts_for_nothing(serving: Peer, tmp_path: Path, damage: str) -> None:
    file, record = tmp_path / "f", tmp_path / "f.progress"
    file.write_bytes(b"x" * (len(DATA) - (damage == "a short file")))
    parts = [Part(0, PART, PART), Part(PART + (damage == "a gap"), len(DATA), len(DATA))]
    record.write_bytes(msgspec.json.encode(Progress(len(DATA) + (damage == "another size"), parts)))
    if damage == "no JSON":
        record.write_bytes(b"{")
    if damage == "no record":
        record.unlink()
    assert await fetch(serving, file) == len(DATA)
    assert file.read_bytes() == DATA


async def test_a_server_without_ranges_is_asked_for_the_whole(serving: Peer, tmp_path: Path) -> None:
    serving.is_ranged = False
    await fetch(serving, tmp_path / "f", fetch_connections=2)
    assert (tmp_path / "f").read_bytes() == DATA
    assert ranges(serving)[-1] == ""


async def test_a_server_without_ranges_that_breaks_off_begins_again(serving: Peer, tmp_path: Path) -> None:
    serving.is_ranged, serving.cut_gets_at = False, 1000
    await fetch(serving, tmp_path / "f", fetch_part_bytes=2 * len(DATA), fetch_connections=1)
    assert (tmp_path / "f").read_bytes() == DATA


@pytest.mark.parametrize("size", [len(DATA) - 10, len(DATA) + 10, PART - 1, len(DATA) + PART])
async def test_an_object_of_another_size_is_damaged(serving: Peer, tmp_path: Path, size: int) -> None:
    with pytest.raises(Damaged):
        await fetch(serving, tmp_path / "f", Wanted("blob", PATH, size))


async def test_attempts_are_bounded_and_what_arrived_is_kept(tmp_path: Path) -> None:
    tries: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        tries.append(request.headers["Range"])
        first, last = (int(text) for text in tries[-1].removeprefix("bytes=").split("-"))
        headers = {"Content-Range": f"bytes {first}-{last}/{len(DATA)}"}
        return (
            httpx.Response(500)
            if first
            else httpx.Response(206, stream=httpx.ByteStream(DATA[: last + 1]), headers=headers)
        )

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://robot.invalid") as client:
        config = dataclasses.replace(CONFIG, fetch_connections=1)
        with pytest.raises(FetchFailed) as failed:
            await Downloads(client, config, rng=random.Random(0)).fetch(WANTED, tmp_path / "f")
    assert not failed.value.is_url_refused
    assert tries == [f"bytes=0-{PART - 1}", *[f"bytes={PART}-{2 * PART - 1}"] * 3]
    parts = msgspec.json.decode((tmp_path / "f.progress").read_bytes(), type=Progress).parts
    assert [part.at - part.start for part in parts] == [PART, 0, 0, 0, 0, 0]


async def test_a_part_that_trickles_is_given_up(tmp_path: Path) -> None:
    """Bytes that come often enough for the timeout of a read, but never make a part."""

    class Trickle(httpx.AsyncByteStream):
        async def __aiter__(self) -> Any:
            while True:
                yield b"x"
                await asyncio.sleep(0.01)

    def answer(request: httpx.Request) -> httpx.Response:
        sent = request.headers["Range"].removeprefix("bytes=")
        return httpx.Response(206, stream=Trickle(), headers={"Content-Range": f"bytes {sent}/{len(DATA)}"})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://robot.invalid") as client:
        config = dataclasses.replace(CONFIG, fetch_part_timeout_s=0.1)
        with pytest.raises(FetchFailed, match=r"longer than 0\.1 s"):
            await Downloads(client, config, rng=random.Random(0)).fetch(WANTED, tmp_path / "f")


async def test_later_is_said_at_once_and_with_its_time(serving: Peer, tmp_path: Path) -> None:
    serving.later_s = 7
    with pytest.raises(FetchLater) as later:
        await fetch(serving, tmp_path / "f", fetch_connections=1)
    assert (later.value.after_s, later.value.is_url_refused, len(ranges(serving))) == (7.0, False, 1)


async def test_the_rate_holds_for_all_together_and_changes_at_once() -> None:
    """By a clock of its own: 4 askers, 1 MB/s, then a tenth of it because somebody watches."""
    now_s, rate = 100.0, 1e6

    async def sleep(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds

    limit = ByteRate(lambda: rate, clock=lambda: now_s, sleep=sleep)
    for _ in range(100):
        await limit.take(50_000)
    assert now_s - 100.0 == pytest.approx(4.9)  # a tenth of a second in advance after a pause
    rate, before_s = 1e5, now_s
    for _ in range(10):
        await limit.take(50_000)
    assert now_s - before_s == pytest.approx(5.0)


async def test_while_somebody_watches_bytes_come_slower(serving: Peer, tmp_path: Path) -> None:
    loop, watched = asyncio.get_running_loop(), False
    config = dataclasses.replace(CONFIG, fetch_rate_bytes_s=1e9, fetch_rate_watched_bytes_s=600_000)
    async with httpx.AsyncClient(base_url=serving.url) as client:
        downloads = Downloads(client, config, rng=random.Random(0), is_watched=lambda: watched)
        watched, begun_s = True, loop.time()
        await downloads.fetch(WANTED, tmp_path / "f")
    assert loop.time() - begun_s > len(DATA) / 600_000 - 0.2
    assert hashlib.sha256((tmp_path / "f").read_bytes()).digest() == hashlib.sha256(DATA).digest()
