"""How quickly a robot's heartbeat shows on every open fleet page, and how fast episodes are registered.

    python -m benchmarks.fleet_page --robots 20 --pages 100 --seconds 20 --episodes 50

Needs DATABASE_URL and REDIS_URL of servers to scribble on (a migrated database). Starts its own uvicorn; robots and
pages share the machine with it. The delay of a page counts from the robot's send to the page's receipt, so it holds
the quarter second over which the hub coalesces. Prints JSON; asserts nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any
from urllib.request import Request, urlopen

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sop_web.settings.dev")
django.setup()

import psutil  # noqa: E402
from asgiref.sync import sync_to_async  # noqa: E402
from django.contrib.auth import get_user_model  # noqa: E402
from django.test import Client  # noqa: E402
from websockets.asyncio.client import connect  # noqa: E402

from fleet.protocol import messages as m  # noqa: E402
from fleet.protocol.session import RobotSession  # noqa: E402
from fleet.selectors.latency import percentiles  # noqa: E402
from fleet.services.enrolment import Enrolled  # noqa: E402
from tests.fleet import builders  # noqa: E402

PORT = 8799
SERVER = f"127.0.0.1:{PORT}"


async def robot(enrolled: Enrolled, sent: dict[tuple[str, int], float], end: float, period_s: float) -> None:
    """Beat with a growing step and note when each step was sent."""
    headers = {"Authorization": f"Bearer {enrolled.robot.id}.{enrolled.key}"}
    async with connect(f"ws://{SERVER}/ws/robot", additional_headers=headers) as socket:
        session = RobotSession(builders.hello(), now=time.monotonic())
        for frame in session.drain():
            await socket.send(frame)
        session.receive(await socket.recv(), now=time.monotonic())
        reader = asyncio.create_task(_drain(socket))
        step = 0
        while time.monotonic() < end:
            step += 1
            session.send(m.Heartbeat(clock_ns=time.time_ns(), status=builders.status(step=step, state_revision=2)))
            sent[(str(enrolled.robot.id), step)] = time.monotonic()
            for frame in session.drain():
                await socket.send(frame)
            await asyncio.sleep(period_s)
        reader.cancel()


async def _drain(socket: object) -> None:
    async for _ in socket:  # type: ignore[attr-defined]
        pass


async def page(cookie: str, sent: dict[tuple[str, int], float], delays: list[float], end: float) -> None:
    headers = {"Cookie": cookie, "Origin": f"http://{SERVER}"}
    async with connect(f"ws://{SERVER}/ws/console", additional_headers=headers, compression=None) as socket:
        while (left := end - time.monotonic()) > 0:
            try:
                async with asyncio.timeout(left):
                    body = json.loads(await socket.recv())[1]
            except TimeoutError:
                return
            now = time.monotonic()
            for card in body.get("robots", ()) if body["type"] == "robots_changed" else ():
                started = sent.get((card["robot_id"], card["step"]))
                if started is not None:
                    delays.append(now - started)


async def run(options: argparse.Namespace, process: psutil.Process) -> dict[str, Any]:
    enrolled = [await sync_to_async(builders.enrol)(f"bench-{time.time_ns()}-{i}") for i in range(options.robots)]
    cookie = await sync_to_async(_cookie)()
    sent: dict[tuple[str, int], float] = {}
    delays: list[float] = []
    end = time.monotonic() + options.seconds
    before = process.cpu_times()
    async with asyncio.TaskGroup() as group:
        for _ in range(options.pages):
            group.create_task(page(cookie, sent, delays, end))
        for one in enrolled:
            group.create_task(robot(one, sent, end, options.period_s))
    after = process.cpu_times()
    cpu_s = after.user + after.system - before.user - before.system
    return {
        "robots": options.robots, "pages": options.pages, "heartbeats": len(sent), "cards": len(delays),
        "heartbeat_to_page": in_ms(delays),
        "server_cores": round(cpu_s / options.seconds, 2),
        "server_mb": round(process.memory_info().rss / 1e6),
    }  # fmt: skip


def _cookie() -> str:
    client = Client()
    user, _ = get_user_model().objects.get_or_create(username="bench")
    client.force_login(user)
    return f"sessionid={client.cookies['sessionid'].value}"


def register(count: int) -> dict[str, float]:
    """Upload and register episodes of 120 steps one after the other, as one robot does; return the spans in ms."""
    from tests.fleet.consumers.peers import joined_robot

    enrolled, task = builders.enrol(f"bench-upload-{time.time_ns()}"), builders.task()
    spans = []
    with joined_robot(SERVER, enrolled) as peer:
        for _ in range(count):
            manifest, files = builders.episode(task, enrolled.robot, steps=120, human=40)
            started = time.monotonic()
            objects = tuple(builders.record(name, data) for name, data in files.items())
            peer.send(m.UploadRequest(episode_id=manifest.episode_id, objects=objects))
            for target in peer.expect(m.UploadGrant).targets:
                url = f"http://{SERVER}{target.url}"
                urlopen(Request(url, data=files[target.name], method="PUT", headers=target.headers), timeout=30).read()
            peer.send(m.EpisodeReady(episode_id=manifest.episode_id, uploaded_ns=time.time_ns(), manifest=manifest))
            peer.expect(m.EpisodeRegistered)
            spans.append(time.monotonic() - started)
    return in_ms(spans)


def wait_until_serving(server: subprocess.Popen[bytes], *, timeout_s: float = 30.0) -> None:
    """Return when the server answers. Raises: RuntimeError if it ends or stays silent."""
    deadline = time.monotonic() + timeout_s
    while server.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), urlopen(f"http://{SERVER}/api/v1/session", timeout=5):
            return
        time.sleep(0.1)
    raise RuntimeError(f"the server did not answer on {SERVER}")


def in_ms(spans_s: list[float]) -> dict[str, float]:
    """Return percentiles in ms and n of at least one span in seconds."""
    found = dataclasses.asdict(percentiles(spans_s))
    return {"n": found["n"], **{f"{name}_ms": round(found[name] * 1e3, 1) for name in ("p50", "p90", "p99", "max")}}


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, default in (("robots", 20), ("pages", 100), ("seconds", 20), ("episodes", 50)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--period-s", type=float, default=2.0, help="heartbeat period of each robot")
    options = parser.parse_args()
    command = [sys.executable, "-m", "uvicorn", "sop_web.asgi:application", "--port", str(PORT), "--log-level", "error"]
    command += ["--ws", "websockets-sansio", "--ws-per-message-deflate", "false", "--no-access-log"]
    with tempfile.TemporaryFile() as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            wait_until_serving(server)
            found = asyncio.run(run(options, psutil.Process(server.pid)))
            found["episode_asked_to_registered"] = register(options.episodes)
        finally:
            server.terminate()
    machine = {"cores": os.cpu_count(), "load": os.getloadavg()[0]}
    print(json.dumps({"machine": machine, **found}, indent=1))


if __name__ == "__main__":
    main()
