"""The benchmark's synthetic versions are what it says: safetensors whose last blob moved, and patches that fit."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import safetensors
from pytest import MonkeyPatch

from benchmarks import distribution
from benchmarks.distribution import bfloat16, held, synthetic
from fleet.protocol.patch import apply_patch


def test_five_percent_move_and_the_patch_gives_them(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setattr(distribution, "TENSOR", 4_000)
    monkeypatch.setattr(distribution, "SHARD", 50_000)
    case = synthetic(tmp_path, 200_000)
    case.prepare(tmp_path)
    changed = [new for old, new in zip(case.before, case.after, strict=True) if old != new]
    assert [item.ref.name for item in changed] == ["head"]
    weights = sum(item.path.stat().st_size for item in case.after) / 2
    assert 200_000 <= weights < 203_000
    [(sha256, (base, patch))] = case.patches.items()
    assert (base, sha256) == (case.before[-1].ref.sha256, case.after[-1].ref.sha256)
    out = io.BytesIO()
    apply_patch(case.before[-1].path, patch, out, size=case.after[-1].ref.size)
    assert out.getvalue() == case.after[-1].path.read_bytes()
    assert 0 < patch.stat().st_size < 0.5 * case.after[-1].ref.size


def test_a_shard_holds_all_its_values(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setattr(distribution, "TENSOR", 300)
    (tmp_path / "f").write_bytes(distribution.header(1_000) + bytes(2_000))
    with safetensors.safe_open(tmp_path / "f", "pt") as file:
        assert [tuple(file.get_slice(name).get_shape()) for name in sorted(file.keys())] == [(300,)] * 3 + [(100,)]


def test_bfloat16_rounds_to_nearest() -> None:
    exact, above = 1.0, 1.0 + 2**-8 + 2**-12
    values = np.frombuffer(bfloat16(np.array([exact, above, -2.5], np.float32)), np.uint16)
    assert (values.astype(np.uint32) << 16).view(np.float32).tolist() == [1.0, 1.0 + 2**-7, -2.5]


def test_who_holds_what(tmp_path: Path) -> None:
    case = synthetic(tmp_path, 2_000)
    assert held(case, "first") == []
    assert [item.ref.name for item in held(case, "frozen")] == ["shard-0"]
    assert held(case, "robot-3") == case.before
