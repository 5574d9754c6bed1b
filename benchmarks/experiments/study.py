"""Runs the base policies and runs of a study, several at a time, and collects what they found.

Each study is a module with a list of `RunSpec`s and a table made of their results; this is what they share:

    python -m benchmarks.experiments.methods [--quick] [--jobs 2] [--work DIR] [--results DIR] [--only-collect]

Restartable: what is finished in DIR is kept. `--quick` does everything at a size of minutes, for CI; its numbers mean
nothing, and its tables go to DIR/results instead of `benchmarks/experiments/results`. A table there is never replaced
by one that lacks some of its rows: runs of several machines have different bases, so a person decides what to mix.
"""

from __future__ import annotations

import argparse
import collections
import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import msgspec
from tqdm import tqdm

from benchmarks.experiments.bases import BaseSpec
from benchmarks.experiments.spec import RunSpec

REPOSITORY = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results"
SEEDS = (1, 2, 3)
RUN_TIMEOUT_S = 4 * 3600
MEASURED = frozenset({"robot_minutes", "human_frames", "successes", "n", "minutes_to_target"})  # columns; others name
BASE = BaseSpec()
QUICK_BASE = BaseSpec(demonstrations=2, scenes=60, encoder_steps=20, head_steps=40, episodes=1)
Result = dict[str, Any]
Rows = list[dict[str, Any]]


class RowsMissing(RuntimeError):
    """A table would lose rows that it has: their runs are not finished in this folder."""


class Study(msgspec.Struct, frozen=True, kw_only=True):
    """`bases`: base policies needed. `runs`: in the order of their importance. `tables`: file name -> rows, from the
    results of all runs by name and the evaluation of each base by name."""

    name: str
    bases: tuple[BaseSpec, ...]
    runs: tuple[RunSpec, ...]
    tables: Callable[[Mapping[str, Result], Mapping[str, Result]], dict[str, Rows]]


def bases_of(sizes: Sequence[int] = (BASE.demonstrations,), seeds: Sequence[int] = SEEDS) -> tuple[BaseSpec, ...]:
    """Return the base policies of several sizes and seeds."""
    return tuple(BaseSpec(demonstrations=size, seed=seed) for size in sizes for seed in seeds)


def small(study: Study) -> Study:
    """Return the study at a size of minutes: one seed, seconds of rollouts, one evaluation episode a task."""
    bases = tuple(
        msgspec.structs.replace(QUICK_BASE, seed=base.seed, demonstrations=min(2, base.demonstrations))
        for base in study.bases
        if base.seed == SEEDS[0]
    )
    runs = tuple(_small_run(run) for run in study.runs if run.seed == SEEDS[0])
    return msgspec.structs.replace(study, bases=tuple(dict.fromkeys(bases)), runs=runs)


def _small_run(run: RunSpec) -> RunSpec:
    config = run.config | {"optim": {"batch_size": 8}}
    if config.get("algorithm") == "recap":
        config |= {"algorithm_config": {"value": {"min_rollouts": 1, "steps": 5}}}
    return msgspec.structs.replace(
        run,
        base=msgspec.structs.replace(QUICK_BASE, seed=run.seed).name,
        minutes=0.4,
        steps_per_minute=50,
        publish_steps=min(run.publish_steps, 10),
        episodes=1,
        points=run.points and (0.2,),
        point_episodes=1,
        config=config,
    )


def main(study: Study) -> None:
    """Run a study from the command line."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.experiments.{study.name}", description=__doc__)
    parser.add_argument("--work", type=Path, default=REPOSITORY / "var" / "experiments", help="what is finished stays")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time, of one thread each")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--results", type=Path, help="folder of the tables")
    parser.add_argument("--only-collect", action="store_true", help="make the tables from the runs that are finished")
    arguments = parser.parse_args()
    work, results = arguments.work.resolve(), arguments.results or RESULTS
    if arguments.quick:
        study, work = small(study), work / "quick"
        results = arguments.results or work / "results"
    if not arguments.only_collect:
        run_study(study, work, jobs=arguments.jobs)
    try:
        for path in collect(study, work, results):
            print(path)
    except RowsMissing as error:
        parser.exit(1, f"{error}\nNothing was written; --only-collect --results DIR writes what there is elsewhere.\n")


def run_study(study: Study, work: Path, *, jobs: int) -> None:
    """Make the bases (the first alone: it trains the encoder that all share), then the runs, `jobs` at a time.

    Raises: RuntimeError naming the runs that failed; the others are finished first.
    """
    (work / "logs").mkdir(parents=True, exist_ok=True)
    (work / "specs").mkdir(exist_ok=True)
    _together([_base_command(base, work) for base in study.bases[:1]], jobs=1, work=work)
    _together([_base_command(base, work) for base in study.bases[1:]], jobs=jobs, work=work)
    _together([_run_command(run, work) for run in study.runs], jobs=jobs, work=work)


def collect(study: Study, work: Path, results: Path) -> list[Path]:
    """Write the study's tables from what is finished; return their paths.

    Raises: RowsMissing, and then no table was written, if one that is there has rows that the new one lacks.
    """
    found = {run.name: _read(run_folder(work, run) / "result.json") for run in study.runs}
    bases = {base.name: _read(work / "bases" / base.name / "evaluation.json") for base in study.bases}
    tables = study.tables(
        {name: result for name, result in found.items() if result is not None},
        {name: result for name, result in bases.items() if result is not None},
    )
    results.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        _require_all_rows(results / name, rows)
    return [_write_table(results / name, rows) for name, rows in tables.items() if rows]


def run_folder(work: Path, run: RunSpec) -> Path:
    return work / "runs" / run.name


class _Command(msgspec.Struct, frozen=True, kw_only=True):
    """`after`: result whose human frames the run needs to know."""

    name: str
    arguments: tuple[str, ...]
    result: Path
    after: Path | None = None


def _base_command(base: BaseSpec, work: Path) -> _Command:
    options = [f"--{name.replace('_', '-')}={getattr(base, name)}" for name in BaseSpec.__struct_fields__]
    arguments = ("benchmarks.experiments.bases", "--bases", str(work / "bases"), *options)
    return _Command(name=base.name, arguments=arguments, result=work / "bases" / base.name / "evaluation.json")


def _run_command(run: RunSpec, work: Path) -> _Command:
    spec, out = work / "specs" / f"{run.name}.json", run_folder(work, run)
    spec.write_bytes(msgspec.json.format(msgspec.json.encode(run)))
    arguments = ("benchmarks.experiments.run", str(spec), "--bases", str(work / "bases"), "--out", str(out))
    after = work / "runs" / run.human_frames_of / "result.json" if run.human_frames_of else None
    return _Command(name=run.name, arguments=arguments, result=out / "result.json", after=after)


def _together(commands: Sequence[_Command], *, jobs: int, work: Path) -> None:
    waiting = [command for command in commands if not command.result.is_file()]
    running: dict[Future[None], _Command] = {}
    failed: list[str] = []
    with ThreadPoolExecutor(jobs) as pool, tqdm(total=len(waiting), unit="run") as bar:
        while waiting or running:
            ready = [c for c in waiting if c.after is None or c.after.is_file()]
            for command in ready[: jobs - len(running)]:
                waiting.remove(command)
                running[pool.submit(_call, command, work / "logs" / f"{command.name}.log")] = command
            if not running:
                failed += [command.name for command in waiting]  # they wait for a run that failed
                break
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                command = running.pop(future)
                bar.update()
                if future.exception() is not None:
                    failed.append(command.name)
    if failed:
        raise RuntimeError(f"failed: {', '.join(failed)}; see {work / 'logs'}")


def _call(command: _Command, log: Path) -> None:
    extra = []
    if command.after is not None:
        extra = ["--human-frames", str(json.loads(command.after.read_text())["online"]["human_frames"])]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with log.open("ab") as file:
        subprocess.run(
            [sys.executable, "-m", *command.arguments, *extra],
            check=True, cwd=REPOSITORY, env=environment, stdout=file, stderr=file, timeout=RUN_TIMEOUT_S,
        )  # fmt: skip


def _read(path: Path) -> Result | None:
    return json.loads(path.read_text()) if path.is_file() else None


def _require_all_rows(path: Path, rows: Rows) -> None:
    """Raises: RowsMissing. Rows are told apart by what was tried, not by what was measured."""
    if not path.is_file():
        return
    with path.open(newline="") as file:
        present = _identities(csv.DictReader(file))
    missing = list((present - _identities(rows)).elements())
    if missing:
        shown = "; ".join(" ".join(identity) for identity in missing[:5]) + ("; ..." if len(missing) > 5 else "")
        raise RowsMissing(f"{path} has {len(missing)} rows of runs that are not finished here: {shown}")


def _identities(rows: Iterable[Mapping[str, Any]]) -> collections.Counter[tuple[str, ...]]:
    return collections.Counter(tuple(str(row[key]) for key in row if key not in MEASURED) for row in rows)


def _write_table(path: Path, rows: Rows) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path
