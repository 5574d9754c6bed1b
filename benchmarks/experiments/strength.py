"""How much the base policy matters: `python -m benchmarks.experiments.strength`. Writes strength.csv.

Bases of 4, 8 and 25 demonstrations a task, each before and after SOP+HG-DAgger with 4 robots, 4 virtual minutes.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from benchmarks.experiments.runs import base_name, online
from benchmarks.experiments.spec import RunSpec
from benchmarks.experiments.study import SEEDS, Result, Rows, Study, bases_of, main

SIZES = (4, 8, 25)
MINUTES = 4.0


def runs() -> tuple[RunSpec, ...]:
    return tuple(_run(size, seed) for seed in SEEDS for size in SIZES)


def _run(size: int, seed: int) -> RunSpec:
    run = online(seed, demonstrations=size)
    # The run of 8 demonstrations is the ablations' reference: it is made once.
    name = f"ablation-reference-seed{seed}" if size == 8 else f"strength-demos{size}-seed{seed}"
    return msgspec.structs.replace(run, name=name, minutes=MINUTES, points=())


def tables(results: Mapping[str, Result], bases: Mapping[str, Result]) -> dict[str, Rows]:
    """One row a size, seed and time: before (robot_minutes 0) and after."""
    rows: Rows = []
    for size in SIZES:
        for seed in SEEDS:
            base, after = bases.get(base_name(seed, size)), results.get(_run(size, seed).name)
            if base is not None:
                rows.append(_row(size, seed, 0.0, 0, base))
            if after is not None:
                online_frames = after["online"]
                minutes = round(online_frames["frames"] / 600, 1)
                rows.append(_row(size, seed, minutes, online_frames["human_frames"], after["final"]))
    return {"strength.csv": rows}


def _row(size: int, seed: int, minutes: float, human_frames: int, found: Result) -> dict[str, object]:
    return {
        "demonstrations": size,
        "seed": seed,
        "robot_minutes": minutes,
        "human_frames": human_frames,
        "successes": found["successes"],
        "n": found["n"],
    }


STUDY = Study(name="strength", bases=bases_of(SIZES), runs=runs(), tables=tables)

if __name__ == "__main__":
    main(STUDY)
