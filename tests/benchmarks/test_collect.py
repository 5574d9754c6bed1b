"""Tables are made of what is finished, and a table that is there is not cut short by a folder that has less."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks.experiments import study as studies
from benchmarks.experiments.runs import online
from benchmarks.experiments.study import Result, Rows, RowsMissing, Study, collect, main, run_folder

RUNS = (online(1), online(2))


def tables(results: Mapping[str, Result], bases: Mapping[str, Result]) -> dict[str, Rows]:
    """Two rows a finished run, told apart by their task alone, and one a run in a table of its own."""
    tasks = [
        {"seed": run.seed, "task": task, "human_frames": 7, "successes": results[run.name]["successes"], "n": 60}
        for run in RUNS
        if run.name in results
        for task in ("box-close", "shelf-place")
    ]
    pooled = [{"seed": row["seed"], "successes": row["successes"], "n": 120} for row in tasks[::2]]
    return {"tasks.csv": tasks, "pooled.csv": pooled}


STUDY = Study(name="two", bases=(), runs=RUNS, tables=tables)


def finish(work: Path, seed: int, successes: int) -> None:
    folder = run_folder(work, RUNS[seed - 1])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps({"successes": successes}))


def lines(results: Path, name: str = "tasks.csv") -> list[str]:
    return (results / name).read_text().splitlines()[1:]


def test_tables_grow_and_change_with_what_is_finished(tmp_path: Path):
    """The second run adds rows; one that was run again replaces its rows."""
    finish(tmp_path, 1, 40)
    collect(STUDY, tmp_path, tmp_path / "results")
    finish(tmp_path, 2, 50)
    finish(tmp_path, 1, 41)
    collect(STUDY, tmp_path, tmp_path / "results")

    assert lines(tmp_path / "results") == [
        "1,box-close,7,41,60",
        "1,shelf-place,7,41,60",
        "2,box-close,7,50,60",
        "2,shelf-place,7,50,60",
    ]


def test_rows_of_runs_that_are_not_there_are_not_lost(tmp_path: Path):
    """A folder with the second run alone changes neither table, and says which rows it lacks."""
    for seed in (1, 2):
        finish(tmp_path / "all", seed, 40)
    finish(tmp_path / "less", 2, 50)
    collect(STUDY, tmp_path / "all", tmp_path / "results")
    before = {name: lines(tmp_path / "results", name) for name in ("tasks.csv", "pooled.csv")}

    with pytest.raises(RowsMissing, match="2 rows of runs that are not finished here: 1 box-close; 1 shelf-place"):
        collect(STUDY, tmp_path / "less", tmp_path / "results")

    assert {name: lines(tmp_path / "results", name) for name in before} == before
    assert collect(STUDY, tmp_path / "less", tmp_path / "elsewhere")


def test_the_command_refuses_and_names_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """With an empty folder the tables stay; --results writes into another one."""
    finish(tmp_path / "all", 1, 40)
    monkeypatch.setattr(studies, "RESULTS", tmp_path / "results")
    collect(STUDY, tmp_path / "all", tmp_path / "results")
    arguments = ["two", "--only-collect", "--work", str(tmp_path / "none")]
    monkeypatch.setattr("sys.argv", arguments)

    with pytest.raises(SystemExit) as ended:
        main(STUDY)

    assert ended.value.code == 1
    assert "--results DIR" in capsys.readouterr().err
    assert len(lines(tmp_path / "results")) == 2
    monkeypatch.setattr(
        "sys.argv", ["two", "--only-collect", "--work", str(tmp_path / "all"), "--results", str(tmp_path / "other")]
    )
    main(STUDY)
    assert len(lines(tmp_path / "other")) == 2
