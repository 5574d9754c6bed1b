"""A run's metrics stay bounded: old rows merge into means that keep their extremes, new ones stay as reported."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest

from fleet.models import RunMetric, TrainingRun
from fleet.services.metric_history import metric_history_thin
from fleet.services.training import run_metrics_record
from tests.fleet import builders

pytestmark = pytest.mark.django_db


def _report(run: TrainingRun, steps: range, **values: float) -> None:
    run_metrics_record(run_id=str(run.id), epoch=1, rows=[(step, {"loss": float(step), **values}) for step in steps])


def _total(name: str) -> float:
    """The sum over all reports: what merging must not change."""
    return sum(row.values[name] * row.reports for row in RunMetric.objects.all() if name in row.values)


def test_few_rows_stay_as_they_are() -> None:
    run = builders.running_run()
    _report(run, range(1, 101))
    metric_history_thin(run_id=run.id, keep=100)
    assert RunMetric.objects.filter(reports=1, extremes__isnull=True).count() == 100


def test_old_rows_merge_and_keep_mean_extremes_and_steps() -> None:
    """Of 200 rows with keep=100 the newest 50 stay, and 150 become 25 of six."""
    run = builders.running_run()
    _report(run, range(1, 201))
    metric_history_thin(run_id=run.id, keep=100)
    rows = list(RunMetric.objects.order_by("step"))
    assert [row.step for row in rows[25:]] == list(range(151, 201))
    assert {(row.reports, row.extremes) for row in rows[25:]} == {(1, None)}
    oldest = rows[0]
    assert (oldest.step, oldest.reports, oldest.values) == (6, 6, {"loss": 3.5})
    assert oldest.extremes == {"loss": [1.0, 6.0]}
    assert (len(rows), sum(row.reports for row in rows), _total("loss")) == (75, 200, sum(range(1, 201)))


def test_growing_history_is_bounded_evenly_and_forgets_no_spike(settings: Any) -> None:
    """However often rows merge, means weigh each report alike and a spike of one report stays visible."""
    settings.SOP_RUN_METRIC_ROWS = 100
    run = builders.running_run()
    _report(run, range(1, 2), spike=99.0)
    for start in range(2, 1001, 37):
        _report(run, range(start, min(1001, start + 37)), spike=0.0)
        assert RunMetric.objects.count() <= 100
    rows = list(RunMetric.objects.order_by("step"))
    assert (sum(row.reports for row in rows), _total("loss")) == (1000, pytest.approx(sum(range(1, 1001))))
    assert _total("spike") == pytest.approx(99.0)
    assert max(row.extremes["spike"][1] for row in rows if row.extremes) == 99.0
    gaps = [after.step - before.step for before, after in itertools.pairwise(rows)]
    assert max(gaps) <= 3 * 1000 / 25, "the oldest part is no coarser than the rest of what was merged"


def test_names_that_come_late_and_rows_without_values_merge_too() -> None:
    run = builders.running_run()
    rows: list[tuple[int, dict[str, float]]] = [(step, {}) for step in range(1, 150)]
    run_metrics_record(run_id=str(run.id), epoch=1, rows=[*rows, *((s, {"late": 1.0}) for s in range(150, 201))])
    metric_history_thin(run_id=run.id, keep=100)
    assert RunMetric.objects.count() == 75
    assert RunMetric.objects.order_by("step")[0].values == {}
    assert {row.values["late"] for row in RunMetric.objects.all() if row.values} == {1.0}


def test_other_runs_are_left_alone() -> None:
    run, other = builders.running_run(), builders.running_run()
    for each in (run, other):
        _report(each, range(1, 201))
    metric_history_thin(run_id=run.id, keep=100)
    assert (run.metrics.count(), other.metrics.count()) == (75, 200)


def test_values_that_are_not_finite_are_left_out() -> None:
    """JSON has no NaN: one would make PostgreSQL refuse the whole report."""
    run = builders.running_run()
    values = {"loss": math.nan, "gradient_norm": math.inf, "steps_per_s": 5.0}
    run_metrics_record(run_id=str(run.id), epoch=1, rows=[(1, values)])
    assert RunMetric.objects.get().values == {"steps_per_s": 5.0}
