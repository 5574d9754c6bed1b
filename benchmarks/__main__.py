"""Every benchmark of the project, one after the other, into one file: `make bench`.

    python -m benchmarks [--only video data-path] [--quick] [--out var/bench.json] [--list]

Each is a process of its own; those that need PostgreSQL and Redis get servers of their own. What each prints, what it
ended with, its seconds and the machine's load before it are in the file, written anew after each one, so that nothing
is lost when a later one breaks. The ratios (of ours to a bare peer, of one run) are printed as a table. Status 1 if a
benchmark failed. Compare figures of one run alone. The learning experiments take days and have their own command
(`python -m benchmarks.experiments.run`); the help signal needs a trained policy (`python -m benchmarks.help_signal`).
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sop_web.demo.checks import describe_machine

ROOT = Path(__file__).resolve().parents[1]
HOUR_S = 3600.0
RATIO_NAMES = ("ratio", "times_", "share_of_")
ROW_NAMES = ("case", "format", "limits", "robots", "frames")  # what tells the rows of a list apart


@dataclass(frozen=True)
class Benchmark:
    """`whole`, `quick`: arguments of the module; `limit_s`: after which it counts as failed."""

    module: str
    whole: str = ""
    quick: str = "--quick"
    needs_servers: bool = False
    limit_s: float = HOUR_S

    def command(self, is_quick: bool) -> list[str]:
        asked = [sys.executable, "-m", self.module, *shlex.split(self.quick if is_quick else self.whole)]
        if not self.needs_servers:
            return asked
        migrated = f"{shlex.quote(sys.executable)} manage.py migrate -v 0 && exec {shlex.join(asked)}"
        return [sys.executable, "-m", "sop_web.embedded", "bash", "-c", migrated]


BENCHMARKS = {
    "simulator": Benchmark("benchmarks.sim_speed", quick="--seeds 1"),
    "video": Benchmark("benchmarks.video"),
    "Chromium": Benchmark("benchmarks.video", "--receiver chromium --viewers 1", "--quick --receiver chromium"),
    "takeover": Benchmark("benchmarks.takeover"),
    "data path": Benchmark("benchmarks.data_path"),
    "fleet page": Benchmark(
        "benchmarks.fleet_page", quick="--robots 2 --pages 3 --seconds 5 --episodes 3", needs_servers=True
    ),
    "fleet load": Benchmark(
        "benchmarks.fleet_load", quick="--robots 10 --consoles 3 --stalled 1 --seconds 5", limit_s=2 * HOUR_S
    ),
    "run metrics": Benchmark("benchmarks.run_metrics", "--rows 50000", "--rows 2000", needs_servers=True),
    "episode list": Benchmark("benchmarks.episode_list", needs_servers=True),
    "dataset freeze": Benchmark("benchmarks.dataset_freeze", needs_servers=True),
    "dashboard": Benchmark("benchmarks.dashboard", needs_servers=True),
    "exports": Benchmark("benchmarks.exports"),
    "distribution": Benchmark("benchmarks.distribution", quick="--cases vla --robots 1 --limits none"),
    "canary statistics": Benchmark("benchmarks.canary_statistics", "--runs 2000", "--runs 100"),
}


def machine() -> dict[str, Any]:
    return {**describe_machine(), "commit": _output("git", "describe", "--always", "--dirty")}


def _output(*command: str) -> str:
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    return ended.stdout.strip()


def run(benchmark: Benchmark, *, is_quick: bool) -> dict[str, Any]:
    """Run one; what it writes to stderr is passed through. A failure is a status in the row, never raised."""
    command = benchmark.command(is_quick)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "DJANGO_ALLOW_ASYNC_UNSAFE": "1", "PYTHONPATH": str(ROOT)}
    load, began = round(os.getloadavg()[0], 2), time.monotonic()
    child = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        text, _ = child.communicate(timeout=benchmark.limit_s)
        status: int | str = child.returncode
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, 9)
        text, status = child.communicate()[0], "too slow"
    spent = round(time.monotonic() - began, 1)
    return {"command": shlex.join(command), "status": status, "s": spent, "load_before": load, "result": parsed(text)}


def parsed(text: str) -> Any:
    """Return what was printed: one JSON value, a list of one a line, or the lines."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    lines = text.splitlines()
    try:
        return [json.loads(line) for line in lines]
    except ValueError:
        return lines


def ratios(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, float]]:
    """Yield the numbers at or below a key that names a ratio, each with its path."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from ratios(item, (*path, str(key)))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from ratios(item, (*path, _row_name(item) or str(at)))
    elif isinstance(value, int | float) and any(each.startswith(RATIO_NAMES) for each in path):
        yield " / ".join(path), float(value)


def _row_name(row: Any) -> str:
    return ", ".join(f"{name} {row[name]}" for name in ROW_NAMES if name in row) if isinstance(row, dict) else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, metavar="NAME", default=list(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="small sizes: does each run? The figures mean nothing")
    parser.add_argument("--out", type=Path, default=ROOT / "var/bench.json")
    parser.add_argument("--list", action="store_true", help="name them and end")
    given = parser.parse_args()
    if given.list:
        print("\n".join(f"{name}: {each.module}" for name, each in BENCHMARKS.items()))
        return 0
    report: dict[str, Any] = {"machine": machine(), "is_quick": given.quick, "benchmarks": {}}
    for name in given.only:
        print(f"{name} ...", file=sys.stderr, flush=True)
        row = report["benchmarks"][name] = run(BENCHMARKS[name], is_quick=given.quick)
        _write(given.out, report)
        ended = "done" if row["status"] == 0 else f"FAILED ({row['status']})"
        print(f"## {name}: {ended} in {row['s']} s", flush=True)
        print(json.dumps(row["result"], indent=1), flush=True)
    failed = _summary(report["benchmarks"])
    print(f"\nWritten to {given.out}")
    return 1 if failed else 0


def _summary(rows: dict[str, Any]) -> list[str]:
    """Print the ratios; return the names of those that failed."""
    print("\n| benchmark | ratio | |\n|---|---|---|")
    for name, row in rows.items():
        for path, value in ratios(row["result"]):
            print(f"| {name} | {path} | {value:g} |")
    failed = [name for name, row in rows.items() if row["status"] != 0]
    if failed:
        print(f"\nFailed: {', '.join(failed)}")
    return failed


def _write(path: Path, report: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_suffix(".tmp")
    whole.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    whole.replace(path)


if __name__ == "__main__":
    sys.exit(main())
