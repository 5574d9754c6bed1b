"""An episode and a policy version over S3: the daemon's own upload and download, the server's own registration."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.db import connection

from fleet.consumers.episodes import answer_ready, answer_upload
from fleet.daemon.config import PolicyConfig, UploadConfig
from fleet.daemon.downloads import Downloads
from fleet.daemon.policy_store import PolicyStore
from fleet.daemon.spool import Spool
from fleet.daemon.uploader import Uploader
from fleet.models import Episode
from fleet.protocol.messages import (
    EpisodeReady,
    EpisodeRefused,
    HeartbeatAck,
    PolicyTarget,
    RobotMessage,
    UploadRequest,
)
from fleet.protocol.policy import PolicyManifest
from fleet.selectors.objects import object_store
from fleet.selectors.robot import policy_target
from fleet.services.policy import policy_version_publish
from sop_web.embedded.system import free_port
from tests.fleet import builders
from tests.fleet.consumers.peers import joined_robot

pytestmark = pytest.mark.django_db(transaction=True)


class LossyTransport(httpx.AsyncHTTPTransport):
    """Delivers every request; the answers to the first `losses` PUTs are lost on the way back."""

    def __init__(self, losses: int) -> None:
        super().__init__()
        self.losses = losses
        self.answers: list[int] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        self.answers.append(response.status_code)
        if request.method == "PUT" and self.losses:
            self.losses -= 1
            await response.aclose()
            raise httpx.ReadError("the connection was lost")
        return response


class Server:
    """The server's side of the robot link without the socket: the consumer's own answers, each in a thread."""

    def __init__(self, robot_id: str) -> None:
        self.robot_id = robot_id
        self.uploader: Uploader | None = None
        self.answers: list[Any] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, message: RobotMessage) -> bool:
        task = asyncio.get_running_loop().create_task(self._answer(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _answer(self, message: RobotMessage) -> None:
        answer = await asyncio.to_thread(self._ask, message)
        self.answers.append(answer)
        assert self.uploader is not None
        self.uploader.receive(answer)

    def _ask(self, message: RobotMessage) -> Any:
        try:
            if isinstance(message, UploadRequest):
                return answer_upload(self.robot_id, message)
            assert isinstance(message, EpisodeReady)
            return answer_ready(self.robot_id, message)
        finally:
            connection.close()


async def _deliver(spool: Spool, server: Server, transport: LossyTransport, *, until: Callable[[], bool]) -> None:
    config = UploadConfig(backoff_min_s=0.05, backoff_max_s=0.1)
    async with httpx.AsyncClient(base_url="http://127.0.0.1:9", transport=transport, timeout=10) as client:
        uploader = Uploader(spool=spool, client=client, config=config, send=server.send, rng=random.Random(1))
        server.uploader = uploader
        uploader.link_opened()
        running = asyncio.create_task(uploader.run())
        try:
            async with asyncio.timeout(30):
                while not until():
                    assert not running.done(), running.result()
                    await asyncio.sleep(0.02)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def _closed_episode(state: Path) -> tuple[Any, Any, dict[str, bytes]]:
    """Return robot and manifest of an episode that waits in the robot's spool, and its files."""
    robot, task = builders.enrol().robot, builders.task()
    manifest, files = builders.episode(task, robot, steps=6, human=2)
    folder = state / "pending" / manifest.episode_id
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return robot, manifest, files


@pytest.mark.parametrize("losses", [0, 2])
def test_an_episode_uploads_and_registers(s3_url: str, settings: Any, tmp_path: Path, losses: int) -> None:
    """Also when answers to PUTs are lost: the store says 412 to the repeat, the next grant knows the object."""
    settings.SOP_OBJECT_STORE_URL = s3_url
    robot, manifest, files = _closed_episode(tmp_path)
    spool, transport = Spool(tmp_path, capacity_bytes=10**9), LossyTransport(losses)

    asyncio.run(_deliver(spool, Server(str(robot.id)), transport, until=lambda: not spool.pending()))

    assert (tmp_path / "uploaded" / manifest.episode_id).is_dir()
    row = Episode.objects.get()
    assert (str(row.id), row.steps, row.human_steps) == (manifest.episode_id, 6, 2)
    stored = object_store()
    assert {key.rpartition("/")[2]: stored.get(key) for key in stored.list("episodes/")} == files
    assert transport.answers.count(200) == len(files)
    assert transport.answers.count(412) == losses


def test_an_outage_of_the_store_refuses_nothing_for_good(s3_url: str, settings: Any, tmp_path: Path) -> None:
    """Given a store that is down, the episode stays in the spool; when the store is back it arrives."""
    settings.SOP_OBJECT_STORE_URL = f"s3://bucket?endpoint=http://127.0.0.1:{free_port()}"
    robot, _, _ = _closed_episode(tmp_path)
    spool, server = Spool(tmp_path, capacity_bytes=10**9), Server(str(robot.id))

    asyncio.run(_deliver(spool, server, LossyTransport(0), until=lambda: bool(server.answers)))

    refused = server.answers[0]
    assert isinstance(refused, EpisodeRefused)
    assert (refused.code, refused.is_final) == ("store_unavailable", False)
    assert len(spool.pending()) == 1
    settings.SOP_OBJECT_STORE_URL = s3_url
    asyncio.run(_deliver(spool, server, LossyTransport(0), until=lambda: not spool.pending()))
    assert Episode.objects.count() == 1


def test_a_store_that_hangs_holds_up_no_heartbeat(server: str, settings: Any, aws: None) -> None:
    """Given more deliveries that wait on a silent store than there are threads, a robot still joins and beats."""
    with socket.create_server(("127.0.0.1", 0)) as silent, contextlib.ExitStack() as links:
        settings.SOP_OBJECT_STORE_URL = f"s3://bucket?endpoint=http://127.0.0.1:{silent.getsockname()[1]}"
        enrolled = [builders.enrol() for _ in range(11)]
        for robot in enrolled[:10]:
            peer = links.enter_context(joined_robot(server, robot))
            objects = (builders.record("steps.parquet", b"x"),)
            peer.send(UploadRequest(episode_id=str(uuid.uuid4()), objects=objects))
        silent.settimeout(10)
        held = [silent.accept()[0] for _ in range(4)]  # the deliveries are in the store's hands now
        peer = links.enter_context(joined_robot(server, enrolled[10]))
        peer.beat()
        peer.expect(HeartbeatAck, timeout_s=3)
        for connection_ in held:
            connection_.close()


def test_a_published_version_is_fetched_and_resumed(s3_url: str, settings: Any, tmp_path: Path) -> None:
    """Published twice, as a resumed round does; the robot holds the first half of the blob already."""
    settings.SOP_OBJECT_STORE_URL = s3_url
    run = builders.running_run()
    manifest_bytes, blobs = builders.policy(run.id, value=0.5)
    for _ in range(2):
        version = policy_version_publish(run_id=str(run.id), manifest_bytes=manifest_bytes, blobs=blobs)
    [(sha256, data)] = blobs.items()
    store, half = PolicyStore(tmp_path, cache_bytes=10**9), len(data) // 2
    part = store.path(sha256).with_suffix(".part")
    part.write_bytes(data[:half] + bytes(len(data) - half))
    record = {"size": len(data), "parts": [{"start": 0, "end": len(data), "at": half}]}
    part.with_name(f"{part.name}.progress").write_text(json.dumps(record))

    manifest, received = asyncio.run(_fetch(store, policy_target(version)))

    store.verify(manifest.blobs[0])
    assert (manifest.version_id, received) == (str(version.id), len(data) - half)
    assert store.path(sha256).read_bytes() == data


async def _fetch(store: PolicyStore, target: PolicyTarget) -> tuple[PolicyManifest, int]:
    async with httpx.AsyncClient(base_url="http://127.0.0.1:9") as client:
        downloads = Downloads(client, PolicyConfig(), rng=random.Random(1))
        manifest = await store.fetch_manifest(downloads, target)
        [blob] = manifest.blobs
        received = await store.fetch_blob(downloads, blob, target.blob_urls[blob.sha256])
    return manifest, received
