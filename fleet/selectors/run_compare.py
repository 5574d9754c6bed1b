"""Two to four training runs side by side: what was set of each, and what each has come to.

Settings are those that a run trains with, the learner's defaults included. Figures carry their n and, where they are
estimates, a 95 % interval.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scipy.special import stdtrit

from fleet.coverage import WHOLE, Coverage
from fleet.models import PolicyVersion, TrainingRun
from fleet.selectors.run_metrics import run_last_rows
from fleet.selectors.success import Rate, success_trends
from fleet.selectors.training import run_began_from, run_experience, steps_per_s
from fleet.selectors.training_settings import settings_effective, settings_of
from fleet.selectors.version import Rates, run_rates

MOST_RUNS = 4
LOSS_REPORTS = 40
LOSS_BLOCK = 8  # reports whose mean counts as one number of the interval


@dataclass(frozen=True)
class SettingRow:
    """One setting with its value in each run, in their order; None where a run's algorithm has no such setting."""

    path: str
    label: str
    group: str
    unit: str
    values: tuple[Any, ...]
    differs: bool


@dataclass(frozen=True)
class MeanLoss:
    """Mean of the newest `n` reports, at most LOSS_REPORTS; `low`, `high`: of its 95 % interval, None below two blocks.

    Reports in a row resemble each other (shared data, a loss that falls), so the interval is Student's of the means of
    blocks of LOSS_BLOCK reports. Source: batch means, Law and Kelton, Simulation Modeling and Analysis, 9.5.3.
    """

    mean: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class RunColumn:
    """What a run has come to. `rates`: of all its versions' episodes. `success`: its trend, see `success_trends`."""

    run: TrainingRun
    versions: int
    steps_per_s: float
    loss: MeanLoss | None
    ingested: int
    rates: Rates
    success: list[Rate]


def runs_compare(
    *, runs: Sequence[TrainingRun], coverage: Coverage = WHOLE
) -> tuple[list[SettingRow], list[RunColumn]]:
    """Return settings and figures of the runs, in their order; of episodes those that somebody sees."""
    ids = [run.id for run in runs]
    trends, rates = success_trends(run_ids=ids, coverage=coverage), run_rates(run_ids=ids, coverage=coverage)
    columns = [
        RunColumn(
            run=run,
            versions=PolicyVersion.objects.filter(run=run).count(),
            steps_per_s=steps_per_s(run=run),
            loss=_loss(run),
            ingested=run_experience(run=run, coverage=coverage).ingested,
            rates=rates.get(run.id, Rates(None, None)),
            success=trends.get(run.id, []),
        )
        for run in runs
    ]
    return _settings(runs), columns


def _settings(runs: Sequence[TrainingRun]) -> list[SettingRow]:
    own = [_own(run) for run in runs]
    rows = [_row(label, label, "Run", "", [values[label] for values in own]) for label in own[0]]
    fields = {path: field for run in runs for path, field in (settings_of(run.algorithm) or {}).items()}
    values = [settings_effective(algorithm=run.algorithm, config=run.config) for run in runs]
    paths = dict.fromkeys(path for each in (fields, *values) for path in each)
    for path in paths:
        field = fields.get(path, {"label": path, "group": "Other", "unit": ""})
        found = [each.get(path) for each in values]
        rows.append(_row(path, field["label"], field["group"], field["unit"], found))
    return rows


def _row(path: str, label: str, group: str, unit: str, values: list[Any]) -> SettingRow:
    differs = any(value != values[0] for value in values)
    return SettingRow(path, label, group, unit, tuple(values), differs)


def _own(run: TrainingRun) -> dict[str, Any]:
    """Return what the run's row itself says."""
    base, frozen = run_began_from(run=run), run.dataset_version
    tasks = sorted(task.slug for task in run.tasks.all())
    return {
        "Algorithm": run.algorithm,
        "Seed": run.seed,
        "Tasks": ", ".join(tasks) or "all",
        "Began from": f"v{base.number} of {base.run.name}" if base else "an imported base",
        "Dataset": f"{frozen.dataset.name} v{frozen.number} {run.dataset_split}".strip()
        if frozen
        else "demonstrations",
        "New episodes": "yes" if run.takes_online else "no",
        "Target steps": run.target_steps,
    }


def _loss(run: TrainingRun) -> MeanLoss | None:
    rows = run_last_rows(run_id=run.id, limit=LOSS_REPORTS)
    losses = [row["loss"] for row in rows if "loss" in row]
    if not losses:
        return None
    return mean_loss(losses)


def mean_loss(losses: Sequence[float]) -> MeanLoss:
    """Return the mean of at least one report, the newest first. With two blocks or more, what fills no block is left
    out."""
    blocks = [
        statistics.fmean(losses[start : start + LOSS_BLOCK])
        for start in range(0, len(losses) - LOSS_BLOCK + 1, LOSS_BLOCK)
    ]
    if len(blocks) < 2:
        return MeanLoss(statistics.fmean(losses), None, None, len(losses))
    mean = statistics.fmean(blocks)
    half = float(stdtrit(len(blocks) - 1, 0.975)) * statistics.stdev(blocks) / math.sqrt(len(blocks))
    return MeanLoss(mean, mean - half, mean + half, len(blocks) * LOSS_BLOCK)
