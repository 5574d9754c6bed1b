"""Patches of safetensors files: exact whatever changed, small where little did, refused when damaged."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from fleet.protocol import patch
from fleet.protocol.errors import ArtifactMismatch
from fleet.protocol.patch import apply_patch, write_patch

Array = np.ndarray[Any, Any]


def weights(seed: int = 0, **changes: Array | None) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    found: dict[str, Array] = {
        "frozen": rng.standard_normal((200, 100)).astype(np.float32),
        "trained": rng.standard_normal((100, 100)).astype(np.float32),
        "half": rng.standard_normal(33).astype(np.float16),
        "steps": np.arange(7, dtype=np.int64),
        "flags": np.array([True, False, True]),
    }
    return {name: value for name, value in (found | changes).items() if value is not None}


def trip(folder: Path, before: dict[str, Array], after: dict[str, Array]) -> tuple[int, bytes]:
    """Return the patch's size and the file it makes; it must be the new one."""
    (folder / "base").write_bytes(save(before))
    (folder / "new").write_bytes(save(after))
    with (folder / "patch").open("wb") as file:
        write_patch(folder / "base", folder / "new", file)
    out = io.BytesIO()
    apply_patch(folder / "base", folder / "patch", out, size=(folder / "new").stat().st_size)
    assert out.getvalue() == (folder / "new").read_bytes()
    return (folder / "patch").stat().st_size, out.getvalue()


def a_little(values: Array) -> Array:
    """As after a few gradient steps: a relative change of a thousandth."""
    noise = np.random.default_rng(9).standard_normal(values.shape)
    return (values * (1 + 1e-3 * noise)).astype(values.dtype)


AFTER = {
    "nothing": weights(),
    "one tensor a little": weights(trained=a_little(weights()["trained"])),
    "everything": weights(seed=5),
    "another shape": weights(trained=weights()["trained"].reshape(50, 200)),
    "another type": weights(half=weights()["half"].astype(np.float32)),
    "one more and one less": weights(half=None, more=np.ones(11, np.float32)),
    "nan and infinity": weights(trained=np.full((100, 100), np.nan, np.float32)),
}


@pytest.mark.parametrize("case", AFTER)
@pytest.mark.parametrize("piece", [patch.PIECE, 1024])
def test_the_very_file_comes_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, piece: int) -> None:
    monkeypatch.setattr(patch, "PIECE", piece)
    trip(tmp_path, weights(), AFTER[case])


def test_only_what_changed_travels(tmp_path: Path) -> None:
    whole = len(save(weights()))
    nothing, _ = trip(tmp_path, weights(), AFTER["nothing"])
    little, _ = trip(tmp_path, weights(), AFTER["one tensor a little"])
    changed = weights()["trained"].nbytes
    assert nothing < 0.02 * whole
    assert little < 0.75 * changed + nothing, "and less than the changed tensor itself"


def test_damage_is_refused(tmp_path: Path) -> None:
    _, made = trip(tmp_path, weights(), AFTER["everything"])
    size = len(made)
    sound = (tmp_path / "patch").read_bytes()
    for bad in (b"", b"no patch at all, really", sound[:30], sound[: len(sound) // 2], sound[:-1]):
        (tmp_path / "patch").write_bytes(bad)
        with pytest.raises(ArtifactMismatch):
            apply_patch(tmp_path / "base", tmp_path / "patch", io.BytesIO(), size=size)
    (tmp_path / "patch").write_bytes(sound)
    with pytest.raises(ArtifactMismatch, match="another file"):
        apply_patch(tmp_path / "base", tmp_path / "patch", io.BytesIO(), size=size + 1)
    (tmp_path / "other").write_bytes(save({"a": np.ones(3, np.float32)}))
    with pytest.raises(ArtifactMismatch, match="another file"):
        apply_patch(tmp_path / "other", tmp_path / "patch", io.BytesIO(), size=size)
    (tmp_path / "junk").write_bytes(b"\xff" * 64)
    with pytest.raises(ArtifactMismatch, match="no safetensors"):
        write_patch(tmp_path / "junk", tmp_path / "base", io.BytesIO())
