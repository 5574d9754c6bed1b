"""The local store of encoded episodes: what is written is read, and what is damaged is not there."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import numpy as np
import pytest

from learner.data.feature_store import FeatureStore, Payload

ROOMY = 1 << 20


def payload(seed: int, steps: int = 20) -> Payload:
    rng = np.random.default_rng(seed)
    widths = (7, 3, 2)
    return Payload(*(rng.normal(size=(steps, width)).astype(np.float32) for width in widths))


def same(found: Payload | None, wanted: Payload) -> bool:
    return found is not None and all(
        np.array_equal(getattr(found, name), getattr(wanted, name)) for name in Payload.__struct_fields__
    )


def file_of(folder: Path, key: str) -> Path:
    (path,) = folder.glob(f"{key}.*")
    return path


def test_rows_and_episodes_are_what_was_put(tmp_path: Path):
    """Every row, with fewer actions at the end; the same from another object on the folder."""
    written = payload(1)
    FeatureStore(tmp_path, max_bytes=ROOMY).put("aa", written)
    store = FeatureStore(tmp_path, max_bytes=ROOMY)

    assert ("aa" in store, "bb" in store, len(store)) == (True, False, 1)
    assert same(store.payload("aa"), written)
    for step in (0, 7, 15, 19):
        row = store.row("aa", step, 5)
        assert row is not None
        assert np.array_equal(row.features_F, written.features_TF[step])
        assert np.array_equal(row.state_P, written.state_TP[step])
        assert np.array_equal(row.actions_HA, written.action_TA[step : step + 5])
    assert (store.row("bb", 0, 5), store.payload("bb")) == (None, None)


@pytest.mark.parametrize("damage", ["cut", "empty", "one bit", "other format", "longer", "a bit of the header"])
def test_a_damaged_file_is_not_there_and_is_made_again(tmp_path: Path, damage: str):
    """Whatever happened to it on disk, no wrong value comes out; what is put again is read again."""
    FeatureStore(tmp_path, max_bytes=ROOMY).put("aa", payload(1))
    path = file_of(tmp_path, "aa")
    data = bytearray(path.read_bytes())
    if damage == "one bit":
        data[-5] ^= 1
    if damage == "a bit of the header":
        data[8] ^= 1
    changed = {"cut": data[:-4], "empty": b"", "other format": b"SOPFEAT0" + data[8:], "longer": data + b"\0\0\0\0"}
    path.write_bytes(changed.get(damage, data))
    store = FeatureStore(tmp_path, max_bytes=ROOMY)

    assert store.row("aa", 3, 5) is None
    assert ("aa" in store, store.size_bytes, list(tmp_path.iterdir())) == (False, 0, [])
    store.put("aa", payload(1))
    assert same(store.payload("aa"), payload(1))


def test_a_file_cut_off_while_it_is_open_gives_no_row(tmp_path: Path):
    store = FeatureStore(tmp_path, max_bytes=ROOMY)
    store.put("aa", payload(1))
    assert store.row("aa", 0, 5) is not None
    os.truncate(file_of(tmp_path, "aa"), 200)
    assert store.row("aa", 19, 5) is None
    assert "aa" not in store


def test_over_the_bound_the_longest_unused_goes(tmp_path: Path):
    """Room for three: the fourth replaces the one not read since; the bytes on disk stay within the bound."""
    room = 3 * len_of_one(tmp_path / "measure")
    store = FeatureStore(tmp_path / "store", max_bytes=room)
    for key in ("aa", "bb", "cc"):
        store.put(key, payload(1))
    store.row("aa", 0, 5)
    store.put("dd", payload(2))

    assert [key in store for key in ("aa", "bb", "cc", "dd")] == [True, False, True, True]
    assert store.size_bytes == sum(path.stat().st_size for path in (tmp_path / "store").iterdir()) == room
    smaller = FeatureStore(tmp_path / "store", max_bytes=room // 3)
    assert (len(smaller), "dd" in smaller) == (1, True)
    assert (store.row("aa", 0, 5) is None, store.row("cc", 0, 5)) == (False, None)  # "aa" is open still


def len_of_one(folder: Path) -> int:
    store = FeatureStore(folder, max_bytes=ROOMY)
    store.put("aa", payload(1))
    return store.size_bytes


def test_what_another_process_wrote_is_found(tmp_path: Path):
    """Two stores on a folder: each reads what the other puts later, and half-written files are nobody's."""
    first, second = (FeatureStore(tmp_path, max_bytes=ROOMY) for _ in range(2))
    (tmp_path / ".aa.1.0.partial").write_bytes(b"half")
    assert "aa" not in second
    first.put("aa", payload(3))
    assert "aa" in second
    assert same(second.payload("aa"), payload(3))
    assert second.size_bytes == first.size_bytes


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_temporary_store_goes_with_its_object():
    """Its folder and its open files are gone once nothing refers to it."""
    store = FeatureStore(None, max_bytes=ROOMY)
    store.put("aa", payload(1))
    assert store.row("aa", 0, 5) is not None
    folder, before = store._folder, open_files()
    assert folder.is_dir()
    del store
    gc.collect()
    assert not folder.exists()
    assert open_files() == before - 1
