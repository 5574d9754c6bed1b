"""Patches between a run's versions: made when one is published, so that robots which hold the one before fetch less.

A patch is a help and never needed: a robot whose patch is missing, damaged or of no use fetches the whole blob. So
whatever goes wrong here is logged, and the version is published all the same.
"""

from __future__ import annotations

import logging
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path

from fleet.models import PolicyVersion
from fleet.protocol.errors import ArtifactMismatch, SopError
from fleet.protocol.patch import write_patch
from fleet.protocol.policy import PolicyManifest, decode_policy_manifest
from fleet.selectors.objects import object_store
from fleet.storage import keys

logger = logging.getLogger(__name__)

WORTH = 0.9  # of the blob's size: a larger patch saves too little to be kept
MOST_BYTES = 4 * 1024**3  # of a blob: larger ones take too long beside a round of training


def policy_patches_store(*, run_id: str, manifest: PolicyManifest, blobs: Mapping[str, bytes]) -> int:
    """Store patches from the run's newest version to this one, blob by blob of the same name; return how many."""
    try:
        before = PolicyVersion.objects.filter(run_id=uuid.UUID(run_id)).order_by("-number").first()
        if before is None:
            return 0
        earlier = decode_policy_manifest(object_store().get(before.manifest_key))
        bases = {blob.name: blob for blob in earlier.blobs}
        return sum(
            _store(bases[blob.name].sha256, blob.sha256, blobs[blob.sha256])
            for blob in manifest.blobs
            if blob.name in bases and bases[blob.name].sha256 != blob.sha256 and blob.size <= MOST_BYTES
        )
    except (SopError, OSError):
        logger.exception("no patches for this version: robots fetch it whole", extra={"event": {"run": run_id}})
        return 0


def _store(base: str, sha256: str, data: bytes) -> bool:
    store, key = object_store(), keys.policy_patch(base, sha256)
    if store.exists(key):
        return True
    with tempfile.TemporaryDirectory(prefix="sop-patch-") as name:
        folder = Path(name)
        (folder / "new").write_bytes(data)
        held = store.path_or_none(keys.policy_blob(base))
        if held is None:
            held = folder / "base"
            held.write_bytes(store.get(keys.policy_blob(base)))
        try:
            with (folder / "patch").open("wb") as file:
                write_patch(held, folder / "new", file)
        except ArtifactMismatch:
            return False
        if (folder / "patch").stat().st_size > WORTH * len(data):
            return False
        store.put(key, (folder / "patch").read_bytes())
    return True
