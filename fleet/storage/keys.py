"""Where things lie in the object store. The only place that spells a key."""

from __future__ import annotations


def episode_object(episode_id: str, name: str) -> str:
    """Object of an episode: "steps.parquet", "front.mp4", "manifest.json"."""
    return f"episodes/{episode_id}/{name}"


def policy_manifest(sha256: str) -> str:
    return f"policies/manifests/{sha256}.json"


def policy_blob(sha256: str) -> str:
    return f"policies/blobs/{sha256}.safetensors"


def run_checkpoints(run_id: str) -> str:
    """Prefix of a run's checkpoints; their keys sort by round."""
    return f"runs/{run_id}/checkpoints/"


def run_checkpoint(run_id: str, index: int, epoch: int) -> str:
    """The epoch fences: a holder that was replaced in mid-write never overwrites what its successor committed."""
    return f"{run_checkpoints(run_id)}{index:08d}-{epoch:06d}.safetensors"
