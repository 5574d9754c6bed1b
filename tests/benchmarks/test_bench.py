"""`make bench`: every benchmark is in it, a failure is told and loses nothing, one file holds all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import __main__ as bench
from benchmarks.__main__ import Benchmark

FOLDER = Path(bench.__file__).parent
# What has another command, and why.
APART = {"help_signal": "needs a trained policy", "lerobot_writer": "run by exports in lerobot's environment"}


def test_every_benchmark_is_in_it() -> None:
    runnable = {
        path.stem
        for path in FOLDER.glob("*.py")
        if 'if __name__ == "__main__"' in path.read_text() and path.stem != "__main__"
    }
    packages = {path.parent.name for path in FOLDER.glob("*/__main__.py")}

    named = {each.module.removeprefix("benchmarks.") for each in bench.BENCHMARKS.values()}

    assert named | APART.keys() == runnable | packages


def test_a_failure_is_told_and_what_ran_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad, slow = (tmp_path / f"{name}.py" for name in ("good_one", "bad_one", "slow_one"))
    rows = '[{"ratio to bare": {"ms": 1.5}, "ms": 3}, {"case": "vla", "robots": 10, "times_a_copy": 2}]'
    good.write_text(f"print('{{\"rows\": {rows}}}')")
    bad.write_text('print("| half |"); raise SystemExit(3)')
    slow.write_text("import time; print('begun', flush=True); time.sleep(60)")
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    named = {"good": Benchmark("good_one", "", ""), "bad": Benchmark("bad_one", "", ""),
             "slow": Benchmark("slow_one", "", "", limit_s=3.0)}  # fmt: skip
    monkeypatch.setattr(bench, "BENCHMARKS", named)
    monkeypatch.setattr("sys.argv", ["bench", "--quick", "--out", str(tmp_path / "out/bench.json")])

    assert bench.main() == 1

    report = json.loads((tmp_path / "out/bench.json").read_text())
    ended = report["benchmarks"]
    assert report["machine"]["cores"] >= 1 and report["is_quick"]
    assert [ended[name]["status"] for name in named] == [0, 3, "too slow"]
    assert ended["bad"]["result"] == ["| half |"] and ended["slow"]["result"] == ["begun"]
    printed = capsys.readouterr().out
    assert "| good | rows / 0 / ratio to bare / ms | 1.5 |" in printed and "Failed: bad, slow" in printed
    assert "| good | rows / case vla, robots 10 / times_a_copy | 2 |" in printed


def test_servers_are_given_to_what_needs_them() -> None:
    command = bench.BENCHMARKS["dashboard"].command(is_quick=True)

    assert command[1:3] == ["-m", "sop_web.embedded"] and "migrate" in command[-1] and command[-1].endswith("--quick")
