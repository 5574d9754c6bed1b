"""How often the canary's test errs, and what it costs: `python -m benchmarks.canary_statistics`.

Simulated canaries over two tasks of different difficulty, judged by `fleet.canary` limits after every block, with the
default settings (alpha .05 over two measures, beta .1, margin .1, 20 to 400 episodes, three other robots to a canary
robot). Prints one row a case: how often it ended how, and after how many episodes of the candidate. Seeded; the table
in docs/rollout.md is this output.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from fleet.canary import CanarySettings
from fleet.sequential import harm_path, worth_path

Array = np.ndarray[Any, Any]
PER_BLOCK = 3
AT_ONCE = 500  # canaries in memory
# (what, success of the current version, of the candidate, interventions of the current version, of the candidate)
CASES = (
    ("as good, easy tasks", 0.9, 0.9, 0.1, 0.1),
    ("as good, hard tasks", 0.5, 0.5, 0.4, 0.4),
    ("10 points better", 0.8, 0.9, 0.2, 0.1),
    ("10 points worse", 0.9, 0.8, 0.1, 0.2),
    ("10 points worse in interventions alone", 0.8, 0.8, 0.1, 0.2),
    ("20 points worse", 0.9, 0.7, 0.1, 0.3),
    ("half as good", 0.9, 0.45, 0.1, 0.5),
    ("never succeeds", 0.9, 0.0, 0.1, 0.9),
    ("as good, both at 1", 1.0, 1.0, 0.0, 0.0),
)
TASK_SPREAD = 0.08  # one task lies this much above the rate, the other below, as far as rates go


def differences(rng: np.random.Generator, ours: float, theirs: float, *, runs: int, blocks: int) -> Array:
    """Return D of [runs, blocks]: each block is of one of two tasks, drawn by lot."""
    task = np.where(rng.random((runs, blocks)) < 0.5, TASK_SPREAD, -TASK_SPREAD)
    reach = min(ours, theirs, 1 - ours, 1 - theirs) / TASK_SPREAD
    task *= min(1.0, reach)
    one = rng.random((runs, blocks)) < ours + task
    other = (rng.random((runs, blocks, PER_BLOCK)) < (theirs + task)[..., None]).mean(axis=2)
    return one - other


def ends(case: tuple[str, float, float, float, float], *, runs: int, seed: int) -> tuple[Array, Array]:
    """Return (how each canary ended: -1 rolled back, 1 promoted, 0 undecided; after how many episodes)."""
    _, current, candidate, current_help, candidate_help = case
    limits, rng = CanarySettings(), np.random.default_rng(seed)
    success = differences(rng, candidate, current, runs=runs, blocks=limits.max_episodes)
    helped = differences(rng, 1 - candidate_help, 1 - current_help, runs=runs, blocks=limits.max_episodes)
    harm = np.maximum(harm_path(success), harm_path(helped)) >= np.log(2 / limits.alpha)
    worth = np.minimum(worth_path(success, margin=limits.margin), worth_path(helped, margin=limits.margin))
    worthy = worth >= np.log(1 / limits.beta)
    worthy[:, : limits.min_episodes] = False
    first_harm, first_worth = _first(harm), _first(worthy)
    verdict = np.where(first_harm <= first_worth, -1, 1)
    episodes = np.minimum(first_harm, first_worth)
    verdict[episodes > limits.max_episodes] = 0
    return verdict, np.minimum(episodes, limits.max_episodes)


def _first(reached: Array) -> Array:
    return np.where(reached.any(axis=1), reached.argmax(axis=1), reached.shape[1] + 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000, help="canaries a case")
    options = parser.parse_args()
    print("| the candidate is | rolled back | promoted | undecided | episodes of it, median (90 %) |")
    print("|---|---|---|---|---|")
    for seed, case in enumerate(CASES):
        sizes = [min(AT_ONCE, options.runs - begun) for begun in range(0, options.runs, AT_ONCE)]
        parts = [ends(case, runs=size, seed=1000 * seed + part) for part, size in enumerate(sizes)]
        verdict, episodes = (np.concatenate(column) for column in zip(*parts, strict=True))
        shares = [f"{100 * (verdict == value).mean():.1f} %" for value in (-1, 1, 0)]
        print(f"| {case[0]} | {' | '.join(shares)} | {np.median(episodes):.0f} ({np.quantile(episodes, 0.9):.0f}) |")


if __name__ == "__main__":
    main()
