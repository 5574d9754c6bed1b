"""Measures the simulated robot: milliseconds a step, picture and reset by task, and the experts' success.

    python benchmarks/sim_speed.py [--renderer egl|osmesa|raycast|auto] [--seeds 20] [--starts full|narrow]

Prints a table; asserts nothing. Success: the expert's, in episodes of at most 250 steps through the driver.
"Observe" renders the 128x128 policy picture; "snapshot" is the 320x240 picture for people.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

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


def speed(driver: MetaWorldDriver, task: str) -> list[float]:
    """Return medians in ms: reset (with its first picture), expert, step, observe, snapshot."""
    driver.reset(task, seed=0)
    reset_ms = median_ms(lambda: driver.reset(task, seed=1), 5)
    expert_ms = median_ms(driver.advisor.action, TIMED_STEPS)
    step_ms = median_ms(lambda: driver.apply(driver.advisor.action()), TIMED_STEPS) - expert_ms
    observe_ms = median_ms(driver.observe, TIMED_STEPS)
    return [reset_ms, expert_ms, step_ms, observe_ms, median_ms(lambda: driver.snapshot(320, 240), 10)]


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
    print(f"median ms, renderer {options.renderer}, starts {options.starts}")
    print(f"{'task':16} {'reset':>7} {'expert':>7} {'step':>7} {'observe':>8} {'snapshot':>9}   success, mean steps")
    for task in driver.info.tasks:
        times = speed(driver, task)
        steps = [expert_steps(driver, task, seed) for seed in range(options.seeds)]
        done = [count for count in steps if count is not None]
        mean = f"{statistics.mean(done):.0f}" if done else "-"
        cells = " ".join(f"{value:{width}.2f}" for value, width in zip(times, (7, 7, 7, 8, 9), strict=True))
        print(f"{task:16} {cells}   {len(done)}/{options.seeds}, {mean}", flush=True)
    driver.close()


if __name__ == "__main__":
    main()
