"""Keeps a run's metrics bounded: the newest rows stay as reported, older ones are merged, spikes included.

Called by `run_metrics_record` in its transaction, which holds the run's lock. A run of any length then has at most
`keep` rows, which is what bounds every chart (`selectors/run_metrics.py`): 35 names of 6,500 rows were read in 0.4 s on
two busy cores; in one run, 6,000 rows took a ninth of the time of 100,000 (`benchmarks/run_metrics.py`).
"""

from __future__ import annotations

import uuid

from django.db import connection

from fleet.models import RunMetric

# A merged row weighs as much in a mean as the reports it stands for (for a name that only some of them had, too), and
# keeps their extremes.
_MERGE = """
WITH old AS (
    DELETE FROM fleet_runmetric WHERE run_id = %(run)s AND step <= %(upto)s
    RETURNING (step - %(first)s) / %(width)s AS part, step, at, reports, values, extremes
), numbers AS (
    SELECT part, key, reports, value::float8 AS mean, value::float8 AS low, value::float8 AS high
    FROM old, jsonb_each_text(values)
    UNION ALL
    SELECT part, key, 0, 0, (value ->> 0)::float8, (value ->> 1)::float8
    FROM old, jsonb_each(extremes) WHERE extremes IS NOT NULL
), merged AS (
    SELECT part, key, sum(mean * reports) / sum(reports) AS mean, min(low) AS low, max(high) AS high
    FROM numbers GROUP BY part, key
), folded AS (
    SELECT part, jsonb_object_agg(key, mean) AS values, jsonb_object_agg(key, jsonb_build_array(low, high)) AS extremes
    FROM merged GROUP BY part
)
INSERT INTO fleet_runmetric (run_id, step, at, reports, values, extremes)
SELECT %(run)s, max(step), max(at), sum(reports), COALESCE(folded.values, '{}'), folded.extremes
FROM old LEFT JOIN folded USING (part) GROUP BY part, folded.values, folded.extremes
"""


def metric_history_thin(*, run_id: uuid.UUID, keep: int) -> None:
    """If the run has more than `keep` rows, leave the newest half of `keep` and merge the rest.

    The rest becomes at most a quarter of `keep`, evenly spread over its steps, so a second call changes nothing. The
    newest half reaches far beyond a round, so a round that is run again overwrites its own rows and no merged one.
    """
    rows = RunMetric.objects.filter(run_id=run_id).order_by("step")
    if rows.count() <= keep:
        return
    first = rows.values_list("step", flat=True)[0]
    upto = rows.reverse().values_list("step", flat=True)[keep // 2]
    width = -(-(upto - first + 1) // max(1, keep // 4))
    with connection.cursor() as cursor:
        cursor.execute(_MERGE, {"run": run_id, "upto": upto, "first": first, "width": width})
