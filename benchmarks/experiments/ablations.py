"""What the sampler, the frame mask and the publish interval do: `python -m benchmarks.experiments.ablations`.

SOP+HG-DAgger with one thing changed, 4 robots, 4 virtual minutes. Writes ablations.csv.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from benchmarks.experiments.runs import CONFIG, online
from benchmarks.experiments.spec import RunSpec
from benchmarks.experiments.study import SEEDS, Result, Rows, Study, bases_of, main

MINUTES = 4.0
VARIANTS: dict[str, dict[str, Any]] = {
    "reference": {},
    "sampler-fixed-half": {"config": {"sampler": {"strategy": "fixed", "fixed_share": 0.5}}},
    "sampler-uniform": {"config": {"sampler": {"strategy": "uniform"}}},
    "mask-intervention-only": {"config": {"algorithm_config": {"mask": "intervention_only"}}},
    "mask-sirius": {"config": {"algorithm_config": {"mask": "sirius"}}},
    "publish-250": {"publish_steps": 250},
    "publish-2500": {"publish_steps": 2500},
}


def runs() -> tuple[RunSpec, ...]:
    return tuple(_run(variant, seed) for seed in SEEDS for variant in VARIANTS)


def _run(variant: str, seed: int) -> RunSpec:
    change = VARIANTS[variant]
    return msgspec.structs.replace(
        online(seed),
        name=f"ablation-{variant}-seed{seed}",
        minutes=MINUTES,
        points=(),
        config=CONFIG | change.get("config", {}),
        publish_steps=change.get("publish_steps", 25),
    )


def tables(results: Mapping[str, Result], bases: Mapping[str, Result]) -> dict[str, Rows]:
    """One row a variant and seed."""
    rows = [
        {
            "variant": variant,
            "seed": seed,
            "robot_minutes": round(found["online"]["frames"] / 600, 1),
            "human_frames": found["online"]["human_frames"],
            "successes": found["final"]["successes"],
            "n": found["final"]["n"],
        }
        for variant in VARIANTS
        for seed in SEEDS
        if (found := results.get(_run(variant, seed).name)) is not None
    ]
    return {"ablations.csv": rows}


STUDY = Study(name="ablations", bases=bases_of(), runs=runs(), tables=tables)

if __name__ == "__main__":
    main(STUDY)
