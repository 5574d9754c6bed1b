"""Measures the simulated robot: milliseconds a step, picture and reset by task, and the experts' success.

    python -m benchmarks.sim_speed [--renderer egl|osmesa|raycast|auto] [--seeds 20] [--starts full|narrow]

Prints JSON; asserts nothing. Success: the expert's, in episodes of at most 250 steps through the driver.
`observe_ms` renders the 128x128 policy picture; `snapshot_ms` is the 320x240 picture for people; `times_real_time`: how
often a step with its picture fits into the robot's control period.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable

from fleet.daemon.drivers.metaworld.driver import MetaWorldDriver, create

MAX_STEPS = 250
TIMED_STEPS = 60


def median_ms(action: Callable[[], object], times: int) -> float:
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        spent.append((time.perf_counter() - began) * 1e3)
    return statistics.median(spent)


def speed(driver: MetaWorldDriver, task: str) -> dict[str, float]:
    """Return medians in ms; the reset's with its first picture."""
    driver.reset(task, seed=0)
    reset_ms = median_ms(lambda: driver.reset(task, seed=1), 5)
    expert_ms = median_ms(driver.advisor.action, TIMED_STEPS)
    step_ms = median_ms(lambda: driver.apply(driver.advisor.action()), TIMED_STEPS) - expert_ms
    observe_ms = median_ms(driver.observe, TIMED_STEPS)
    snapshot_ms = median_ms(lambda: driver.snapshot(320, 240), 10)
    spent = {"reset": reset_ms, "expert": expert_ms, "step": step_ms, "observe": observe_ms, "snapshot": snapshot_ms}
    real_time = 1e3 / driver.info.control_rate_hz / (step_ms + observe_ms)
    return {**{f"{name}_ms": round(ms, 2) for name, ms in spent.items()}, "times_real_time": round(real_time, 1)}


def expert_steps(driver: MetaWorldDriver, task: str, seed: int) -> int | None:
    """Return the steps until success, None if there was none. No pictures beyond the first."""
    driver.reset(task, seed=seed)
    for step in range(1, MAX_STEPS + 1):
        if driver.apply(driver.advisor.action()).success:
            return step
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--renderer", default="auto")
    parser.add_argument("--starts", default="full")
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    driver = create({"renderer": options.renderer, "starts": options.starts})
    driver.connect()
    tasks = {}
    for task in driver.info.tasks:
        steps = [expert_steps(driver, task, seed) for seed in range(options.seeds)]
        done = [count for count in steps if count is not None]
        mean = round(statistics.mean(done)) if done else None
        tasks[task] = {**speed(driver, task), "episodes": len(steps), "successes": len(done), "mean_steps": mean}
    driver.close()
    machine = {"cores": os.cpu_count(), "load": os.getloadavg()[0]}
    asked = {"renderer": options.renderer, "starts": options.starts}
    print(json.dumps({"machine": machine, **asked, "tasks": tasks}, indent=1))


if __name__ == "__main__":
    main()
