"""Training runs: the one that feeds the fleet and its card, and what a run's own page says about it."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.db.models import Case, Count, IntegerField, Max, Q, Sum, Value, When

from fleet.clock import to_ms
from fleet.coverage import WHOLE, Coverage
from fleet.models import EpisodeRollup, PolicyVersion, TrainingRound, TrainingRun
from fleet.protocol.messages import RunCard
from fleet.protocol.recording import Origin
from fleet.queue import LEARNER_QUEUE
from fleet.selectors.episode import episodes_of_run


def fleet_run() -> TrainingRun | None:
    """Return the run whose versions the robots get: the newest running one, else the newest of all.

    Runs that learn from a dataset alone do not count: to study one must not change what robots do.
    """
    is_running = Case(When(state=TrainingRun.State.RUNNING, then=Value(1)), default=0, output_field=IntegerField())
    return TrainingRun.objects.filter(takes_online=True).order_by(is_running.desc(), "-created_at").first()


def run_card(*, run: TrainingRun | None, coverage: Coverage = WHOLE) -> RunCard | None:
    """Return what the fleet page shows of a run, with the episodes that somebody sees counted."""
    if run is None:
        return None
    # Of the sums, not the episodes: this is read every two seconds, and after each registration.
    online = EpisodeRollup.objects.filter(coverage.episodes(), origin=Origin.ONLINE.value).order_by()
    experience = online.aggregate(**{name: Sum(name, default=0) for name in ("episodes", "frames", "human_frames")})
    return RunCard(
        run_id=str(run.id),
        name=run.name,
        algorithm=run.algorithm,
        state=run.state,
        step=run.step,
        steps_per_s=steps_per_s(run=run),
        newest_version=PolicyVersion.objects.filter(run=run).aggregate(newest=Max("number"))["newest"],
        online_episodes=experience["episodes"],
        online_frames=experience["frames"],
        human_frames=experience["human_frames"],
        updated_ms=to_ms(run.heartbeat_at) if run.heartbeat_at else None,
    )


def steps_per_s(*, run: TrainingRun, rounds: int = 5) -> float:
    """Return gradient steps a second over the last committed rounds, from commit to commit, so pauses count too."""
    committed = TrainingRound.objects.filter(run=run, committed_at__isnull=False).order_by("-index")
    last = list(committed.values_list("committed_at", "end_step", "begun_at", "start_step")[:rounds])
    if not last:
        return 0.0
    seconds = (last[0][0] - last[-1][2]).total_seconds()  # type: ignore[operator]
    return float(last[0][1] - last[-1][3]) / seconds if seconds > 0 else 0.0  # type: ignore[operator]


def run_queue(*, run: TrainingRun) -> str:
    """Return the queue whose workers can train the run's policy: by the architecture of its newest version."""
    newest = PolicyVersion.objects.filter(run=run).order_by("-number").values_list("architecture", flat=True).first()
    return str(settings.SOP_LEARNER_QUEUES.get(newest or "", LEARNER_QUEUE))


def run_began_from(*, run: TrainingRun) -> PolicyVersion | None:
    """Return the version, of another run, whose weights this one began from; None for a base that was imported."""
    base = PolicyVersion.objects.filter(run=run, number=0).select_related("parent__run").first()
    return base.parent if base is not None else None


@dataclass(frozen=True)
class RunExperience:
    """What a run learns from: episodes it may use, those its rounds took in, and of these those drawn at least once.

    `human_frames` of `frames` were driven by a person or the scripted supervisor; both count ingested online episodes,
    so demonstrations are not among them.
    """

    usable: int
    ingested: int
    sampled: int
    frames: int
    human_frames: int


def run_experience(*, run: TrainingRun, coverage: Coverage = WHOLE) -> RunExperience:
    """Count episodes by the rule that the learner reads them by, those of them that somebody sees."""
    bound = run.rounds.aggregate(upto=Max("ingest_upto"))["upto"] or 0
    is_ingested = Q(index_seq__lte=bound)
    is_experience = is_ingested & Q(origin=Origin.ONLINE.value)
    found = (
        episodes_of_run(run_id=run.id)
        .filter(coverage.episodes())
        .aggregate(
            usable=Count("id"),
            ingested=Count("id", filter=is_ingested),
            sampled=Count("id", filter=is_ingested & Q(first_sampled_at__isnull=False)),
            frames=Sum("steps", filter=is_experience, default=0),
            human_frames=Sum("human_steps", filter=is_experience, default=0),
        )
    )
    return RunExperience(**found)
