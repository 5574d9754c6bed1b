"""Stands in for learner.policies.registry in the daemon's tests: one architecture that always answers its one weight.

Installed with `sys.modules["learner.policies.registry"] = point_policy`, so the daemon's own lazy import finds it.
"""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save

from fleet.protocol.errors import UnknownArchitecture
from fleet.protocol.messages import PolicyTarget
from fleet.protocol.policy import BlobRef, CameraSpec, Policy, PolicyManifest, TensorSpec, encode_policy_manifest
from tests.fleet.daemon.point import SIZE, ConstantPolicy

ARCHITECTURE = "point"


def architectures() -> tuple[str, ...]:
    return (ARCHITECTURE,)


def require_architecture(name: str) -> None:
    if name != ARCHITECTURE:
        raise UnknownArchitecture(f"architecture '{name}' is unknown here")


def load_policy(manifest: PolicyManifest, blobs: dict[str, Path], *, device: str) -> Policy:
    if manifest.architecture != ARCHITECTURE:
        raise UnknownArchitecture(f"no '{manifest.architecture}' here")
    (blob,) = manifest.blobs
    action = load_file(blobs[blob.sha256])["action"]
    return ConstantPolicy(dx=float(action[0]), gripper=float(action[1]))


def make_version(
    number: int, *, dx: float, padding: int = 0, architecture: str = ARCHITECTURE
) -> tuple[PolicyTarget, dict[str, bytes]]:
    """Return (target, path -> bytes of what the server must serve) of a version that pushes by `dx`."""
    tensors = {"action": np.array([dx, 0.0], np.float32)}
    specs = {"action": TensorSpec(dtype="F32", shape=(2,))}
    if padding:
        tensors["padding"] = np.arange(padding, dtype=np.float32) + number
        specs["padding"] = TensorSpec(dtype="F32", shape=(padding,))
    data = save(tensors)
    sha256 = hashlib.sha256(data).hexdigest()
    version_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"point-{number}-{dx}"))
    manifest = PolicyManifest(
        version_id=version_id,
        run_id=None,
        parent_id=None,
        step=number,
        trained_ns=1,
        architecture=architecture,
        config={},
        cameras=(CameraSpec(name="front", height=SIZE, width=SIZE),),
        proprio_dim=2,
        action_dim=2,
        horizon=6,
        blobs=(BlobRef(name="head", size=len(data), sha256=sha256, tensors=specs),),
    )
    encoded = encode_policy_manifest(manifest)
    target = PolicyTarget(
        version_id=version_id,
        number=number,
        manifest_url=f"/objects/manifest-{number}",
        manifest_sha256=hashlib.sha256(encoded).hexdigest(),
        blob_urls={sha256: f"/objects/{sha256}"},
        published_ns=1,
    )
    return target, {target.manifest_url: encoded, target.blob_urls[sha256]: data}
