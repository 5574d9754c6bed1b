"""What the charts must show, by queries over the episode and segment rows alone: nothing of the selectors is used."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import connection

# Days by the zone's own calendar; interventions by looking at the segments, human time by adding up each episode.
TRUTH = """
WITH counted AS (
    SELECT e.*, (e.ended_at AT TIME ZONE %(zone)s)::date AS day,
           (SELECT count(*) FROM fleet_segment AS s
            WHERE s.episode_id = e.id AND s.source IN ('person', 'scripted') AND NOT EXISTS (
                SELECT 1 FROM fleet_segment AS b
                WHERE b.episode_id = e.id AND b."end" = s.start AND b.source IN ('person', 'scripted'))) AS takeovers
    FROM fleet_episode AS e
    JOIN fleet_task AS t ON t.id = e.task_id
    WHERE e.origin = %(origin)s AND e.ended_at >= %(start)s AND e.ended_at < %(end)s
      AND (cardinality(%(tasks)s::text[]) = 0 OR t.slug = ANY(%(tasks)s::text[]))
      AND (cardinality(%(robots)s::uuid[]) = 0 OR e.robot_id = ANY(%(robots)s::uuid[]))
      AND (%(archived)s = 'any' OR e.is_archived = (%(archived)s = 'only'))
)
SELECT {group},
       count(*) FILTER (WHERE outcome IN ('success', 'failure', 'timeout')),
       count(*) FILTER (WHERE outcome = 'success'),
       count(*) FILTER (WHERE outcome = 'success' AND human_steps = 0),
       count(*) FILTER (WHERE outcome IN ('success', 'failure', 'timeout') AND human_steps = 0),
       count(*) FILTER (WHERE outcome = 'success' AND human_steps > 0),
       count(*) FILTER (WHERE outcome IN ('success', 'failure', 'timeout') AND human_steps > 0),
       sum(steps), sum(human_steps), sum(takeovers),
       sum(extract(epoch FROM ended_at) - extract(epoch FROM started_at))::float8 / 3600,
       sum(reset_ms)::float8 / 3600000, sum(human_steps / control_rate_hz)::float8 / 3600
FROM counted GROUP BY 1
"""
GROUPS = {"day": "day", "task": "task_id::text", "robot": "COALESCE(robot_id::text, 'none')",
          "version": "COALESCE(policy_version_id::text, 'none')"}  # fmt: skip


def truth(
    group: str,
    *,
    start: datetime,
    end: datetime,
    zone: str = "UTC",
    tasks: tuple[str, ...] = (),
    robots: tuple[Any, ...] = (),
    archived: str = "any",
    origin: str = "online",
) -> dict[Any, dict[str, float | None]]:
    """Return every measure's value by group."""
    values = {
        "start": start, "end": end, "zone": zone, "tasks": list(tasks), "robots": list(robots), "archived": archived,
        "origin": origin,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(TRUTH.format(group=GROUPS[group]), values)
        return {row[0]: _measures(*(float(value) for value in row[1:])) for row in cursor.fetchall()}


def _measures(
    n: float, wins: float, alone: float, n_auto: float, wins_assisted: float, n_assisted: float, frames: float,
    human: float, takeovers: float, hours: float, reset_h: float, human_h: float,
) -> dict[str, float | None]:  # fmt: skip
    def per(top: float, bottom: float) -> float | None:
        return top / bottom if bottom > 0 else None

    return {
        "success": per(wins, n),
        "unaided": per(alone, n),
        "autonomous": per(alone, n_auto),
        "assisted": per(wins_assisted, n_assisted),
        "throughput_sop": per(n, hours),
        "throughput_recap": per(wins, hours - human_h),
        "throughput_total": per(wins, hours + reset_h),
        "human_share": per(human, frames),
        "interventions": per(takeovers, hours),
        "time_between": per(hours * 3600, takeovers),
        "n": n,
    }
