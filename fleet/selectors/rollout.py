"""Which version each robot shall drive with, in one place: its pin, else its canary, else what is current of the run.

`desired_state`, the fleet page and the services of rollouts all ask here.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from fleet.models import Episode, PolicyVersion, ReleaseTrack, Robot, Rollout, RolloutEvent, TrainingRun
from fleet.protocol.recording import Origin
from fleet.selectors.training import fleet_run


@dataclass(frozen=True)
class Desired:
    """A robot's version and why: "pinned", "canary" or "current"; ("", None) before the run has any."""

    version: PolicyVersion | None
    stage: str


def release_track(*, run: TrainingRun) -> ReleaseTrack:
    """Return the run's track; one that was never set is immediate and not in the database."""
    found = ReleaseTrack.objects.select_related("current").filter(run=run).first()
    return found or ReleaseTrack(run=run)


def version_current(*, run: TrainingRun | None) -> PolicyVersion | None:
    """Return what robots that are neither pinned nor in a canary drive with."""
    if run is None:
        return None
    current = release_track(run=run).current
    return current or PolicyVersion.objects.filter(run=run).order_by("-number").first()


def rollout_open(*, run: TrainingRun | None) -> Rollout | None:
    """Return the candidate that is being tried, if there is one."""
    found = Rollout.objects.select_related("candidate", "baseline", "run")
    return found.filter(run=run, state__in=Rollout.OPEN).first() if run else None


def desired_versions(*, robots: Iterable[Robot]) -> dict[uuid.UUID, Desired]:
    """Return what each robot shall drive with. Pin, then canary, then current of the run that feeds the fleet."""
    rows = list(robots)
    run = fleet_run()
    current = version_current(run=run)
    trying = rollout_open(run=run)
    members: set[uuid.UUID] = set()
    if trying is not None and trying.state == Rollout.State.CANARY:
        members = set(trying.robots.values_list("id", flat=True))
    pins = PolicyVersion.objects.in_bulk([row.pinned_version_id for row in rows if row.pinned_version_id])
    usual = Desired(current, "current" if current else "")
    found: dict[uuid.UUID, Desired] = {}
    for row in rows:
        if row.pinned_version_id is not None:
            found[row.id] = Desired(pins[row.pinned_version_id], "pinned")
        elif trying is not None and row.id in members:
            found[row.id] = Desired(trying.candidate, "canary")
        else:
            found[row.id] = usual
    return found


def versions_waiting(*, run: TrainingRun, after: PolicyVersion) -> PolicyVersion | None:
    """Return the newest version that was published after this one, if any: the next candidate."""
    return PolicyVersion.objects.filter(run=run, number__gt=after.number).order_by("-number").first()


def rollout_episodes(*, rollout: Rollout) -> QuerySet[Episode]:
    """Return every online episode that the candidate drove while it was tried, the aborted ones and the last ones of
    robots that were on their way back included."""
    found = Episode.objects.filter(
        origin=Origin.ONLINE.value, policy_version=rollout.candidate_id, started_at__gte=rollout.began_at
    )
    return found if rollout.decided_at is None else found.filter(started_at__lt=rollout.decided_at)


def rollout_events(*, run: TrainingRun, limit: int = 200) -> Sequence[RolloutEvent]:
    """Return the newest events of a run's versions, the newest first."""
    return list(
        RolloutEvent.objects.filter(run=run).select_related("version", "robot", "rollout").order_by("-id")[:limit]
    )
