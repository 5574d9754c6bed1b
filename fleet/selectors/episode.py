"""Episodes as the learner reads them: metadata only, payloads are loaded lazily from the object store."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.db.models import QuerySet

from fleet.models import Episode, Task
from fleet.protocol.recording import Origin, Outcome

LEARNER_ORIGINS = (Origin.ONLINE.value, Origin.DEMONSTRATION.value)


@dataclass(frozen=True)
class LearnerEpisode:
    """What the learner's index needs of an episode."""

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


def episodes_of_run(*, run_id: uuid.UUID) -> QuerySet[Episode]:
    """Return every episode that a run may learn from."""
    found = Episode.objects.filter(origin__in=LEARNER_ORIGINS).exclude(outcome=Outcome.ABORTED.value)
    tasks = list(Task.objects.filter(runs=run_id).values_list("id", flat=True))
    return found.filter(task_id__in=tasks) if tasks else found


def episodes_for_learner(*, run_id: str, after_seq: int, upto_seq: int) -> list[LearnerEpisode]:
    """Return the run's episodes with after_seq < index_seq <= upto_seq, in that order.

    Online episodes and demonstrations of the run's tasks (all tasks if it names none); evaluations never, aborted
    episodes neither. The answer for fixed bounds never changes, which is what makes a killed round repeatable.
    """
    found = episodes_of_run(run_id=uuid.UUID(run_id)).filter(index_seq__gt=after_seq, index_seq__lte=upto_seq)
    rows = found.order_by("index_seq").values_list(
        "id",
        "index_seq",
        "task__slug",
        "instruction",
        "origin",
        "outcome",
        "steps",
        "human_steps",
        "manifest_key",
        "manifest_sha256",
        "policy_version_id",
    )
    return [LearnerEpisode(str(row[0]), *row[1:10], str(row[10]) if row[10] else None) for row in rows]
