"""Where things lie in the object store. The only place that spells a key."""

from __future__ import annotations


def episode_object(episode_id: str, name: str) -> str:
    """Object of an episode: "steps.parquet", "front.mp4", "manifest.json"."""
    return f"episodes/{episode_id}/{name}"


def policy_manifest(sha256: str) -> str:
    return f"policies/manifests/{sha256}.json"


def policy_blob(sha256: str) -> str:
    return f"policies/blobs/{sha256}.safetensors"


def run_checkpoint(run_id: str, index: int) -> str:
    return f"runs/{run_id}/checkpoints/{index:08d}.safetensors"
