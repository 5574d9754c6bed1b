"""Episodes a second by a robot's real way (ask, PUT, announce, registered), beside the object store by itself.

Uploaders each have a link and send one episode after the other, of the same bytes under an id of its own. The store by
itself takes the same objects from as many threads by PUTs to signed URLs: of a bucket's server, or of the web processes
that stand before a folder. A folder also takes them by its own code, without HTTP (`folder_alone_episodes_s`). What a
registration adds is reading back, hashing, looking through the videos, and rows.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
from websockets.sync.client import ClientConnection, connect

from benchmarks.fleet_load.delays import Delays
from benchmarks.fleet_load.robots import hello, status
from benchmarks.fleet_load.site import Site
from benchmarks.fleet_load.usage import Usage
from fleet.protocol import messages as m
from fleet.protocol.authority import MODE_CODES, SOURCE_CODES, Mode, Source
from fleet.protocol.codec import MAX_SERVER_FRAME_BYTES
from fleet.protocol.recording import (
    MANIFEST_OBJECT,
    STEPS_OBJECT,
    CameraRecord,
    EpisodeManifest,
    ObjectRecord,
    Origin,
    Outcome,
    encode_manifest,
    segments_of,
)
from fleet.protocol.session import RobotSession
from fleet.protocol.steps import encode_steps
from fleet.protocol.video import VIDEO_CRF, write_video

STEPS = 120
SMALL_BYTES = 1_500_000  # of a video whose pictures have 128 x 128 pixels; of a larger one 512 x 512
ANSWER_S = 120.0


@dataclass(frozen=True)
class Made:
    """An episode without an id, and its objects."""

    manifest: EpisodeManifest
    files: dict[str, bytes]

    def fresh(self, robot_id: str) -> tuple[EpisodeManifest, dict[str, bytes]]:
        manifest = msgspec.structs.replace(self.manifest, episode_id=str(uuid.uuid4()), robot_id=robot_id)
        return manifest, {**self.files, MANIFEST_OBJECT: encode_manifest(manifest)}


def make(task_id: str, video_bytes: int) -> Made:
    """Return an episode of 120 steps whose video is about so large: noise in a part of the picture."""
    pixels = 128 if video_bytes <= SMALL_BYTES else 512
    low, high, video = 0, pixels, b""
    while high - low > 2:
        side = (low + high) // 4 * 2
        video = _video(side, pixels)
        low, high = (side, high) if len(video) < video_bytes else (low, side)
    steps = {
        "frame_index": np.arange(STEPS, dtype=np.int32),
        "timestamp_s": np.arange(STEPS, dtype=np.float64) / 10,
        "captured_ns": np.arange(STEPS, dtype=np.int64) * 10**8 + 10**18,
        "observation.state": np.zeros((STEPS, 2), np.float32),
        **{name: np.zeros((STEPS, 4), np.float32) for name in ("action", "action.asked", "action.proposed")},
        "proposed": np.ones(STEPS, bool),
        "reward": np.zeros(STEPS, np.float32),
        "success": np.zeros(STEPS, bool),
        "mode": np.full(STEPS, MODE_CODES[Mode.AUTONOMOUS], np.int8),
        "source": np.full(STEPS, SOURCE_CODES[Source.POLICY], np.int8),
        "lease_epoch": np.zeros(STEPS, np.int32),
        "inference_ms": np.zeros(STEPS, np.float32),
        "period_ms": np.zeros(STEPS, np.float32),
    }
    files = {STEPS_OBJECT: encode_steps(steps), "front.mp4": video}
    now = time.time_ns()
    manifest = EpisodeManifest(
        episode_id="", origin=Origin.ONLINE, robot_id="", robot_name="load", task_id=task_id, task_slug="load",
        instruction="stand under load", policy_version_id=None, outcome=Outcome.SUCCESS, seed=1, steps=STEPS,
        human_steps=0, control_rate_hz=10.0, started_ns=now - 12 * 10**9, ended_ns=now, driver="load",
        action_names=("x", "y", "z", "gripper"), proprio_names=("hand_x", "hand_y"),
        cameras=(CameraRecord(name="front", object="front.mp4", width=pixels, height=pixels),),
        segments=tuple(segments_of(steps["mode"], steps["source"], steps["lease_epoch"])),
        objects=tuple(_record(name, data) for name, data in files.items()), software={},
    )  # fmt: skip
    return Made(manifest, files)


def _video(side: int, pixels: int) -> bytes:
    rng, frames = np.random.default_rng(0), []
    for _ in range(STEPS):
        frame = np.full((pixels, pixels, 3), 128, np.uint8)
        frame[:side, :side] = rng.integers(0, 255, (side, side, 3), dtype=np.uint8)
        frames.append(frame)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        write_video(path, frames, rate_hz=10.0, crf=VIDEO_CRF)
        return path.read_bytes()


def _record(name: str, data: bytes) -> ObjectRecord:
    return ObjectRecord(name=name, size=len(data), sha256=hashlib.sha256(data).hexdigest())


def ingest(site: Site, keys: list[tuple[str, str]], given: argparse.Namespace) -> dict[str, Any]:
    """Store alone, the whole way, store alone again: the disk's speed changes while others use it."""
    from fleet.models import Task

    made = make(str(Task.objects.get(slug="load").id), given.episode_kb * 1000)
    size = sum(len(data) for data in made.files.values())
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each PUT else
    before = _alone(made, given, site.origin)
    own_s = time.process_time()
    with Usage(lambda: {**site.parts()}) as usage:
        delays = Delays()
        began_s = time.monotonic()
        shares = [len(range(number, given.episodes, given.uploaders)) for number in range(given.uploaders)]
        work = [(site, keys[number], made, shares[number]) for number in range(given.uploaders)]
        for found in _each(lambda item: _upload(*item), work, given.uploaders):
            delays.merge(found)
        seconds = time.monotonic() - began_s
        own_s = time.process_time() - own_s
    after = _alone(made, given, site.origin)
    rate, alone = given.episodes / seconds, (before + after) / 2
    return {
        "episode_bytes": size,
        "episodes": given.episodes,
        "uploaders": given.uploaders,
        "episodes_s": round(rate, 2),
        "mb_s": round(rate * size / 1e6, 2),
        "asked_to_registered": delays.summary(),
        "store_alone_episodes_s": [round(before, 2), round(after, 2)],
        "share_of_store": round(rate / alone, 3),
        "folder_alone_episodes_s": None if given.bucket else round(_alone(made, given, None), 2),
        "cores": usage.cores(),
        "load_cores": round(own_s / seconds, 3),
    }


def _each(act: Callable[[Any], Any], work: Iterable[Any], threads: int) -> list[Any]:
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(act, work))


def _alone(made: Made, given: argparse.Namespace, origin: str | None) -> float:
    """Return episodes a second that the store takes. `origin`: the server's; None: by the folder's own code."""
    from fleet.selectors.objects import object_store
    from fleet.storage import keys

    store = object_store()

    def put(number: int) -> None:
        manifest, files = made.fresh(str(uuid.uuid4()))
        for name, data in files.items():
            key = keys.episode_object(manifest.episode_id, name)
            record = _record(name, data)
            signed = store.sign_put(key, size=record.size, sha256=record.sha256, expires_s=600)
            if origin is None:
                store.put_pieces(key, [data], size=record.size, sha256=record.sha256)
            else:
                client.put(signed.url, content=data, headers=signed.headers).raise_for_status()

    with httpx.Client(base_url=origin or "", timeout=60) as client:
        began_s = time.monotonic()
        _each(put, range(given.episodes), given.uploaders)
        return float(given.episodes / (time.monotonic() - began_s))


def _upload(site: Site, key: tuple[str, str], made: Made, count: int) -> Delays:
    delays = Delays()
    headers = {"Authorization": f"Bearer {key[0]}.{key[1]}"}
    url = f"{site.url}/ws/robot"
    with (
        connect(url, additional_headers=headers, compression=None, max_size=MAX_SERVER_FRAME_BYTES) as socket,
        httpx.Client(base_url=site.origin, timeout=60) as client,
    ):
        link = _Link(socket)
        link.expect(m.Welcome)
        for _ in range(count):
            began_s = time.monotonic()
            manifest, files = made.fresh(key[0])
            objects = tuple(_record(name, data) for name, data in files.items())
            link.send(m.UploadRequest(episode_id=manifest.episode_id, objects=objects))
            for target in link.expect(m.UploadGrant).targets:
                client.put(target.url, content=files[target.name], headers=target.headers).raise_for_status()
            link.send(m.EpisodeReady(episode_id=manifest.episode_id, uploaded_ns=time.time_ns(), manifest=manifest))
            link.expect(m.EpisodeRegistered)
            delays.add(time.monotonic() - began_s)
    return delays


class _Link:
    """A link that beats while it waits for an answer."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._session = RobotSession(hello(), now=time.monotonic())
        self._flush()

    def _flush(self) -> None:
        for frame in self._session.drain():
            self._socket.send(frame)

    def send(self, message: m.RobotMessage) -> None:
        self._session.send(message)
        self._flush()

    def expect(self, kind: type[Any]) -> Any:
        """Return the next message of this kind. Raises: RuntimeError at a refusal, TimeoutError."""
        deadline = time.monotonic() + ANSWER_S
        while time.monotonic() < deadline:
            try:
                data = self._socket.recv(timeout=self._session.heartbeat_s)
            except TimeoutError:
                now_ns = time.monotonic_ns()
                self.send(m.Heartbeat(clock_ns=now_ns, status=status(0, 0, now_ns, now_ns)))
                continue
            assert isinstance(data, bytes)
            for message in self._session.receive(data, now=time.monotonic()):
                if isinstance(message, m.EpisodeRefused | m.Fault):
                    raise RuntimeError(f"{message.code}: {message.message}")
                if isinstance(message, kind):
                    return message
        raise TimeoutError(f"no {kind.__name__} within {ANSWER_S:.0f} s")
