"""When each task first reached its target rate, by wall clock from the training run's start."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from fleet.coverage import WHOLE, Coverage
from fleet.models import Task, TrainingRun
from fleet.selectors.statistics import Rate, wilson

WINDOW_EPISODES = 50
DEFINITION = (
    f"Wall-clock time from the run's first round until the unaided success rate of the newest {WINDOW_EPISODES} "
    "terminated online episodes of the task, driven by the run's versions, first reached the task's target."
)
_REACHED = """
SELECT ended_at, wins FROM (
    SELECT ended_at, number,
           sum(is_win) OVER (ORDER BY number ROWS BETWEEN %(before)s PRECEDING AND CURRENT ROW) AS wins
    FROM (
        SELECT e.ended_at, row_number() OVER (ORDER BY e.ended_at, e.index_seq) AS number,
               (e.outcome = 'success' AND e.human_steps = 0)::int AS is_win
        FROM fleet_episode AS e JOIN fleet_policyversion AS v ON v.id = e.policy_version_id
        WHERE v.run_id = %(run)s AND e.task_id = %(task)s AND e.origin = 'online' AND e.outcome <> 'aborted'
          AND (%(robots)s::uuid[] IS NULL OR e.robot_id = ANY(%(robots)s::uuid[]))
    ) AS numbered
) AS rolling
WHERE number >= %(window)s
"""


@dataclass(frozen=True)
class TargetReached:
    """`seconds` None: not yet. `newest`: the rate of the newest window, None with fewer than 50 episodes."""

    task: str
    target: float
    reached_at: datetime | None
    seconds: float | None
    at_reaching: Rate | None
    newest: Rate | None


def run_started_at(run: TrainingRun) -> datetime:
    """Return when the run's first round began; before that, when the run was made."""
    return run.rounds.order_by("begun_at").values_list("begun_at", flat=True).first() or run.created_at


def time_to_target(*, run: TrainingRun, tasks: Sequence[Task], coverage: Coverage = WHOLE) -> list[TargetReached]:
    """Return for each task when its rate, of the covered episodes, first reached `Task.target_rate`."""
    started_at = run_started_at(run)
    return [_of_task(run, task, started_at, coverage.robots_at(task.id)) for task in tasks]


def _of_task(run: TrainingRun, task: Task, started_at: datetime, robots: frozenset[uuid.UUID] | None) -> TargetReached:
    values: dict[str, Any] = {"run": run.id, "task": task.id, "window": WINDOW_EPISODES, "before": WINDOW_EPISODES - 1}
    values["robots"] = None if robots is None else sorted(robots)
    with connection.cursor() as cursor:
        cursor.execute(f"{_REACHED} AND wins >= %(need)s ORDER BY number LIMIT 1", {**values, "need": _need(task)})
        first = cursor.fetchone()
        cursor.execute(f"{_REACHED} ORDER BY number DESC LIMIT 1", values)
        newest = cursor.fetchone()
    return TargetReached(
        task=task.slug,
        target=task.target_rate,
        reached_at=first[0] if first else None,
        seconds=(first[0] - started_at).total_seconds() if first else None,
        at_reaching=wilson(successes=int(first[1]), n=WINDOW_EPISODES) if first else None,
        newest=wilson(successes=int(newest[1]), n=WINDOW_EPISODES) if newest else None,
    )


def _need(task: Task) -> float:
    """Return the wins that reach the target; rounded, since .58 * 50 is 28.999999999999996."""
    return round(task.target_rate * WINDOW_EPISODES, 9)
