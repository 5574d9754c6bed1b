"""SOP+HG-DAgger with 1, 2, 4 and 8 robots: `python -m benchmarks.experiments.scaling`. Writes scaling.csv (one row a
run) and scaling_curves.csv (one row a point).

The learner takes the same 1,000 steps a virtual minute whatever the number of robots. Time to target is when the
learning curve (evaluations of the published policy at equal robot minutes, made non-decreasing) first reaches TARGET.
Efficiency (`summary.py`) is time of one robot / (robots * time), on the curve of all seeds together; SOP reports 1.0,
.69, .61 for 1, 2, 4.
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.experiments.runs import base_name, online
from benchmarks.experiments.spec import RunSpec
from benchmarks.experiments.statistics import time_to_target
from benchmarks.experiments.study import SEEDS, Result, Rows, Study, bases_of, main

TARGET = 0.8
MINUTES = {4: 8.0, 1: 20.0, 2: 12.0, 8: 4.0}


def runs() -> tuple[RunSpec, ...]:
    return tuple(online(seed, robots=robots, minutes=minutes) for robots, minutes in MINUTES.items() for seed in SEEDS)


def curve(run: RunSpec, result: Result, base: Result | None) -> list[tuple[float, int, int]]:
    """Return minutes, successes and n of the base (if it was evaluated), the run's points and its end."""
    points = [(point["minutes"], point["evaluation"]) for point in result["points"]]
    before = [] if base is None else [(0.0, base)]
    everything = [*before, *points, (run.minutes, result["final"])]
    return [(minutes, found["successes"], found["n"]) for minutes, found in everything]


def tables(results: Mapping[str, Result], bases: Mapping[str, Result]) -> dict[str, Rows]:
    found = [(run, results[run.name]) for run in sorted(runs(), key=lambda r: r.robots) if run.name in results]
    rows, curves = [], []
    for run, result in found:
        points = curve(run, result, bases.get(base_name(run.seed)))
        reached = time_to_target([m for m, _, _ in points], [s / n for _, s, n in points], TARGET)
        rows.append(
            {
                "robots": run.robots,
                "seed": run.seed,
                "minutes_to_target": "" if reached is None else round(reached, 2),
                "minutes": run.minutes,
                "robot_minutes": round(result["online"]["frames"] / 600, 1),
                "human_frames": result["online"]["human_frames"],
                "successes": result["final"]["successes"],
                "n": result["final"]["n"],
            }
        )
        curves += [
            {"robots": run.robots, "seed": run.seed, "minutes": minutes, "successes": successes, "n": n}
            for minutes, successes, n in points
        ]
    return {"scaling.csv": rows, "scaling_curves.csv": curves}


STUDY = Study(name="scaling", bases=bases_of(), runs=runs(), tables=tables)

if __name__ == "__main__":
    main(STUDY)
