"""What the robots did over time, from the intervals that their heartbeats left (models/robot_state.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.utils import timezone

from fleet.models import Robot
from fleet.models.robot_state import RobotStateInterval

STATES = tuple(RobotStateInterval.State.values)
DEFINITION = (
    "Robot-time by state. Working: runs or resets an episode, whoever drives. Waiting: paused, no task, no policy, or "
    "its disk is full. Blocked: cannot go on without a person: stopped, in error, or asking for help while it stands. "
    "Offline: not connected. By the server's clock, from each robot's first connection on; exact to ten seconds."
)
MAX_ROBOTS = 400
# Open intervals last until now; what lies before a robot's first is not counted at all.
_SECONDS = """
SELECT width_bucket(cut.starts, %(edges)s::timestamptz[]), s.robot_id, s.state,
       sum(extract(epoch FROM cut.ends - cut.starts))::float8
FROM fleet_robotstateinterval AS s
JOIN unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS bucket (starts, ends)
  ON s.started_at < bucket.ends AND COALESCE(s.ended_at, %(now)s) > bucket.starts
CROSS JOIN LATERAL (
    SELECT GREATEST(s.started_at, bucket.starts) AS starts,
           LEAST(COALESCE(s.ended_at, %(now)s), bucket.ends, %(now)s) AS ends
) AS cut
WHERE s.robot_id = ANY(%(robots)s::uuid[]) AND s.started_at < %(last)s AND COALESCE(s.ended_at, %(now)s) > %(first)s
  AND cut.ends > cut.starts
GROUP BY 1, 2, 3
"""


@dataclass(frozen=True)
class RobotTime:
    """Seconds of one robot by state, over the range."""

    robot_id: str
    robot: str
    seconds: dict[str, float]


@dataclass(frozen=True)
class StateReport:
    """`points`: robot-seconds by state in each bucket, all robots together."""

    points: list[dict[str, float]]
    robots: list[RobotTime]


def robot_state_report(
    *, robots: Sequence[Robot], edges: Sequence[datetime], now: datetime | None = None
) -> StateReport:
    """Return how long these robots were in which state, by bucket and by robot."""
    values: dict[str, Any] = {
        "edges": list(edges),
        "starts": list(edges[:-1]),
        "ends": list(edges[1:]),
        "first": edges[0],
        "last": edges[-1],
        "now": now or timezone.now(),
        "robots": [robot.id for robot in robots],
    }
    points = [dict.fromkeys(STATES, 0.0) for _ in edges[1:]]
    own = {robot.id: dict.fromkeys(STATES, 0.0) for robot in robots}
    with connection.cursor() as cursor:
        cursor.execute(_SECONDS, values)
        for place, robot_id, state, seconds in cursor.fetchall():
            points[place - 1][state] += seconds
            own[robot_id][state] += seconds
    return StateReport(points, [RobotTime(str(robot.id), robot.name, own[robot.id]) for robot in robots])
