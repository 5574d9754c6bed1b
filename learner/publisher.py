"""Weights -> policy version: manifest and content-addressed blobs as bytes. Storing and announcing is the caller's.

Called by `tasks.py` (fleet) and by `python -m learner` (a policy directory). Robots fetch only blobs whose hash they
do not hold; the backbone is frozen, so that is the head alone.
"""

from __future__ import annotations

import hashlib
import re
import time
import uuid
from pathlib import Path

import msgspec
import torch
from torch import Tensor

from fleet.protocol.errors import ArtifactMismatch
from fleet.protocol.policy import BlobRef, PolicyManifest, decode_policy_manifest, encode_policy_manifest
from learner.policies.base import BACKBONE, HEAD, PolicyNetwork, tensor_specs_of
from learner.policies.blobs import encode_blob
from learner.policies.registry import load_network

MANIFEST_FILE = "manifest.json"
_BLOB_NAME = re.compile("[0-9a-f]{64}")
_NAMESPACE = uuid.UUID("6f0f7dd2-7b1c-4f0e-9a55-3c2f6a1f8f10")


class NonFiniteWeights(ArtifactMismatch):
    """Weights with NaN or infinity; they are never published."""

    code = "non_finite_weights"


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A policy version ready to be stored. `blobs`: bytes by SHA-256."""

    manifest: PolicyManifest
    blobs: dict[str, bytes]


def build_artifact(
    network: PolicyNetwork,
    head: dict[str, Tensor],
    *,
    run_id: str | None,
    parent_id: str | None,
    step: int,
    trained_ns: int | None = None,
) -> Artifact:
    """Package a network with `head` as its trained tensors (the EMA weights).

    The version id follows from run, step and weights: publishing the same weights again gives the same id.
    Raises: NonFiniteWeights; ArtifactMismatch if `head` has other tensors than the network.
    """
    _check_head(network, head)
    states = {BACKBONE: network.blob_state(BACKBONE), HEAD: head}
    blobs = {name: encode_blob(state) for name, state in states.items()}
    refs = tuple(_ref(name, blobs[name], states[name]) for name in (BACKBONE, HEAD))
    identity = f"{run_id}/{step}/" + "/".join(ref.sha256 for ref in refs)
    manifest = PolicyManifest(
        version_id=str(uuid.uuid5(_NAMESPACE, identity)),
        run_id=run_id,
        parent_id=parent_id,
        step=step,
        trained_ns=time.time_ns() if trained_ns is None else trained_ns,
        architecture=network.architecture,
        config=network.config_dict(),
        cameras=network.shapes.cameras,
        proprio_dim=network.shapes.proprio_dim,
        action_dim=network.shapes.action_dim,
        horizon=network.shapes.horizon,
        blobs=refs,
    )
    return Artifact(manifest=manifest, blobs={ref.sha256: blobs[ref.name] for ref in refs})


def write_policy_directory(artifact: Artifact, directory: Path) -> None:
    """Write `<sha256>.safetensors` files, then `manifest.json`, which alone makes the directory a policy.

    It takes the place of the policy that was there: blobs that only that one named are removed last.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for sha256, data in artifact.blobs.items():
        _write_atomically(directory / f"{sha256}.safetensors", data)
    _write_atomically(directory / MANIFEST_FILE, encode_policy_manifest(artifact.manifest))
    for path in directory.glob("*.safetensors"):
        if _BLOB_NAME.fullmatch(path.stem) and path.stem not in artifact.blobs:
            path.unlink()


def read_policy_directory(directory: Path) -> tuple[PolicyManifest, PolicyNetwork]:
    """Load a policy directory for training. Raises: UnknownArchitecture, ArtifactMismatch, OSError."""
    manifest = decode_policy_manifest((directory / MANIFEST_FILE).read_bytes())
    paths = {ref.sha256: directory / f"{ref.sha256}.safetensors" for ref in manifest.blobs}
    return manifest, load_network(manifest, paths)


def _check_head(network: PolicyNetwork, head: dict[str, Tensor]) -> None:
    if tensor_specs_of(head) != network.tensor_specs(HEAD):
        raise ArtifactMismatch("the head's tensors are not those of the network")
    for name, tensor in head.items():
        if not bool(torch.isfinite(tensor).all()):
            raise NonFiniteWeights(f"tensor '{name}' holds NaN or infinity", tensor=name)


def _ref(name: str, data: bytes, state: dict[str, Tensor]) -> BlobRef:
    return BlobRef(name=name, size=len(data), sha256=hashlib.sha256(data).hexdigest(), tensors=tensor_specs_of(state))


def _write_atomically(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(data)
    partial.replace(path)
