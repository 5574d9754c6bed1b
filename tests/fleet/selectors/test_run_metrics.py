"""Series of a run: thinned to a chart's width, aligned, bounded, and right over merged rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleet.models import RunMetric, TrainingRun
from fleet.selectors.run_metrics import (
    RunSeries,
    Series,
    run_last_step,
    run_metric_names,
    run_metric_series,
    run_rows_after,
)
from tests.fleet import builders

pytestmark = pytest.mark.django_db

START = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def run() -> TrainingRun:
    return builders.running_run()


def _rows(run: TrainingRun, *rows: tuple[int, dict[str, float]], **more: Any) -> None:
    """Rows at their step in seconds after START."""
    RunMetric.objects.bulk_create(
        RunMetric(run=run, step=step, at=START + timedelta(seconds=step), values=values, **more)
        for step, values in rows
    )


def _series(run: TrainingRun, *names: str, **asked: Any) -> RunSeries:
    values = {"since_step": None, "last_s": None, "max_points": 300, **asked}
    return run_metric_series(run_id=run.id, names=list(names), **values)


def test_few_rows_come_as_they_are(run: TrainingRun) -> None:
    _rows(run, (10, {"loss": 2.0, "share/a/raw": 0.5}), (20, {"loss": 1.0}))
    start_ms = int(START.timestamp() * 1000)
    found = _series(run, "loss", "share/a/raw", "never")
    assert (found.width, found.last_step, found.step) == (1, 20, [10, 20])
    assert found.at_ms == [start_ms + 10_000, start_ms + 20_000]
    assert found.series == [
        Series("loss", [2.0, 1.0], [2.0, 1.0], [2.0, 1.0]),
        Series("share/a/raw", [0.5, None], [0.5, None], [0.5, None]),
        Series("never"),
    ]


def test_many_rows_become_buckets_with_mean_and_extremes(run: TrainingRun) -> None:
    _rows(run, *((step, {"loss": float(step)}) for step in range(1, 101)))
    found = _series(run, "loss", max_points=10)
    assert (found.width, found.step) == (10, list(range(10, 101, 10)))
    assert found.series == [
        Series(
            "loss", [5.5 + 10 * k for k in range(10)], [1.0 + 10 * k for k in range(10)], [float(s) for s in found.step]
        )
    ]


@pytest.mark.parametrize("max_points", [1, 7, 99, 1000])
def test_never_more_points_than_asked_for(run: TrainingRun, max_points: int) -> None:
    _rows(run, *((step, {"loss": 1.0}) for step in range(3, 300, 3)))
    found = _series(run, "loss", max_points=max_points)
    assert 1 <= len(found.step) <= max_points
    assert [len(values) for values in (found.series[0].mean, found.at_ms)] == [len(found.step)] * 2


def test_merged_rows_weigh_as_much_as_the_reports_they_stand_for(run: TrainingRun) -> None:
    _rows(run, (30, {"loss": 2.0}), reports=3, extremes={"loss": [0.5, 9.0]})
    _rows(run, (40, {"loss": 6.0}))
    found = _series(run, "loss", max_points=1)
    assert found.series == [Series("loss", [3.0], [0.5], [9.0])]


def test_since_step_and_last_s_narrow_the_range(run: TrainingRun) -> None:
    _rows(run, *((step, {"loss": float(step)}) for step in range(1, 11)))
    assert _series(run, "loss", since_step=8).step == [9, 10]
    assert _series(run, "loss", last_s=3.0).step == [8, 9, 10]
    nothing = _series(run, "loss", since_step=10)
    assert (nothing.step, nothing.last_step, nothing.series) == ([], 10, [Series("loss")])


def test_a_run_without_rows(run: TrainingRun) -> None:
    assert _series(run, "loss") == RunSeries(width=1, last_step=None, step=[], at_ms=[], series=[Series("loss")])
    assert (run_metric_names(run_id=run.id), run_last_step(run_id=run.id)) == ([], 0)


def test_names_are_all_that_were_ever_reported(run: TrainingRun) -> None:
    _rows(run, (1, {"b": 1.0}), (2, {"a": 1.0, "b": 1.0}))
    _rows(builders.running_run(), (1, {"of another run": 1.0}))
    assert run_metric_names(run_id=run.id) == ["a", "b"]


def test_rows_after_a_step_oldest_first_and_limited(run: TrainingRun) -> None:
    _rows(run, *((step, {"loss": step / 3}) for step in range(1, 6)))
    rows = run_rows_after(run_id=run.id, step=2, limit=2)
    assert [(row.step, row.values) for row in rows] == [(3, {"loss": 1.0}), (4, {"loss": 1.33333})]
