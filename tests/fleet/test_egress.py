"""Who downloads when: slots a robot, a queue that is kept, bytes a second of all together, shared fairly."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from fleet import egress, live
from fleet.daemon.config import PolicyConfig
from fleet.daemon.downloads import Downloads, FetchLater, Wanted
from fleet.egress import egress_admit, egress_leave, egress_paced
from fleet.errors import DownloadsBusy
from fleet.storage.local import LocalStore


@pytest.fixture(autouse=True)
def own_account(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[None]:
    """All tests share one Redis."""
    monkeypatch.setattr(egress, "PREFIX", f"sop:egress-test:{uuid.uuid4()}")
    settings.SOP_EGRESS_DOWNLOADS, settings.SOP_EGRESS_RETRY_S = 2, 2.0
    connection, pattern = live.connection(), f"{egress.PREFIX}:*"
    yield
    for key in connection.scan_iter(pattern):
        connection.delete(key)


def wait_s(robot: str) -> float:
    """Return 0 if the robot is admitted, else what it is told."""
    try:
        egress_admit(robot=robot)
    except DownloadsBusy as busy:
        return float(busy.data["wait_s"])  # type: ignore[arg-type]
    return 0.0


def expire(name: str, *robots: str) -> None:
    """Have a time of these robots pass: the clock is Redis's, so the end is moved instead."""
    for robot in robots:
        live.connection().zadd(f"{egress.PREFIX}:{name}", {robot: 1}, xx=True)


def test_slots_are_robots_not_connections() -> None:
    assert [wait_s(robot) for robot in ("a", "a", "b", "a")] == [0.0] * 4
    assert wait_s("c") > 0


def test_those_who_wait_come_in_the_order_in_which_they_asked() -> None:
    """Also when a later one asks more often; a robot is told a longer time the more are ahead of it."""
    assert [wait_s(robot) for robot in "ab"] == [0.0, 0.0]
    told = {robot: wait_s(robot) for robot in "cdef"}
    assert all(2.0 <= told[robot] <= 3.0 for robot in "cd")
    assert all(4.0 <= told[robot] <= 6.0 for robot in "ef")
    egress_leave(robot="a")
    expire("slots", "a")
    assert wait_s("f") > 0 and wait_s("d") > 0 and wait_s("g") > 0
    assert wait_s("c") == 0.0


def test_one_who_does_not_come_back_loses_its_place() -> None:
    assert [wait_s(robot) for robot in "ab"] == [0.0, 0.0]
    assert wait_s("c") > 0 and wait_s("d") > 0
    egress_leave(robot="a")
    expire("slots", "a")
    assert wait_s("d") > 0
    expire("due", "c")
    assert wait_s("d") == 0.0


def test_a_slot_lasts_as_long_as_its_last_connection_and_a_moment() -> None:
    for _ in range(2):
        egress_admit(robot="a")
    egress_leave(robot="a")
    ends = [float(live.connection().zscore(f"{egress.PREFIX}:slots", "a"))]  # type: ignore[arg-type]
    egress_leave(robot="a")
    ends.append(float(live.connection().zscore(f"{egress.PREFIX}:slots", "a")))  # type: ignore[arg-type]
    now_ms = time.time() * 1000
    assert ends[0] - now_ms > egress.HOLD_MS - 5000
    assert ends[1] - now_ms <= egress.IDLE_MS


def test_a_process_that_died_gives_its_slots_back() -> None:
    for _ in range(3):
        egress_admit(robot="a")
    egress_admit(robot="b")
    expire("slots", "a")
    assert wait_s("c") == 0.0
    egress_leave(robot="c")
    expire("slots", "c")
    egress_admit(robot="a")
    egress_leave(robot="a")
    left = float(live.connection().zscore(f"{egress.PREFIX}:slots", "a"))  # type: ignore[arg-type]
    assert left - time.time() * 1000 <= egress.IDLE_MS  # the old connections do not count any more


async def _pieces(count: int, size: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield bytes(size)


async def test_bytes_a_second_hold_for_all_together(settings: Any) -> None:
    settings.SOP_EGRESS_BYTES_S = 1_000_000

    async def drink(robot: str) -> None:
        async for _ in egress_paced(_pieces(10, 20_000), robot=robot):
            pass

    begun = time.monotonic()
    await asyncio.gather(*(drink(str(number % 3)) for number in range(6)))
    assert time.monotonic() - begun > 1.2 - 0.1 - 0.02 - 0.05  # less the burst, the last piece, and timers


async def test_a_robot_with_more_connections_gets_no_more(settings: Any) -> None:
    settings.SOP_EGRESS_BYTES_S = 500_000
    sent = {"greedy": 0, "modest": 0}

    async def drink(robot: str) -> None:
        async for piece in egress_paced(_pieces(1000, 10_000), robot=robot):
            sent[robot] += len(piece)

    tasks = [asyncio.create_task(drink(robot)) for robot in ("greedy",) * 8 + ("modest",)]
    while sum(sent.values()) < 600_000:
        await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert sent["modest"] > 0.4 * sum(sent.values())


def test_without_redis_nothing_is_limited(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """It is asked once and then left alone for a while: one that hangs would hold a thread for each piece."""
    monkeypatch.setattr(egress, "_away_until_s", -1e9)
    nobody = redis.Redis(host="127.0.0.1", port=9, socket_connect_timeout=0.2)
    asked: list[int] = []
    monkeypatch.setattr(live, "connection", lambda: asked.append(1) or nobody)  # type: ignore[func-returns-value]
    assert [wait_s(robot) for robot in "abcd"] == [0.0] * 4
    egress_leave(robot="a")
    assert len(asked) == 1


# --- Over HTTP --------------------------------------------------------------------------------------------------------

KEY = "policies/blobs/a.safetensors"
DATA = random.Random(3).randbytes(1_000_000)


def url_of(objects: LocalStore, robot: str) -> str:
    return objects.sign_get(KEY, expires_s=60, holder=robot)


def test_a_robot_beyond_the_slots_is_told_when(server: str, objects: LocalStore, settings: Any) -> None:
    """Manifests and other objects are not counted; a range that is refused holds no slot; the name is signed."""
    objects.put(KEY, DATA)
    objects.put("episodes/e/a", DATA)
    settings.SOP_EGRESS_DOWNLOADS = 1
    with httpx.Client(base_url=f"http://{server}", timeout=10) as http:
        assert http.get(url_of(objects, "a"), headers={"Range": "bytes=9000000-"}).status_code == 416
        expire("slots", "a")
        assert http.get(url_of(objects, "b"), headers={"Range": "bytes=0-9"}).content == DATA[:10]
        egress_admit(robot="b")
        busy = http.get(url_of(objects, "c"))
        assert (busy.status_code, busy.json()["code"]) == (429, "downloads_busy")
        assert 2 <= int(busy.headers["Retry-After"]) <= 3
        assert http.head(url_of(objects, "c")).status_code == 200
        assert http.get(objects.sign_get("episodes/e/a", expires_s=60)).status_code == 200
        assert http.get(url_of(objects, "c").replace("holder=c", "holder=b")).status_code == 403
        assert http.get(url_of(objects, "c").replace("&holder=c", "")).status_code == 403


def test_a_crowd_is_served_a_few_at_a_time_and_all_get_it(
    server: str, objects: LocalStore, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve robots with the daemon's own downloads: never more than two at once, and nobody is left out."""
    objects.put(KEY, DATA)
    settings.SOP_EGRESS_RETRY_S, settings.SOP_EGRESS_BYTES_S = 0.2, 20_000_000
    most, stop = 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not stop.wait(0.005):
            most = max(most, int(live.connection().zcard(f"{egress.PREFIX}:slots")))  # type: ignore[arg-type]

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        laters = asyncio.run(_crowd(server, objects, tmp_path))
    finally:
        stop.set()
        watcher.join()
    assert all((tmp_path / str(number)).read_bytes() == DATA for number in range(12))
    assert most == 2
    assert laters > 0


async def _crowd(server: str, objects: LocalStore, folder: Path) -> int:
    laters = 0

    async def robot(number: int) -> None:
        nonlocal laters
        config = PolicyConfig(fetch_part_bytes=256 * 1024, fetch_connections=2)
        async with httpx.AsyncClient(base_url=f"http://{server}") as client:
            downloads = Downloads(client, config, rng=random.Random(number))
            for _ in range(200):
                with contextlib.suppress(FetchLater):
                    await downloads.fetch(
                        Wanted("a", url_of(objects, f"robot-{number}"), len(DATA)), folder / str(number)
                    )
                    return
                laters += 1
                await asyncio.sleep(0.1)

    await asyncio.gather(*(robot(number) for number in range(12)))
    return laters
