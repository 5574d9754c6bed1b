"""Studies of docs/experiments.md at a size of seconds: real simulator, daemon and learner, one process a run."""

from __future__ import annotations

import csv
import importlib
import json
from pathlib import Path

import pytest

from benchmarks.experiments.study import Study, collect, run_folder, run_study, small

STUDIES = ("methods", "longer", "scaling", "ablations", "strength", "generality")
RUN = ("methods", "generality")  # every algorithm, every task; the others differ from them in their settings alone


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all studies, as people use it: bases and shared runs are made once."""
    return tmp_path_factory.mktemp("experiments")


def quick(name: str) -> Study:
    study: Study = importlib.import_module(f"benchmarks.experiments.{name}").STUDY
    return small(study)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", RUN)
def test_a_study_runs_to_its_tables(name: str, work: Path):
    """Every run ends with its result, and each table's rows count what was tried.

    A second call starts no process: results keep their bytes and their time of change.
    """
    study = quick(name)

    run_study(study, work, jobs=2)
    paths = collect(study, work, work / "results")

    assert paths
    for path in paths:
        rows = list(csv.DictReader(path.read_text().splitlines()))
        assert rows
        assert all(0 <= int(row["successes"]) <= int(row["n"]) for row in rows)
    for run in study.runs:
        result = json.loads((run_folder(work, run) / "result.json").read_text())
        assert result["steps"] == round(run.minutes * run.steps_per_minute)
        assert result["final"]["n"] == run.episodes * len(run.evaluated)
        assert {episode["task"] for episode in result["episodes"]} <= set(run.tasks)

    before = {run.name: (run_folder(work, run) / "result.json").stat().st_mtime_ns for run in study.runs}
    run_study(study, work, jobs=2)
    assert before == {run.name: (run_folder(work, run) / "result.json").stat().st_mtime_ns for run in study.runs}


def test_evaluation_seeds_are_never_trained_on():
    """Demonstrations, online episodes and evaluation draw from ranges that do not meet."""
    from benchmarks.experiments.bases import SEEDS_APART
    from benchmarks.experiments.spec import EVALUATION_SEED, ONLINE_SEED

    for name in STUDIES:
        study: Study = importlib.import_module(f"benchmarks.experiments.{name}").STUDY
        demonstrations = {SEEDS_APART * b.seed + k for b in study.bases for k in range(b.demonstrations)}
        online = {(ONLINE_SEED + 10_000 * run.seed, ONLINE_SEED + 10_000 * (run.seed + 1)) for run in study.runs}
        evaluated = range(EVALUATION_SEED, EVALUATION_SEED + max(run.episodes for run in study.runs))
        assert not demonstrations & set(evaluated)
        assert all(high <= evaluated.start and not any(low <= d < high for d in demonstrations) for low, high in online)
