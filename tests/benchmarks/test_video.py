"""The benchmark of live video runs, and reports every figure that the docs promise."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def numbers(value: Any) -> list[float]:
    return [number for item in value.values() for number in numbers(item)] if isinstance(value, dict) else [value]


def test_a_quick_run_reports_finite_figures_and_ratios(tmp_path: Path) -> None:
    out = tmp_path / "video.json"
    command = [sys.executable, "-m", "benchmarks.video", "--quick", "--renderer", "raycast", "--out", str(out)]

    subprocess.run(command, cwd=ROOT, check=True, timeout=120, stdout=subprocess.DEVNULL)

    report = json.loads(out.read_text("utf-8"))
    assert all(math.isfinite(number) for number in numbers(report))
    assert set(report["encoder"]["ours"]) == {"cpu_ms", "kbit_s", "largest_kib"}
    table = report["video"]["1 viewers"]
    assert table["ours"]["pictures"] > 10 and table["ours"]["trips"] > 10
    assert {"glass_p50_ms", "glass_p95_ms", "trip_p50_ms", "trip_p99_ms", "cpu"} == set(table["ratio to bare h264"])
    assert report["control"]["filmed"]["films"] > 0
