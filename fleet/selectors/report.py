"""What the rows know of a run of the demo: the server's half of its report."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from django.db.models import Count, QuerySet, Sum

from fleet.models import Episode, PolicyDeployment, PolicyVersion, Robot, Segment
from fleet.protocol.authority import Mode, Source
from fleet.protocol.recording import Origin, Outcome
from fleet.selectors.latency import latency_report
from fleet.selectors.statistics import wilson
from fleet.selectors.training import fleet_run


def rows_report(*, since: datetime | None = None) -> dict[str, object]:
    """Return the counts and latencies of the online episodes that ended since then, and of the fleet's run.

    `interventions` counts segments driven by a person or the scripted supervisor, by source.
    """
    online = Episode.objects.filter(origin=Origin.ONLINE.value)
    versions = PolicyVersion.objects.filter(run=fleet_run())
    if since is not None:
        online, versions = online.filter(ended_at__gte=since), versions.filter(published_at__gte=since)
    frames = online.aggregate(total=Sum("steps"), human=Sum("human_steps"))
    return {
        "robots": Robot.objects.count(),
        "episodes": {
            "registered": online.count(),
            "registered_by_robot": _counts(online, "robot__name"),
            "by_outcome": _counts(online, "outcome"),
            "by_task": _counts(online, "task__slug"),
            "demonstrations": Episode.objects.filter(origin=Origin.DEMONSTRATION.value).count(),
            "sampled": online.filter(first_sampled_at__isnull=False).count(),
        },
        "frames": {"total": frames["total"] or 0, "human": frames["human"] or 0},
        "interventions": _interventions(online),
        "versions": {
            "published": versions.count(),
            "applied_by_robot": _deployments(versions, is_applied=True),
            "refused_by_robot": _deployments(versions, is_applied=False),
        },
        "autonomous_success": _autonomous(online),
        "latency_s": latency_report(since=since),
        "run": _run(),
    }


def _counts(episodes: QuerySet[Episode], field: str) -> dict[str, int]:
    return dict(episodes.order_by(field).values_list(field).annotate(count=Count("id")))


def _interventions(episodes: QuerySet[Episode]) -> dict[str, int]:
    segments = Segment.objects.filter(episode__in=episodes, mode=Mode.TELEOP.value).exclude(source=Source.POLICY.value)
    return dict(segments.order_by("source").values_list("source").annotate(count=Count("id")))


def _deployments(versions: QuerySet[PolicyVersion], *, is_applied: bool) -> dict[str, int]:
    """Count the versions each robot applied (or refused); robots without any appear with 0."""
    field = "applied_at" if is_applied else "refused_at"
    found = PolicyDeployment.objects.filter(version__in=versions, **{f"{field}__isnull": False})
    counts = dict(found.order_by("robot__name").values_list("robot__name").annotate(count=Count("id")))
    return {name: counts.get(name, 0) for name in Robot.objects.values_list("name", flat=True)}


def _autonomous(episodes: QuerySet[Episode]) -> dict[str, object] | None:
    terminated = episodes.exclude(outcome=Outcome.ABORTED.value)
    n = terminated.count()
    if n == 0:
        return None
    return asdict(wilson(successes=terminated.filter(outcome=Outcome.SUCCESS.value, human_steps=0).count(), n=n))


def _run() -> dict[str, object] | None:
    run = fleet_run()
    if run is None:
        return None
    return {"name": run.name, "state": run.state, "step": run.step, "epoch": run.epoch, "seed": run.seed}
