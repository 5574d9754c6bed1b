"""The runs that several studies share: 4 robots, 8 virtual minutes, 1,000 learner steps a virtual minute."""

from __future__ import annotations

from typing import Any

from benchmarks.experiments.bases import BaseSpec
from benchmarks.experiments.spec import RunSpec

# The arithmetic of all runs; on a CPU without AVX512-BF16 take "float32" (docs/experiments.md).
CONFIG: dict[str, Any] = {"precision": "bfloat16"}
MINUTES = 8.0
ROBOT_MINUTES = (4, 8, 16, 24)  # where learning curves have points, whatever the number of robots


def online(seed: int, *, robots: int = 4, minutes: float = MINUTES, demonstrations: int = 8) -> RunSpec:
    """SOP with HG-DAgger, with a learning curve."""
    size = "" if demonstrations == 8 else f"-demos{demonstrations}"
    points = tuple(total / robots for total in ROBOT_MINUTES if total / robots < minutes)
    return RunSpec(
        name=f"sop-hg-dagger-{robots}r{size}-seed{seed}",
        seed=seed,
        base=base_name(seed, demonstrations),
        config=CONFIG,
        robots=robots,
        minutes=minutes,
        points=points,
    )


def base_name(seed: int, demonstrations: int = 8) -> str:
    return BaseSpec(demonstrations=demonstrations, seed=seed).name
