"""Episodes as the learner reads them: metadata only, payloads are loaded lazily from the object store."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from fleet.models import DatasetEpisode, Episode, PolicyVersion, Task, TrainingRun
from fleet.protocol.recording import Origin, Outcome

LEARNER_ORIGINS = (Origin.ONLINE.value, Origin.DEMONSTRATION.value)


@dataclass(frozen=True)
class LearnerEpisode:
    """What the learner's index needs of an episode. `outcome`: a person's where there is one; of a dataset as frozen.

    `policy_step`: of the version that acted, if it is this run's. `is_frozen`: it is of the run's dataset, so it
    belongs to the offline source whatever its origin.
    """

    id: str
    index_seq: int
    task_slug: str
    instruction: str
    origin: str
    outcome: str
    steps: int
    human_steps: int
    manifest_key: str
    manifest_sha256: str
    policy_version_id: str | None
    indexed_at: datetime
    policy_step: int | None
    is_frozen: bool


def episodes_of_run(*, run_id: uuid.UUID) -> QuerySet[Episode]:
    """Return every episode that a run may learn from."""
    whole = Episode.objects.filter(damage="")  # as the last verification found it (services/storage_verify.py)
    found = whole.filter(origin__in=LEARNER_ORIGINS)
    tasks = list(Task.objects.filter(runs=run_id).values_list("id", flat=True))
    found = found.filter(task_id__in=tasks) if tasks else found
    run = TrainingRun.objects.filter(id=run_id).first()
    if run is None or run.dataset_version_id is None:
        return found.exclude(outcome=Outcome.ABORTED.value)
    held = _held(run).exclude(outcome=Outcome.ABORTED.value).values("episode")
    if not run.takes_online:
        return found.filter(id__in=held)
    all_held = DatasetEpisode.objects.filter(version=run.dataset_version_id).values("episode")
    is_new = Q(origin=Origin.ONLINE.value) & ~Q(outcome=Outcome.ABORTED.value) & ~Q(id__in=all_held)
    return found.filter(Q(id__in=held) | is_new)


def episodes_for_learner(*, run_id: str, after_seq: int, upto_seq: int) -> list[LearnerEpisode]:
    """Return the run's episodes with after_seq < index_seq <= upto_seq, in that order.

    Online episodes and demonstrations of the run's tasks (all tasks if it names none); evaluations never, aborted
    episodes and damaged ones neither. A run with a dataset has its split instead of the demonstrations, with the
    outcomes that were frozen, and as online episodes only those that the dataset does not hold. The answer for fixed
    bounds changes only when a person labels one that is not frozen with another outcome, or one goes or is found
    damaged: a killed round is repeatable but for that, and a run that goes on elsewhere learns from the corrected one.
    """
    run = TrainingRun.objects.filter(id=uuid.UUID(run_id)).first()
    found = episodes_of_run(run_id=uuid.UUID(run_id)).filter(index_seq__gt=after_seq, index_seq__lte=upto_seq)
    rows = list(found.select_related("task", "policy_version").order_by("index_seq"))
    frozen: dict[uuid.UUID, str] = {}
    if run is not None and run.dataset_version_id is not None:
        held = _held(run).filter(episode__in=[row.id for row in rows])
        frozen = dict(held.values_list("episode_id", "outcome"))
    return [
        LearnerEpisode(
            id=str(row.id),
            index_seq=row.index_seq,
            task_slug=row.task.slug,
            instruction=row.instruction,
            origin=row.origin,
            outcome=frozen.get(row.id, row.outcome),
            steps=row.steps,
            human_steps=row.human_steps,
            manifest_key=row.manifest_key,
            manifest_sha256=row.manifest_sha256,
            policy_version_id=str(row.policy_version_id) if row.policy_version_id else None,
            indexed_at=row.indexed_at,
            policy_step=_step_in_run(row.policy_version, run_id),
            is_frozen=row.id in frozen,
        )
        for row in rows
    ]


def _held(run: TrainingRun) -> QuerySet[DatasetEpisode]:
    """Return the run's split of its dataset."""
    rows = DatasetEpisode.objects.filter(version=run.dataset_version_id)
    return rows.filter(split=run.dataset_split) if run.dataset_split else rows


def _step_in_run(version: PolicyVersion | None, run_id: str) -> int | None:
    return version.step if version is not None and str(version.run_id) == run_id else None
