"""Base, offline batch DAgger, offline RECAP, SOP+HG-DAgger and SOP+RECAP at equal robot minutes, and the offline ones
at equal human frames: `python -m benchmarks.experiments.methods`. Writes methods.csv.

The offline methods get the rollouts and corrections of four robots that keep the base policy for the same 8 minutes,
and then the same number of gradient steps. "equal-human" ends their rollouts when the supervisor has driven for as many
frames as in the SOP+HG-DAgger run of that seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from benchmarks.experiments.runs import CONFIG, MINUTES, base_name, online
from benchmarks.experiments.spec import TASKS, RunSpec
from benchmarks.experiments.study import SEEDS, Result, Rows, Study, bases_of, main

RECAP = CONFIG | {"algorithm": "recap"}
METHODS = {"hg-dagger": CONFIG, "recap": RECAP}


def _online_recap(seed: int) -> RunSpec:
    return msgspec.structs.replace(online(seed), name=f"sop-recap-seed{seed}", config=RECAP, points=(MINUTES / 2,))


def _offline(seed: int, algorithm: str, *, is_equal_human: bool) -> RunSpec:
    twin = online(seed)
    kind = "equal-human" if is_equal_human else "equal-robot"
    return msgspec.structs.replace(
        twin,
        name=f"batch-{algorithm}-{kind}-seed{seed}",
        mode="batch",
        config=METHODS[algorithm],
        human_frames_of=twin.name if is_equal_human else None,
        points=(),
    )


def runs() -> tuple[RunSpec, ...]:
    """Return all runs, seed by seed of the methods that matter most first."""
    first = [run for seed in SEEDS for run in (online(seed), _offline(seed, "hg-dagger", is_equal_human=False))]
    second = [run for seed in SEEDS for run in (_online_recap(seed), _offline(seed, "recap", is_equal_human=False))]
    third = [_offline(seed, algorithm, is_equal_human=True) for algorithm in METHODS for seed in SEEDS]
    return (*first, *second, *third)


def tables(results: Mapping[str, Result], bases: Mapping[str, Result]) -> dict[str, Rows]:
    """One row a method, task and seed."""
    return {"methods.csv": rows_of(runs(), results, bases)}


def rows_of(specs: Sequence[RunSpec], results: Mapping[str, Result], bases: Mapping[str, Result]) -> Rows:
    """Return the rows of the base policies, then of each finished run; a run's name without its seed is its method."""
    rows: Rows = []
    for seed in SEEDS:
        base = bases.get(base_name(seed))
        if base is not None:
            rows += _rows("base", seed, base, robot_minutes=0.0, human_frames=0)
    for run in specs:
        result = results.get(run.name)
        if result is not None:
            method = run.name.rsplit("-seed", 1)[0]
            online_frames = result["online"]
            rows += _rows(
                method,
                run.seed,
                result["final"],
                robot_minutes=round(online_frames["frames"] / 600, 1),
                human_frames=online_frames["human_frames"],
            )
    return rows


def _rows(method: str, seed: int, found: Result, *, robot_minutes: float, human_frames: int) -> Rows:
    n = found["n"] // len(found["by_task"])
    return [
        {
            "method": method,
            "task": task,
            "seed": seed,
            "robot_minutes": robot_minutes,
            "human_frames": human_frames,
            "successes": found["by_task"][task],
            "n": n,
        }
        for task in TASKS
        if task in found["by_task"]
    ]


STUDY = Study(name="methods", bases=bases_of(), runs=runs(), tables=tables)

if __name__ == "__main__":
    main(STUDY)
