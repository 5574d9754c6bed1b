"""The charts' sums (models/rollup.py), kept with the episodes in the same transaction; folded and rebuilt here.

Whoever writes episode rows (registration, labels, retention) does so inside `rollup_episodes_changed`. What an episode
adds is said once, in `_OF_EPISODES`, so that keeping, rebuilding and proving cannot drift apart.
"""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

logger = logging.getLogger(__name__)

FOLD_QUARTERS = 500  # at most so many quarters of an hour are folded in one transaction
KEY = ("quarter", "task_id", "robot_id", "policy_version_id", "origin", "is_assisted", "is_archived")
# Sum -> what one episode adds to it.
SUMS = {
    "episodes": "1",
    "successes": "(outcome = 'success')::int",
    "failures": "(outcome = 'failure')::int",
    "timeouts": "(outcome = 'timeout')::int",
    "aborted": "(outcome = 'aborted')::int",
    "frames": "steps",
    "human_frames": "human_steps",
    "interventions": "interventions",
    "duration_ms": "round(extract(epoch FROM ended_at - started_at) * 1000)",
    "reset_ms": "reset_ms",
    "human_ms": """round(LEAST(human_steps * 1000 / NULLIF(control_rate_hz, 0),
                               extract(epoch FROM ended_at - started_at)::float8 * 1000))""",
    "frames_squared": "steps::bigint * steps",
    "human_frames_squared": "human_steps::bigint * human_steps",
    "frames_human_frames": "steps::bigint * human_steps",
    "success_human_frames": "CASE WHEN outcome = 'success' THEN human_steps ELSE 0 END",
}
_COLUMNS = ", ".join((*KEY, *SUMS))
_QUARTER = "date_bin('15 minutes', ended_at, '2000-01-01 00:00:00+00')"
_SUMMED = ", ".join(f"sum({name})::bigint AS {name}" for name in SUMS)
_OF_EPISODES = f"""
SELECT {_QUARTER} AS quarter, task_id, robot_id, policy_version_id, origin, human_steps > 0 AS is_assisted, is_archived,
       {", ".join(f"(%(sign)s * sum({value}))::bigint AS {name}" for name, value in SUMS.items())}
FROM fleet_episode WHERE %(ids)s::uuid[] IS NULL OR id = ANY(%(ids)s::uuid[]) GROUP BY 1, 2, 3, 4, 5, 6, 7
"""
_FOLD = f"""
WITH fresh AS (
    SELECT DISTINCT quarter FROM fleet_episoderollup WHERE NOT is_folded LIMIT %(quarters)s
), gone AS (
    DELETE FROM fleet_episoderollup WHERE quarter IN (SELECT quarter FROM fresh) RETURNING *
), kept AS (
    INSERT INTO fleet_episoderollup ({_COLUMNS}, is_folded)
    SELECT {", ".join(KEY)}, {_SUMMED}, true FROM gone GROUP BY {", ".join(KEY)} HAVING sum(episodes) <> 0
)
SELECT count(*) FROM fresh
"""
_DIFFERENCES = f"""
WITH kept AS (
    SELECT {", ".join(KEY)}, {_SUMMED} FROM fleet_episoderollup GROUP BY {", ".join(KEY)} HAVING sum(episodes) <> 0
), counted AS ({_OF_EPISODES}), wrong AS (
    (SELECT * FROM kept EXCEPT SELECT {_COLUMNS} FROM counted)
    UNION (SELECT {_COLUMNS} FROM counted EXCEPT SELECT * FROM kept)
)
SELECT (SELECT count(*) FROM counted), (SELECT count(DISTINCT ({", ".join(KEY)})) FROM wrong)
"""


@dataclass(frozen=True)
class RollupCheck:
    """`keys` that the episode rows make, and how many of all keys have other sums in the table."""

    keys: int
    wrong: int


@contextlib.contextmanager
def rollup_episodes_changed(*, episode_ids: Sequence[uuid.UUID], new_ids: Sequence[uuid.UUID] = ()) -> Iterator[None]:
    """Keep the sums while the block changes or deletes these episodes; inside the caller's transaction.

    The caller holds the rows' locks. `new_ids`: of rows that the block inserts.
    Raises: TransactionManagementError outside of a transaction.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("episodes and their sums change in one transaction")
    _add(episode_ids, sign=-1)
    yield
    _add([*episode_ids, *new_ids], sign=1)


def _add(episode_ids: Sequence[uuid.UUID], *, sign: int) -> None:
    if not episode_ids:
        return
    with connection.cursor() as cursor:
        values: dict[str, Any] = {"ids": list(episode_ids), "sign": sign}
        cursor.execute(f"INSERT INTO fleet_episoderollup ({_COLUMNS}, is_folded) "
                       f"SELECT {_COLUMNS}, false FROM ({_OF_EPISODES}) AS e", values)  # fmt: skip


def rollups_compact() -> int:
    """Fold rows of one key into one, for at most 500 quarters of an hour; return how many quarters there were to fold.

    One statement: readers see all rows or the folded ones. Of two that run at once the second finds nothing to do.
    """
    with connection.cursor() as cursor:
        cursor.execute(_FOLD, {"quarters": FOLD_QUARTERS})
        return int(cursor.fetchone()[0])


@transaction.atomic
def rollups_rebuild() -> int:
    """Make the sums anew from the episode rows, while registrations and labels wait; return the number of keys."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute("LOCK TABLE fleet_episode IN SHARE MODE")
        cursor.execute("LOCK TABLE fleet_episoderollup IN EXCLUSIVE MODE")
        cursor.execute("DELETE FROM fleet_episoderollup")
        cursor.execute(f"INSERT INTO fleet_episoderollup ({_COLUMNS}, is_folded) "
                       f"SELECT {_COLUMNS}, true FROM ({_OF_EPISODES}) AS e", {"ids": None, "sign": 1})  # fmt: skip
        written = int(cursor.rowcount)
    logger.info("rollups rebuilt", extra={"event": {"keys": written}})
    return written


@transaction.atomic
def rollups_check() -> RollupCheck:
    """Compare the sums with the episode rows, as of one moment; nothing waits for it."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(_DIFFERENCES, {"ids": None, "sign": 1})
        return RollupCheck(*cursor.fetchone())
