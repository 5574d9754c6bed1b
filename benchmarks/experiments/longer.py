"""SOP and batch DAgger with time to learn: `python -m benchmarks.experiments.longer`. Writes longer.csv.

As `methods.py`, but 16 virtual minutes of four robots and 2,000 learner steps a virtual minute, for all: 32,000 steps.
Batch DAgger once with as much robot time as SOP and once with as many human frames as that seed's SOP run.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from benchmarks.experiments import methods
from benchmarks.experiments.runs import online
from benchmarks.experiments.spec import RunSpec
from benchmarks.experiments.study import SEEDS, Result, Rows, Study, bases_of, main

MINUTES = 16.0
STEPS_PER_MINUTE = 2000


def _sop(seed: int) -> RunSpec:
    run = online(seed, minutes=MINUTES)
    return msgspec.structs.replace(run, name=f"longer-sop-seed{seed}", points=(), steps_per_minute=STEPS_PER_MINUTE)


def _batch(seed: int) -> RunSpec:
    return msgspec.structs.replace(_sop(seed), name=f"longer-batch-seed{seed}", mode="batch")


def _batch_equal_human(seed: int) -> RunSpec:
    twin = _sop(seed)
    name = f"longer-batch-equal-human-seed{seed}"
    return msgspec.structs.replace(twin, name=name, mode="batch", human_frames_of=twin.name)


def runs() -> tuple[RunSpec, ...]:
    return tuple(run(seed) for run in (_sop, _batch, _batch_equal_human) for seed in SEEDS)


def tables(results: Mapping[str, Result], bases: Mapping[str, Result]) -> dict[str, Rows]:
    """One row a method, task and seed, as in methods.csv."""
    return {"longer.csv": methods.rows_of(runs(), results, bases)}


STUDY = Study(name="longer", bases=bases_of(), runs=runs(), tables=tables)

if __name__ == "__main__":
    main(STUDY)
