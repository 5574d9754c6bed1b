"""The data path's benchmark at a size of seconds: it must run to the end. Its figures are not judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.data_path import SeekReader, demonstrations
from tests.learner.hand_made import HORIZON, make_images, make_steps
from tests.learner.lerobot_made import write_dataset

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.timeout(300)
def test_it_measures_both_layouts_and_every_size():
    """Two sizes in processes of their own; the features of both layouts' equal episodes; shares are shares."""
    command = [sys.executable, "-m", "benchmarks.data_path", "--quick"]
    ended = subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, timeout=240)

    found = json.loads(ended.stdout)

    reading = found["reading"]
    assert reading.pop("frames") == 2 * 20
    assert min(reading.values()) > 0
    assert [size["frames"] for size in found["training"]] == [900, 1950]
    for size in found["training"]:
        assert 0 < size["rss_empty_mb"] <= size["rss_before_mb"]
        assert size["arriving"].pop("episodes") >= 1
        for measured in (size["undisturbed"], size["when_asked"], size["arriving"]):
            assert 0 < measured["data_wait"] < 1
            assert 0 < measured["data_ms_median"] <= measured["data_ms_max"]


@pytest.mark.parametrize("keep_open", [False, True])
def test_what_stands_for_lerobots_reader_reads_the_right_rows(tmp_path: Path, keep_open: bool):
    """Pictures, states and actions of frames taken from all over the video, backwards too."""
    manifests = demonstrations(2, 20)
    write_dataset(tmp_path, [manifests])
    wanted = np.concatenate([make_images(manifest) for manifest in manifests]).astype(np.float32) / 255
    columns = [make_steps(manifest) for manifest in manifests]
    rows = [31, 3, 30, 0, 21]

    images, state, actions = SeekReader(tmp_path, keep_open=keep_open).batch(rows)

    assert np.array_equal(state, np.concatenate([each["observation.state"] for each in columns])[rows])
    assert np.array_equal(actions[:, 0], np.concatenate([each["action"] for each in columns])[rows])
    assert actions.shape[1] == HORIZON
    errors = np.abs(images[:, None] - wanted.transpose(0, 3, 1, 2)[None]).mean(axis=(2, 3, 4))
    assert errors.argmin(axis=1).tolist() == rows
