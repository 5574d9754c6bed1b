"""A training run's reports as a real one makes them, for the console's pages: written as rows, past the application."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Sequence

from tests.stack.harness import RUN, System

REPORT_STEPS = 100
REPORT_S = 17  # of the demo on two cores


def reports(steps: range, tasks: Sequence[str], *, is_recap: bool) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield (step, values): losses fall, the fleet's buffers grow, the sampler follows its rule."""
    noise = random.Random(3)
    for step in steps:
        age = step / 5000
        values = {
            "loss": 0.09 + 0.11 * math.exp(-2 * age) + noise.gauss(0, 0.004),
            "gradient_norm": 0.7 + 0.5 * math.exp(-3 * age) + abs(noise.gauss(0, 0.08)),
            "steps_per_s": 5.8 + noise.gauss(0, 0.25),
            "data_wait": 0.02 + abs(noise.gauss(0, 0.008)),
            "data/samples_per_insert": 4.0 + 6 * age / (1 + age),
            "data/episodes/indexed": 24.0 + round(52 * age),
            "data/episodes/left/capacity": 0.0,
            "versions/steps_behind": float(noise.randrange(0, 110)),
            "frames/class/policy": 6800.0 * age,
            "frames/class/human": 1400.0 * age,
        }
        for place, task in enumerate(tasks):
            values |= _of_task(task, place, age, noise)
        if is_recap:
            values |= {f"recap/threshold/{task}": -0.01 + 0.02 * place + noise.gauss(0, 0.002) for task in tasks}
            values |= {f"recap/positive/{task}": 0.3 + 0.02 * noise.random() for task in tasks}
            values |= {
                "recap/value/error": 0.09 + 0.1 * math.exp(-age) + noise.gauss(0, 0.004),
                "recap/value/spread": 0.21 + noise.gauss(0, 0.003),
                "recap/value/bias": 0.02 * math.sin(3 * age),
            }
        yield step, values


def _of_task(task: str, place: int, age: float, noise: random.Random) -> dict[str, float]:
    offline = 0.07 + 0.06 * math.exp(-2 * age)
    online = offline * (1.5 - 0.25 * place) + 0.05 * math.exp(-age)
    raw = 1 / (1 + math.exp(-5 * (1.5 * online - offline)))
    frames = 2200.0 * age * (1 - 0.2 * place)
    cap = 0.5 + 0.3 * min(1.0, frames / 1000)
    return {
        f"loss/{task}/online": online + noise.gauss(0, 0.008),
        f"loss/{task}/offline": offline + noise.gauss(0, 0.006),
        f"window/{task}/online": online,
        f"window/{task}/offline": offline,
        f"share/{task}/raw": raw,
        f"share/{task}/cap": cap,
        f"share/{task}/clipped": min(max(raw, 0.2), cap),
        f"frames/{task}/online": frames,
        f"frames/{task}/offline": 1050.0,
    }


def write_reports(system: System, steps: range, tasks: Sequence[str], *, is_recap: bool = False) -> None:
    """Insert the rows, the last as of now. The console's link finds them by itself within two seconds."""
    rows = [
        {"step": step, "ago_s": (steps[-1] - step) / REPORT_STEPS * REPORT_S, "values": values}
        for step, values in reports(steps, tasks, is_recap=is_recap)
    ]
    system.rows(
        "INSERT INTO fleet_runmetric (run_id, step, at, values, reports) "
        "SELECT run.id, (row->>'step')::bigint, now() - (row->>'ago_s')::float8 * interval '1 s', row->'values', 1 "
        "FROM fleet_trainingrun run, jsonb_array_elements(%s::jsonb) row WHERE run.name = %s",
        json.dumps(rows), RUN,
    )  # fmt: skip
    system.rows("UPDATE fleet_trainingrun SET step = %s, heartbeat_at = now() WHERE name = %s", steps[-1], RUN)
