"""Policy versions: the newest for the fleet, the base and all versions of a run."""

from __future__ import annotations

import contextlib
import uuid
from functools import lru_cache

from fleet.models import PolicyVersion, TrainingRun
from fleet.selectors.objects import object_store
from fleet.selectors.training import fleet_run
from fleet.storage import ObjectMissing, keys

MAX_VERSIONS = 500


@lru_cache(maxsize=1024)
def policy_version_patches(*, version_id: uuid.UUID) -> tuple[tuple[str, str, int, str], ...]:
    """Return (blob, base, size, SHA-256 of the patch) of the patches from the version before this one.

    They are stored before the version's row is written, so what was found once need not be looked for again. One that
    `store_gc` removed since may still be named: a robot to which that is news fetches the blob whole.
    """
    version = PolicyVersion.objects.get(id=version_id)
    before = PolicyVersion.objects.filter(run=version.run_id, number=version.number - 1).first()
    if before is None:
        return ()
    store, found = object_store(), []
    for sha256 in version.blobs:
        for base in before.blobs if sha256 not in before.blobs else ():
            with contextlib.suppress(ObjectMissing):
                size, digest = store.digest(keys.policy_patch(base, sha256))
                found.append((sha256, base, size, digest))
    return tuple(found)


def policy_version_newest() -> PolicyVersion | None:
    """Return the newest version of the run that feeds the fleet: what every robot should run."""
    run = fleet_run()
    return PolicyVersion.objects.filter(run=run).order_by("-number").first() if run else None


def policy_versions_of_run(*, run_id: str) -> list[PolicyVersion]:
    """Return all versions of a run by number."""
    return list(PolicyVersion.objects.filter(run_id=uuid.UUID(run_id)).order_by("number"))


def policy_versions_newest(*, run: TrainingRun | None, limit: int = MAX_VERSIONS) -> list[PolicyVersion]:
    """Return the newest versions of a run by number, for the marks of a chart."""
    return list(PolicyVersion.objects.filter(run=run).order_by("-number")[:limit])[::-1]


def policy_version_base(*, run_id: str) -> PolicyVersion | None:
    """Return the version the run began from, number 0."""
    return PolicyVersion.objects.filter(run_id=uuid.UUID(run_id), number=0).first()
