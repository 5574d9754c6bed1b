"""Policy versions: the newest for the fleet, the base and all versions of a run."""

from __future__ import annotations

import uuid

from fleet.models import PolicyVersion
from fleet.selectors.training import fleet_run


def policy_version_newest() -> PolicyVersion | None:
    """Return the newest version of the run that feeds the fleet: what every robot should run."""
    run = fleet_run()
    return PolicyVersion.objects.filter(run=run).order_by("-number").first() if run else None


def policy_versions_of_run(*, run_id: str) -> list[PolicyVersion]:
    """Return all versions of a run by number."""
    return list(PolicyVersion.objects.filter(run_id=uuid.UUID(run_id)).order_by("number"))


def policy_version_base(*, run_id: str) -> PolicyVersion | None:
    """Return the version the run began from, number 0."""
    return PolicyVersion.objects.filter(run_id=uuid.UUID(run_id), number=0).first()
