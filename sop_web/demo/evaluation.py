"""Runs a policy without help on fixed fresh seeds and counts successes, in parallel processes.

The rates carry Wilson's 95 % interval. Base and final policy get the same seeds.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sop_web.demo.config import REPOSITORY, DemoConfig
from sop_web.demo.processes import Job, Processes, ProgressSink, run_jobs

PARALLEL = 2


@dataclass(frozen=True)
class Success:
    """Successes of n episodes with the interval's ends."""

    successes: int
    n: int

    def as_json(self) -> dict[str, float]:
        """Return the counts with Wilson's 95 % interval; without episodes it is the whole range. Needs Django."""
        from fleet.selectors.statistics import wilson

        low, high = (0.0, 1.0)
        if self.n:
            rate = wilson(successes=self.successes, n=self.n)
            low, high = rate.low, rate.high
        return {"successes": self.successes, "n": self.n, "low": round(low, 4), "high": round(high, 4)}


def evaluate(
    config: DemoConfig, policy: Path, *, out: Path, label: str, env: Mapping[str, str], processes: Processes,
    progress: ProgressSink,
) -> dict[str, Success]:  # fmt: skip
    """Return the successes by task; complete results in `out` are used again. Raises: ChildFailed."""
    out.mkdir(parents=True, exist_ok=True)
    halves = _halves(config.eval_seeds())
    files = {
        (task, half): out / f"{task}-{half.start}-{half.stop - 1}.json" for task in config.base.tasks for half in halves
    }
    jobs = [
        Job(f"evaluate-{label}-{path.stem}", _command(policy, task, half, path.with_suffix(".partial")))
        for (task, half), path in files.items()
        if not path.exists()
    ]
    run_jobs(
        jobs, logs=config.logs, env={**env, "OMP_NUM_THREADS": "1"}, cwd=REPOSITORY, parallel=PARALLEL,
        processes=processes, report=progress,
    )  # fmt: skip
    for path in files.values():
        if not path.exists():
            path.with_suffix(".partial").rename(path)
    return {
        task: _sum([_read(path) for (of_task, _), path in files.items() if of_task == task])
        for task in config.base.tasks
    }


def total(by_task: Mapping[str, Success]) -> Success:
    return _sum(list(by_task.values()))


def _halves(seeds: range) -> list[range]:
    middle = (len(seeds) + 1) // 2
    return [half for half in (seeds[:middle], seeds[middle:]) if half]


def _command(policy: Path, task: str, seeds: range, out: Path) -> list[str]:
    return [
        sys.executable, "-m", "fleet.daemon", "evaluate", "--driver", "metaworld", "--policy", str(policy),
        "--task", task, "--seeds", f"{seeds.start}-{seeds.stop - 1}", "--out", str(out),
    ]  # fmt: skip


def _read(path: Path) -> Success:
    result: dict[str, Any] = json.loads(path.read_text())
    return Success(int(result["successes"]), int(result["episodes"]))


def _sum(parts: Sequence[Success]) -> Success:
    return Success(sum(part.successes for part in parts), sum(part.n for part in parts))
