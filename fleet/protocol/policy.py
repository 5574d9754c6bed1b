"""What a policy is to the rest of the system: observation in, action chunk out, and the manifest of a version.

Weights travel as safetensors blobs addressed by their SHA-256, never as pickle; a robot fetches only the blobs whose
hash it does not hold, so a frozen backbone is fetched once.
"""

from __future__ import annotations

import re
from typing import Any, Protocol, runtime_checkable

import msgspec
import numpy as np

from fleet.protocol.errors import UNPARSABLE, ArtifactMismatch

Array = np.ndarray[Any, Any]

POLICY_MANIFEST_SCHEMA = 1
MAX_BLOB_BYTES = 16 * 1024**3
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


class Observation(msgspec.Struct, frozen=True):
    """What a policy may see at one control step.

    images: camera name -> uint8 [H, W, 3] RGB. state: float32 [P] proprioception (P and the units are the driver's).
    """

    images: dict[str, Array]
    state: Array


class ActionChunk(msgspec.Struct, frozen=True):
    """actions: float32 [H, A], the next H control steps, each in the driver's normalised range [-1, 1]."""

    actions: Array


class Policy(Protocol):
    """A loaded policy. Not thread-safe; the control loop owns it.

    policy.reset(instruction="...", seed=7)          # at the start of an episode
    chunk = policy.infer(observation)                 # whenever a new chunk is needed
    """

    @property
    def execute_steps(self) -> int:
        """How many actions of a chunk to execute before asking again (receding horizon), 1..H."""

    def reset(self, *, instruction: str, seed: int) -> None:
        """Begin an episode; `seed` makes its sampling noise reproducible."""

    def infer(self, observation: Observation) -> ActionChunk:
        """Return the next chunk. Raises: ProbeFailed if the observation has other shapes than the manifest says."""


@runtime_checkable
class DoubtingPolicy(Protocol):
    """What a policy may offer beside `Policy`: how far its own samples differ, as a sign that it needs help."""

    def disagreement(self, observation: Observation, *, samples: int) -> float:
        """Draw `samples` >= 2 chunks and return how much they differ, in [0, 1], in units of normalised action.

        The standard deviation over the samples, averaged over the axes and the actions that would be executed. Noise
        is drawn apart from `infer`'s, so that asking changes no action. Raises: as `infer`; ValueError below 2 samples.
        Source: Fleet-DAgger, arXiv:2206.14349, uncertainty. Departure: samples of one flow in place of an ensemble.
        """


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of what is written at rest: immutable, unknown fields refused."""


class TensorSpec(_Record, frozen=True, kw_only=True):
    dtype: str  # safetensors name: "F32", "BF16", ...
    shape: tuple[int, ...]


class BlobRef(_Record, frozen=True, kw_only=True):
    """One safetensors file: what it is called, how large it is, what it hashes to, which tensors it holds."""

    name: str
    size: int
    sha256: str
    tensors: dict[str, TensorSpec]


class CameraSpec(_Record, frozen=True, kw_only=True):
    name: str
    height: int
    width: int


class PolicyManifest(_Record, frozen=True, kw_only=True):
    """A policy version as published. `config` is read by the architecture alone; the rest by everyone.

    `trained_ns`: Unix time of the last gradient step in this version. `step`: gradient steps since the base.
    """

    schema: int = POLICY_MANIFEST_SCHEMA
    version_id: str
    run_id: str | None
    parent_id: str | None
    step: int
    trained_ns: int
    architecture: str
    config: dict[str, Any]
    cameras: tuple[CameraSpec, ...]
    proprio_dim: int
    action_dim: int
    horizon: int
    blobs: tuple[BlobRef, ...]

    @property
    def size_bytes(self) -> int:
        return sum(blob.size for blob in self.blobs)


def policy_statement(*, robot_id: str, version_id: str, number: int, manifest_sha256: str, epoch: int) -> bytes:
    """Return what is signed: that this robot shall drive with this version, as order number `epoch`.

    The manifest's hash covers every blob's hash, so nothing of a version can be exchanged; robot and epoch keep an
    order, which may be old, from being given to another robot or a second time.
    """
    names = {"robot": robot_id, "version": version_id, "number": number, "manifest": manifest_sha256, "epoch": epoch}
    return b"sop-policy-1\n" + msgspec.json.encode(names, order="sorted")


def shadow_statement(*, robot_id: str, version_id: str, number: int, manifest_sha256: str, epoch: int) -> bytes:
    """Return what is signed of a version that a robot may load beside the one that drives: no order to drive with it,
    and never to be mistaken for one."""
    names = {"robot": robot_id, "version": version_id, "number": number, "manifest": manifest_sha256, "epoch": epoch}
    return b"sop-shadow-1\n" + msgspec.json.encode(names, order="sorted")


def key_statement(public: str) -> bytes:
    """Return what an older key signs to hand over to a newer one."""
    return b"sop-key-1\n" + public.encode()


_decoder = msgspec.json.Decoder(PolicyManifest)


def encode_policy_manifest(manifest: PolicyManifest) -> bytes:
    """Return canonical JSON (sorted keys)."""
    return msgspec.json.encode(manifest, order="sorted")


def decode_policy_manifest(data: bytes) -> PolicyManifest:
    """Parse and check a policy manifest.

    Raises: ArtifactMismatch on bad JSON, unknown fields, or blobs with impossible names, sizes or hashes.
    """
    try:
        manifest = _decoder.decode(data)
    except UNPARSABLE as error:
        raise ArtifactMismatch(f"policy manifest does not parse: {error}") from None
    if manifest.schema != POLICY_MANIFEST_SCHEMA:
        raise ArtifactMismatch("policy manifest has another schema", schema=manifest.schema)
    if not manifest.blobs or min(manifest.horizon, manifest.action_dim, manifest.proprio_dim) < 1:
        raise ArtifactMismatch("policy manifest has no blobs or an empty dimension")
    for blob in manifest.blobs:
        is_sound = _NAME.fullmatch(blob.name) and _SHA256.fullmatch(blob.sha256)
        if not is_sound or not 0 < blob.size <= MAX_BLOB_BYTES:
            raise ArtifactMismatch(f"blob '{blob.name[:64]}' has a bad name, size or hash")
    return manifest
