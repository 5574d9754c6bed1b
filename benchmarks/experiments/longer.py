"""SOP and batch DAgger with time to learn: `python -m benchmarks.experiments.longer`. Writes longer.csv.

As `methods.py`, but 16 virtual minutes of four robots and 2,000 learner steps a virtual minute, for both: 32,000 steps.
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


def runs() -> tuple[RunSpec, ...]:
    return tuple(run(seed) for seed in SEEDS for run in (_sop, _batch))


def tables(results: Mapping[str, Result], bases: Mapping[str, Result]) -> dict[str, Rows]:
    """One row a method, task and seed, as in methods.csv."""
    return {"longer.csv": methods.rows_of(runs(), results, bases)}


STUDY = Study(name="longer", bases=bases_of(), runs=runs(), tables=tables)

if __name__ == "__main__":
    main(STUDY)
