"""Where things lie in the object store. The only place that spells a key."""

from __future__ import annotations

EPISODES = "episodes/"
POLICY_MANIFESTS = "policies/manifests/"
POLICY_BLOBS = "policies/blobs/"
POLICY_PATCHES = "policies/patches/"
RUNS = "runs/"
EXPORTS = "exports/"
TRAINING_FILES = "training-files/"
IMPORTS = "imports/"
READY = "health/ready"  # written again and again, to see that the store takes writes


def episode_object(episode_id: str, name: str) -> str:
    """Object of an episode: "steps.parquet", "front.mp4", "manifest.json"."""
    return f"episodes/{episode_id}/{name}"


def policy_manifest(sha256: str) -> str:
    return f"policies/manifests/{sha256}.json"


def policy_blob(sha256: str) -> str:
    return f"policies/blobs/{sha256}.safetensors"


def policy_patch(base: str, sha256: str) -> str:
    """What makes the blob `sha256` of the blob `base`; both are SHA-256."""
    return f"{POLICY_PATCHES}{sha256}/{base}.patch"


def run_checkpoints(run_id: str) -> str:
    """Prefix of a run's checkpoints; their keys sort by round."""
    return f"runs/{run_id}/checkpoints/"


def run_checkpoint(run_id: str, index: int, epoch: int) -> str:
    """The epoch fences: a holder that was replaced in mid-write never overwrites what its successor committed."""
    return f"{run_checkpoints(run_id)}{index:08d}-{epoch:06d}.safetensors"


def run_sidecar(run_id: str, episode_id: str) -> str:
    """Columns [T] that a run's algorithm derived of an episode's frames (RECAP: value, indicator, ...)."""
    return f"runs/{run_id}/sidecars/{episode_id}.safetensors"


def training_file(sha256: str) -> str:
    """A file that the configurations of training runs may name, by its content."""
    return f"training-files/{sha256}"


def export_folder(export_id: str) -> str:
    """The files of a finished export, under their own names."""
    return f"exports/{export_id}"


def import_archive(import_id: str) -> str:
    """A dataset's archive between its upload and the end of its import."""
    return f"imports/{import_id}/archive"
