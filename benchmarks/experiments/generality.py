"""One policy for all tasks against one a task, and what becomes of a task that nobody works on:
`python -m benchmarks.experiments.generality`. Writes generality.csv.

"multi": 4 robots on three tasks for 4 virtual minutes. "single": 4 robots on one task for a third of it, and the
learner sees that task alone: the same robot minutes and gradient steps a task. "held-back": 4 robots on the other two
tasks for 4 minutes; the held-back task keeps its demonstrations in the offline buffer. All start from the same base.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from benchmarks.experiments.runs import base_name, online
from benchmarks.experiments.spec import TASKS, RunSpec
from benchmarks.experiments.study import SEEDS, Result, Rows, Study, bases_of, main

MINUTES = 4.0


def _multi(seed: int) -> RunSpec:
    # The ablations' reference: it is made once.
    return msgspec.structs.replace(online(seed), name=f"ablation-reference-seed{seed}", minutes=MINUTES, points=())


def _single(seed: int, task: str) -> RunSpec:
    return msgspec.structs.replace(
        _multi(seed), name=f"single-{task}-seed{seed}", minutes=MINUTES / len(TASKS), tasks=(task,), evaluated=(task,)
    )


def _held_back(seed: int, task: str) -> RunSpec:
    others = tuple(other for other in TASKS if other != task)
    return msgspec.structs.replace(_multi(seed), name=f"held-back-{task}-seed{seed}", tasks=others)


def runs() -> tuple[RunSpec, ...]:
    kinds = [run for seed in SEEDS for run in (_multi(seed), *(_single(seed, task) for task in TASKS))]
    return (*kinds, *(_held_back(seed, task) for seed in SEEDS for task in TASKS))


def tables(results: Mapping[str, Result], bases: Mapping[str, Result]) -> dict[str, Rows]:
    """One row a kind, seed and task: of "held-back" only the task that was held back."""
    rows: Rows = []
    for seed in SEEDS:
        base = bases.get(base_name(seed))
        for task in TASKS:
            rows += _row("base", seed, task, base, base)
            for kind, run in (
                ("multi", _multi(seed)),
                ("single", _single(seed, task)),
                ("held-back", _held_back(seed, task)),
            ):
                result = results.get(run.name)
                rows += _row(kind, seed, task, result, result["final"] if result else None)
    return {"generality.csv": rows}


def _row(kind: str, seed: int, task: str, result: Result | None, found: Result | None) -> Rows:
    if result is None or found is None:
        return []
    successes, n = found["by_task"][task], found["n"] // len(found["by_task"])
    human_frames = result["online"]["human_frames"] if "online" in result else 0
    return [{"kind": kind, "seed": seed, "task": task, "human_frames": human_frames, "successes": successes, "n": n}]


STUDY = Study(name="generality", bases=bases_of(), runs=runs(), tables=tables)

if __name__ == "__main__":
    main(STUDY)
