"""The benchmark of exports runs, on few frames, and says what it claims to say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_benchmark_of_exports_runs_quickly() -> None:
    command = [sys.executable, "-m", "benchmarks.exports", "--quick", "--formats", "lerobot-v3.0", "raw"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert [(row["format"], row["frames"]) for row in rows] == [
        ("lerobot-v3.0", 1500), ("raw", 1500), ("lerobot-v3.0", 3000), ("raw", 3000)
    ]  # fmt: skip
    assert all(row["frames_per_s"] > 0 and row["times_a_copy"] > 0 for row in rows)
    assert all(len(row["rss_mb_by_quarter"]) == 5 <= row["rss_mb_peak"] for row in rows)
