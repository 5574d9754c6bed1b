"""What a training run's charts cost, when old rows are merged and when they are not.

    python -m sop_web.embedded bash -c 'python manage.py migrate -v 0 && python -m benchmarks.run_metrics --rows 100000'

Records rows of 35 names as a learner does, and times the questions of the run page: all names over
the whole run at 300 points, the newest hour, what came since the newest row. `--unbounded` leaves every row, to show
what the bound saves. A million rows took 26 minutes to record on two busy cores, and left as many as 50,000 do.
Needs DATABASE_URL of a server to scribble on (a migrated database).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import time
from collections.abc import Callable
from datetime import timedelta

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sop_web.settings.dev")
django.setup()

from django.conf import settings  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.utils import timezone  # noqa: E402

from fleet.models import RunMetric, TrainingRun  # noqa: E402
from fleet.selectors.run_metrics import run_metric_names, run_metric_series, run_rows_after  # noqa: E402
from fleet.services.metric_history import metric_history_thin  # noqa: E402

TASKS = ("box-close", "bin-picking", "shelf-place")
NAMES = (
    "loss", "gradient_norm", "steps_per_s", "data_wait",
    *(f"{kind}/{task}/online" for kind in ("loss", "window", "frames") for task in TASKS),
    *(f"{kind}/{task}/offline" for kind in ("loss", "window", "frames") for task in TASKS),
    *(f"share/{task}/{part}" for task in TASKS for part in ("raw", "clipped", "cap")),
    *(f"frames/class/{kind}" for kind in ("policy", "human", "demonstration", "evaluation")),
)  # fmt: skip
STEPS_A_ROW = 100
SECONDS_A_ROW = 2


def record(run: TrainingRun, rows: int, *, flush: int, keep: int) -> float:
    """Record `rows` rows; return the seconds."""
    begun, now = time.monotonic(), timezone.now()
    for start in range(0, rows, flush):
        with transaction.atomic():
            RunMetric.objects.bulk_create(
                RunMetric(
                    run=run,
                    step=(index + 1) * STEPS_A_ROW,
                    at=now - timedelta(seconds=SECONDS_A_ROW * (rows - index)),
                    values={name: random.random() for name in NAMES},
                )
                for index in range(start, min(rows, start + flush))
            )
            metric_history_thin(run_id=run.id, keep=keep)
    return time.monotonic() - begun


def median_ms(question: Callable[[], object], times: int) -> float:
    took = []
    for _ in range(times):
        begun = time.monotonic()
        question()
        took.append(1000 * (time.monotonic() - begun))
    return round(statistics.median(took), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--flush", type=int, default=20, help="rows written at once")
    parser.add_argument("--unbounded", action="store_true", help="never merge")
    parser.add_argument("--times", type=int, default=5, help="a question is asked; the median counts")
    given = parser.parse_args()
    run, _ = TrainingRun.objects.get_or_create(name=f"benchmark {time.time_ns()}", algorithm="hg_dagger")
    keep = given.rows if given.unbounded else settings.SOP_RUN_METRIC_ROWS
    seconds = record(run, given.rows, flush=given.flush, keep=keep)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE fleet_runmetric")
    newest = given.rows * STEPS_A_ROW

    def series(**asked: object) -> Callable[[], object]:
        values = {"since_step": None, "last_s": None, "max_points": 300, **asked}
        return lambda: run_metric_series(run_id=run.id, names=list(NAMES), **values)  # type: ignore[arg-type]

    print(
        json.dumps(
            {
                "reported_rows": given.rows,
                "stored_rows": run.metrics.count(),
                "record_ms_a_row": round(1000 * seconds / given.rows, 3),
                "names": len(NAMES),
                "whole_run_ms": median_ms(series(), given.times),
                "newest_hour_ms": median_ms(series(last_s=3600.0), given.times),
                "since_newest_ms": median_ms(series(since_step=newest - 2 * STEPS_A_ROW), given.times),
                "names_ms": median_ms(lambda: run_metric_names(run_id=run.id), given.times),
                "live_rows_ms": median_ms(
                    lambda: run_rows_after(run_id=run.id, step=newest - 200, limit=50), given.times
                ),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
