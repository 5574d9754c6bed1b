"""robomimic's layout, read with h5py as its SequenceDataset does."""

from __future__ import annotations

import json
from pathlib import Path

import av
import h5py
import numpy as np

from fleet.exports.robomimic import Robomimic
from fleet.exports.runner import run_export
from fleet.exports.sink import FolderSink
from fleet.protocol.steps import decode_steps
from tests.fleet.exports.made import DATASET, TASK, Made


def test_one_file_leads_to_every_demonstration(recorded: Path, episodes: Made, tmp_path: Path) -> None:
    """given two episodes a shard, when the master file is opened, then all are there with their values and pictures."""
    run_export(Robomimic(episodes=2), DATASET, episodes, FolderSink(tmp_path / "a"))
    assert len(list((tmp_path / "a/shards").iterdir())) == 4
    with h5py.File(tmp_path / "a/dataset.hdf5") as file:
        assert sorted(file["data"]) == [f"demo_{k}" for k in range(7)]
        assert file["data"].attrs["total"] == 84
        assert json.loads(file["data"].attrs["env_args"])["env_name"] == "replay"
        for k, entry in enumerate(episodes):
            demo, folder = file[f"data/demo_{k}"], recorded / entry.manifest.episode_id
            steps = decode_steps((folder / "steps.parquet").read_bytes())
            assert demo.attrs["num_samples"] == entry.manifest.steps
            np.testing.assert_array_equal(demo["actions"][()], steps["action"])
            np.testing.assert_array_equal(demo["obs/state"][()], steps["observation.state"])
            np.testing.assert_array_equal(demo["rewards"][()], steps["reward"])
            assert demo["dones"][()].tolist() == [0] * (entry.manifest.steps - 1) + [1]
            assert demo["interventions"][()].sum() == 3
            for name, camera in (("front_image", "camera-0.mp4"), ("wrist.left_image", "camera-1.mp4")):
                with av.open(str(folder / camera)) as container:
                    shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
                np.testing.assert_array_equal(demo[f"obs/{name}"][()], shown)


def test_masks_name_splits_and_outcomes(episodes: Made, tmp_path: Path) -> None:
    run_export(Robomimic(), DATASET, episodes, FolderSink(tmp_path / "a"))
    with h5py.File(tmp_path / "a/dataset.hdf5") as file:
        masks = {name: [item.decode() for item in file[f"mask/{name}"]] for name in file["mask"]}
        tasks = {file[f"data/demo_{k}"].attrs["task"] for k in range(7)}
    assert masks == {
        "train": [f"demo_{k}" for k in range(5)],
        "val": ["demo_5", "demo_6"],
        "failure": ["demo_2", "demo_5"],
        "success": ["demo_0", "demo_1", "demo_3", "demo_4", "demo_6"],
    }
    assert tasks == {TASK, "push the cube right"}
