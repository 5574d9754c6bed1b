"""Episodes as the learner reads them: metadata only, payloads are loaded lazily from the object store."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from fleet.models import Episode, PolicyVersion, Task
from fleet.protocol.recording import Origin, Outcome

LEARNER_ORIGINS = (Origin.ONLINE.value, Origin.DEMONSTRATION.value)


@dataclass(frozen=True)
class LearnerEpisode:
    """What the learner's index needs of an episode. `outcome`: a person's where there is one.

    `policy_step`: of the version that acted, if it is this run's.
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


def episodes_of_run(*, run_id: uuid.UUID) -> QuerySet[Episode]:
    """Return every episode that a run may learn from."""
    found = Episode.objects.filter(origin__in=LEARNER_ORIGINS).exclude(outcome=Outcome.ABORTED.value)
    tasks = list(Task.objects.filter(runs=run_id).values_list("id", flat=True))
    return found.filter(task_id__in=tasks) if tasks else found


def episodes_for_learner(*, run_id: str, after_seq: int, upto_seq: int) -> list[LearnerEpisode]:
    """Return the run's episodes with after_seq < index_seq <= upto_seq, in that order.

    Online episodes and demonstrations of the run's tasks (all tasks if it names none); evaluations never, aborted
    episodes neither. The answer for fixed bounds changes only when a person labels one of them with another outcome:
    a killed round is repeatable but for that, and a run that goes on elsewhere learns from the corrected one.
    """
    found = episodes_of_run(run_id=uuid.UUID(run_id)).filter(index_seq__gt=after_seq, index_seq__lte=upto_seq)
    return [
        LearnerEpisode(
            id=str(row.id),
            index_seq=row.index_seq,
            task_slug=row.task.slug,
            instruction=row.instruction,
            origin=row.origin,
            outcome=row.outcome,
            steps=row.steps,
            human_steps=row.human_steps,
            manifest_key=row.manifest_key,
            manifest_sha256=row.manifest_sha256,
            policy_version_id=str(row.policy_version_id) if row.policy_version_id else None,
            indexed_at=row.indexed_at,
            policy_step=_step_in_run(row.policy_version, run_id),
        )
        for row in found.select_related("task", "policy_version").order_by("index_seq")
    ]


def _step_in_run(version: PolicyVersion | None, run_id: str) -> int | None:
    return version.step if version is not None and str(version.run_id) == run_id else None
