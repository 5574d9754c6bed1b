"""The local store of encoded episodes: what is written is read, and what is damaged is not there."""

from __future__ import annotations

import contextlib
import gc
import os
from pathlib import Path

import numpy as np
import pytest

from learner.data.feature_store import FeatureStore, FrameBatch, Payload

ROOMY = 1 << 20


def payload(seed: int, steps: int = 20) -> Payload:
    rng = np.random.default_rng(seed)
    widths = (7, 3, 2)
    return Payload(*(rng.normal(size=(steps, width)).astype(np.float32) for width in widths))


def same(found: Payload | None, wanted: Payload) -> bool:
    return found is not None and all(
        np.array_equal(getattr(found, name), getattr(wanted, name)) for name in Payload.__struct_fields__
    )


def row_of(store: FeatureStore, key: str, step: int, horizon: int) -> FrameBatch | None:
    """A batch of one row, None if its episode is not there."""
    batch, missing = store.rows([key], [step], horizon)
    return batch if not missing else None


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
        row = row_of(store, "aa", step, 5)
        assert row is not None
        actions_HA = written.action_TA[step : step + 5]
        assert np.array_equal(row.features_BF, written.features_TF[step : step + 1])
        assert np.array_equal(row.state_BP, written.state_TP[step : step + 1])
        assert np.array_equal(row.actions_BHA[0, : len(actions_HA)], actions_HA)
        assert not row.actions_BHA[0, len(actions_HA) :].any()
    assert (row_of(store, "bb", 0, 5), store.payload("bb")) == (None, None)


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

    assert row_of(store, "aa", 3, 5) is None
    assert ("aa" in store, store.size_bytes, list(tmp_path.iterdir())) == (False, 0, [])
    store.put("aa", payload(1))
    assert same(store.payload("aa"), payload(1))


def test_a_file_cut_off_while_it_is_open_gives_no_row(tmp_path: Path):
    store = FeatureStore(tmp_path, max_bytes=ROOMY)
    store.put("aa", payload(1))
    assert row_of(store, "aa", 0, 5) is not None
    os.truncate(file_of(tmp_path, "aa"), 200)
    assert row_of(store, "aa", 19, 5) is None
    assert "aa" not in store


def test_over_the_bound_the_longest_unused_goes(tmp_path: Path):
    """Room for three: the fourth replaces the one not read since; the bytes on disk stay within the bound."""
    room = 3 * len_of_one(tmp_path / "measure")
    store = FeatureStore(tmp_path / "store", max_bytes=room)
    for key in ("aa", "bb", "cc"):
        store.put(key, payload(1))
    row_of(store, "aa", 0, 5)
    store.put("dd", payload(2))

    assert [key in store for key in ("aa", "bb", "cc", "dd")] == [True, False, True, True]
    assert store.size_bytes == sum(path.stat().st_size for path in (tmp_path / "store").iterdir()) == room
    smaller = FeatureStore(tmp_path / "store", max_bytes=room // 3)
    assert (len(smaller), "dd" in smaller) == (1, True)
    assert (row_of(store, "aa", 0, 5) is None, row_of(store, "cc", 0, 5)) == (False, None)  # "aa" is open still


def test_a_batch_tells_which_rows_it_lacks_and_fills_the_others(tmp_path: Path):
    """Rows of two episodes, one twice, beside one that is not there and one cut off at its last step."""
    store, written = FeatureStore(tmp_path, max_bytes=ROOMY), [payload(1), payload(2, steps=9), payload(3)]
    for key, one in zip(("aa", "bb", "cut"), written, strict=True):
        store.put(key, one)
    os.truncate(file_of(tmp_path, "cut"), file_of(tmp_path, "cut").stat().st_size - 4)

    asked = [("bb", 8), ("gone", 0), ("aa", 3), ("cut", 19), ("bb", 0)]
    batch, missing = store.rows([key for key, _ in asked], [step for _, step in asked], 4)

    assert (missing, "cut" in store) == ([1, 3], False)
    assert batch is not None
    for row, number, step in ((0, 1, 8), (2, 0, 3), (4, 1, 0)):
        wanted = FrameBatch(1, 4, batch.widths)
        wanted.copy(0, written[number], step=step)
        assert np.array_equal(batch.inputs_BI[row], wanted.inputs_BI[0])
        assert np.array_equal(batch.actions_BHA[row], wanted.actions_BHA[0])
    assert not batch.inputs_BI[1].any()


def test_episodes_of_several_widths_do_not_share_a_batch(tmp_path: Path):
    store = FeatureStore(tmp_path, max_bytes=ROOMY)
    store.put("aa", payload(1))
    store.put("bb", Payload(*(np.zeros((5, width), np.float32) for width in (3, 7, 2))))
    with pytest.raises(ValueError, match="Widths"):
        store.rows(["aa", "bb"], [0, 0], 4)


def open_files_in(folder: Path) -> int:
    """Count this process's open files below a folder, removed ones too. Others come and go with the garbage."""
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that lists them
            found += str(entry.readlink()).startswith(f"{folder}/")
    return found


def test_few_files_stay_open_and_none_is_read_wrongly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Three may be open; rows of ten come out right, whichever were open, and the longest unused still go first."""
    store = FeatureStore(tmp_path, max_bytes=ROOMY)
    monkeypatch.setattr(store, "_max_open", 3)
    written = {f"{k:02d}": payload(k) for k in range(10)}
    for key, one in written.items():
        store.put(key, one)
    rng = np.random.default_rng(0)
    for _ in range(5):
        keys = [f"{k:02d}" for k in rng.integers(0, 10, 30)]
        batch, missing = store.rows(keys, [5] * 30, 2)
        assert (missing, batch is None) == ([], False)
        assert batch is not None
        assert np.array_equal(batch.features_BF, np.stack([written[key].features_TF[5] for key in keys]))
    assert open_files_in(tmp_path) == 3


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


def test_a_temporary_store_goes_with_its_object():
    """Its folder and its open files are gone once nothing refers to it."""
    store = FeatureStore(None, max_bytes=ROOMY)
    store.put("aa", payload(1))
    assert row_of(store, "aa", 0, 5) is not None
    folder = store._folder
    assert folder.is_dir() and open_files_in(folder) == 1
    del store
    gc.collect()
    assert not folder.exists() and open_files_in(folder) == 0
