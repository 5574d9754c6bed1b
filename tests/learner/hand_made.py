"""Small episodes, a source of them in memory, and a small network: made by hand, checked by the real manifest rules."""

from __future__ import annotations

import hashlib
import io
import uuid
from collections.abc import Sequence
from typing import Any

import av
import msgspec
import numpy as np
import torch

from fleet.protocol.authority import MODE_CODES, SOURCE_CODES, Mode, Source
from fleet.protocol.policy import CameraSpec
from fleet.protocol.recording import (
    CameraRecord,
    EpisodeManifest,
    ObjectRecord,
    Origin,
    Outcome,
    Segment,
    StepArrays,
    encode_manifest,
    human_steps_of,
    validate_manifest,
    validate_steps,
)
from fleet.protocol.steps import encode_steps
from learner.config import RunConfig
from learner.policies.architectures.flow_vla import FlowVla, FlowVlaConfig
from learner.policies.base import PolicyShapes
from learner.trainer import Trainer, build_trainer

PROPRIO, ACTION, HORIZON, PIXELS = 8, 4, 12, 128
SHAPES = PolicyShapes(
    cameras=(CameraSpec(name="front", height=PIXELS, width=PIXELS),),
    proprio_dim=PROPRIO,
    action_dim=ACTION,
    horizon=HORIZON,
)
SMALL = FlowVlaConfig(channels=8, keypoints=8, feature_dim=8, width=32, blocks=2)

Run = tuple[int, Mode, Source]
AUTONOMOUS = (Mode.AUTONOMOUS, Source.POLICY)
HANDOVER = (Mode.HANDOVER, Source.SCRIPTED)
TELEOP = (Mode.TELEOP, Source.SCRIPTED)


def make_manifest(
    name: str,
    runs: Sequence[tuple[int, tuple[Mode, Source]]],
    *,
    task: str = "box-close",
    origin: Origin = Origin.ONLINE,
    outcome: Outcome = Outcome.SUCCESS,
) -> EpisodeManifest:
    """An episode of consecutive runs (steps, (mode, source)); its id follows from `name`."""
    segments, position = [], 0
    for steps, (mode, source) in runs:
        segments.append(
            Segment(
                start=position,
                end=position + steps,
                mode=mode,
                source=source,
                lease_epoch=0 if source is Source.POLICY else 1,
            )
        )
        position += steps
    manifest = EpisodeManifest(
        episode_id=str(uuid.uuid5(uuid.NAMESPACE_OID, name)),
        origin=origin,
        robot_id=None,
        robot_name="hand",
        task_id=None,
        task_slug=task,
        instruction=f"do the {task.replace('-', ' ')}",
        policy_version_id=None,
        outcome=outcome,
        seed=1,
        steps=position,
        human_steps=human_steps_of(segments),
        control_rate_hz=10.0,
        started_ns=1,
        ended_ns=2,
        driver="hand",
        action_names=tuple(f"a{k}" for k in range(ACTION)),
        proprio_names=tuple(f"p{k}" for k in range(PROPRIO)),
        cameras=(CameraRecord(name="front", object="front.mp4", width=PIXELS, height=PIXELS),),
        segments=tuple(segments),
        objects=(
            ObjectRecord(name="steps.parquet", size=1, sha256="0" * 64),
            ObjectRecord(name="front.mp4", size=1, sha256="0" * 64),
        ),
        software={},
    )
    validate_manifest(manifest)
    return manifest


def make_steps(manifest: EpisodeManifest) -> StepArrays:
    """Columns that fit the manifest; values follow from its id."""
    steps = manifest.steps
    rng = np.random.default_rng(uuid.UUID(manifest.episode_id).int % 2**32)
    mode, source, epoch = (np.zeros(steps, dtype=np.int64) for _ in range(3))
    for segment in manifest.segments:
        mode[segment.start : segment.end] = MODE_CODES[segment.mode]
        source[segment.start : segment.end] = SOURCE_CODES[segment.source]
        epoch[segment.start : segment.end] = segment.lease_epoch
    actions = rng.uniform(-1, 1, (steps, ACTION)).astype(np.float32)
    columns: StepArrays = {
        "frame_index": np.arange(steps, dtype=np.int32),
        "timestamp_s": np.arange(steps) / 10.0,
        "captured_ns": np.arange(steps, dtype=np.int64) + 1,
        "observation.state": rng.normal(size=(steps, PROPRIO)).astype(np.float32),
        "action": actions,
        "action.asked": actions,
        "action.proposed": actions,
        "proposed": np.ones(steps, dtype=bool),
        "reward": np.zeros(steps, dtype=np.float32),
        "success": np.zeros(steps, dtype=bool),
        "mode": mode.astype(np.int8),
        "source": source.astype(np.int8),
        "lease_epoch": epoch.astype(np.int32),
        "inference_ms": np.zeros(steps, dtype=np.float32),
        "period_ms": np.full(steps, 100.0, dtype=np.float32),
    }
    validate_steps(columns, manifest)
    return columns


def make_images(manifest: EpisodeManifest) -> np.ndarray[Any, Any]:
    """Smooth pictures (a video codec keeps them) that change from frame to frame."""
    phase = np.arange(manifest.steps)[:, None, None, None] / 5.0
    rows = np.arange(PIXELS)[None, :, None, None] / 40.0
    columns = np.arange(PIXELS)[None, None, :, None] / 30.0
    channels = np.arange(3)[None, None, None, :]
    shift = (uuid.UUID(manifest.episode_id).int % 97) / 15.0
    return (127 + 100 * np.sin(phase + rows + columns + channels + shift)).astype(np.uint8)


def encode_video(images_THWC: np.ndarray[Any, Any]) -> bytes:
    sink = io.BytesIO()
    with av.open(sink, mode="w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "18"})
        stream.height, stream.width = images_THWC.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for image in images_THWC:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return sink.getvalue()


def stored_objects(manifest: EpisodeManifest) -> dict[str, bytes]:
    """The objects of an episode at rest, by name, its manifest (with true sizes and hashes) among them."""
    objects = {"steps.parquet": encode_steps(make_steps(manifest)), "front.mp4": encode_video(make_images(manifest))}
    records = tuple(
        ObjectRecord(name=name, size=len(data), sha256=hashlib.sha256(data).hexdigest())
        for name, data in objects.items()
    )
    return objects | {"manifest.json": encode_manifest(msgspec.structs.replace(manifest, objects=records))}


class MemoryEpisodes:
    """An EpisodeSource that computes payloads; counts reads, and can be told to forget an episode."""

    def __init__(self) -> None:
        self.reads: list[str] = []

    def steps(self, manifest: EpisodeManifest) -> StepArrays:
        self.reads.append(manifest.episode_id)
        return make_steps(manifest)

    def frames(self, manifest: EpisodeManifest, camera: str, *, is_whole: bool = False) -> np.ndarray[Any, Any]:
        assert camera == "front"
        return make_images(manifest)


def make_network(seed: int = 0, config: FlowVlaConfig = SMALL) -> FlowVla:
    """A small network with seeded random weights."""
    torch.manual_seed(seed)
    return FlowVla(config, SHAPES)


def some_manifests() -> list[EpisodeManifest]:
    """Two tasks: demonstrations of both, and online episodes with interventions of the first."""
    demonstrations = [
        make_manifest(f"demo {task} {k}", [(30, TELEOP)], task=task, origin=Origin.DEMONSTRATION)
        for task in ("bin-picking", "box-close")
        for k in range(2)
    ]
    online = [
        make_manifest(f"online {k}", [(20, AUTONOMOUS), (2, HANDOVER), (25, TELEOP)], task="bin-picking")
        for k in range(2)
    ]
    return [*demonstrations, *online]


def make_trainer(config: RunConfig | None = None, *, seed: int = 0, manifests: int | None = None) -> Trainer:
    """A trainer on `some_manifests()` (the first `manifests` of them)."""
    trainer = build_trainer(make_network(seed), MemoryEpisodes(), config or RunConfig())
    trainer.ingest(some_manifests()[:manifests])
    return trainer
