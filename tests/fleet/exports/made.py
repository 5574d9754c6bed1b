"""Episodes made by hand and written as a daemon would: a square that wanders, filmed, and random steps."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np

from fleet.exports.base import DatasetInfo, Entry
from fleet.protocol.authority import MODE_CODES, SOURCE_CODES, Mode, Source
from fleet.protocol.calibration import calibration_of
from fleet.protocol.recording import (
    MANIFEST_OBJECT,
    STEPS_OBJECT,
    CameraRecord,
    EpisodeManifest,
    ObjectRecord,
    Origin,
    Outcome,
    encode_manifest,
    human_steps_of,
    segments_of,
)
from fleet.protocol.steps import encode_steps
from fleet.protocol.video import write_video

RATE_HZ = 10.0
HEIGHT, WIDTH = 48, 64
ACTIONS, PROPRIO = ("x", "y", "gripper"), ("hand_x", "hand_y")
DATASET = DatasetInfo(name="squares", version="3", digest="d" * 64, licence="cc-by-4.0", card="Squares that wander.")
TASK = "schiebe den Würfel 🟥 «links»\nund halte"  # Unicode, quotes and a line break belong to instructions


def step_arrays(steps: int, *, human: int, seed: int) -> dict[str, np.ndarray[Any, Any]]:
    """Columns whose last `human` steps a person drove."""
    random = np.random.default_rng(seed)
    is_human = np.arange(steps) >= steps - human
    action = random.uniform(-1, 1, (steps, len(ACTIONS))).astype(np.float32)
    return {
        "frame_index": np.arange(steps, dtype=np.int32),
        "timestamp_s": np.arange(steps) / RATE_HZ + 0.001,
        "captured_ns": 10**18 + np.arange(steps, dtype=np.int64) * 10**8,
        "observation.state": random.normal(size=(steps, len(PROPRIO))).astype(np.float32),
        "action": action,
        "action.asked": action * 1.5,
        "action.proposed": np.where(is_human[:, None], action * 0.5, action).astype(np.float32),
        "proposed": np.ones(steps, bool),
        "reward": random.normal(size=steps).astype(np.float32),
        "success": np.arange(steps) == steps - 1,
        "mode": np.where(is_human, MODE_CODES[Mode.TELEOP], MODE_CODES[Mode.AUTONOMOUS]).astype(np.int8),
        "source": np.where(is_human, SOURCE_CODES[Source.PERSON], SOURCE_CODES[Source.POLICY]).astype(np.int8),
        "lease_epoch": np.where(is_human, 4, 0).astype(np.int32),
        "inference_ms": random.uniform(1, 9, steps).astype(np.float32),
        "period_ms": np.full(steps, 100, np.float32),
    }


def pictures(steps: int, *, seed: int, height: int = HEIGHT, width: int = WIDTH) -> list[np.ndarray[Any, Any]]:
    frames = []
    for index in range(steps):
        frame = np.full((height, width, 3), (40, 90, (seed * 37) % 200), np.uint8)
        left = (index * 3 + seed) % (width - 16)
        frame[8:24, left : left + 16] = (220, 60, 40)
        frames.append(frame)
    return frames


def write_episode(
    root: Path,
    seed: int,
    *,
    steps: int = 12,
    human: int = 3,
    cameras: Sequence[str] = ("front",),
    crf: int = 18,
    size: tuple[int, int] = (HEIGHT, WIDTH),
    **changes: Any,
) -> EpisodeManifest:
    """Write one episode under `root/<episode_id>/`; equal arguments give equal bytes."""
    arrays = step_arrays(steps, human=human, seed=seed)
    episode_id = str(uuid.UUID(int=seed + 2**100))
    folder = root / episode_id
    folder.mkdir(parents=True)
    (folder / STEPS_OBJECT).write_bytes(encode_steps(arrays))
    files = [f"camera-{number}.mp4" for number in range(len(cameras))]
    for number, name in enumerate(files):
        frames = pictures(steps, seed=seed + number, height=size[0], width=size[1])
        write_video(folder / name, frames, rate_hz=RATE_HZ, crf=crf)
    segments = segments_of(arrays["mode"], arrays["source"], arrays["lease_epoch"])
    driven = tuple(
        msgspec.structs.replace(s, operator="ada" if s.source is Source.PERSON else "", reason="") for s in segments
    )
    manifest = EpisodeManifest(
        episode_id=episode_id,
        origin=Origin.ONLINE,
        robot_id=str(uuid.UUID(int=7)),
        robot_name="arm-1",
        task_id=str(uuid.UUID(int=8)),
        task_slug="push",
        instruction=TASK if seed % 2 else "push the cube right",
        policy_version_id=str(uuid.UUID(int=9)),
        outcome=Outcome.SUCCESS if seed % 3 else Outcome.FAILURE,
        seed=seed,
        steps=steps,
        human_steps=human_steps_of(driven),
        control_rate_hz=RATE_HZ,
        started_ns=10**18,
        ended_ns=10**18 + steps * 10**8,
        driver="replay",
        action_names=ACTIONS,
        proprio_names=PROPRIO,
        cameras=tuple(
            CameraRecord(name=camera, object=name, width=size[1], height=size[0])
            for camera, name in zip(cameras, files, strict=True)
        ),
        segments=driven,
        objects=tuple(object_record(folder / name) for name in (STEPS_OBJECT, *files)),
        software={"daemon": "0.1.0"},
        calibration=calibration_of({"focal_px": 600 + seed}) if seed % 2 else msgspec.UNSET,
    )
    manifest = msgspec.structs.replace(manifest, **changes)
    (folder / MANIFEST_OBJECT).write_bytes(encode_manifest(manifest))
    return manifest


def object_record(path: Path) -> ObjectRecord:
    data = path.read_bytes()
    return ObjectRecord(name=path.name, size=len(data), sha256=hashlib.sha256(data).hexdigest())


class Made:
    """`Episodes` of given entries over a folder."""

    def __init__(self, root: Path, entries: Sequence[Entry]) -> None:
        self._root = root
        self._entries = entries

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def open(self, episode_id: str, name: str) -> IO[bytes]:
        return (self._root / episode_id / name).open("rb")


def contents(folder: Path) -> dict[str, str]:
    """Return relative path -> SHA-256 of every file below a folder, hidden ones too."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
