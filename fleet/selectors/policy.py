"""Policy versions: the newest for the fleet, the base and all versions of a run."""

from __future__ import annotations

import uuid

from fleet.models import PolicyVersion, TrainingRun
from fleet.selectors.training import fleet_run

MAX_VERSIONS = 500


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
