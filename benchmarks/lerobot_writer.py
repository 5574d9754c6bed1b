"""LeRobot's own writer on recorded episodes: `lerobot_writer.py RECORDINGS OUT`, in the environment of lerobot 0.6.1.

Run by `benchmarks.exports --writer`. Decodes the recordings first, outside the measured time, then records them as
LeRobot does: a frame at a time, videos encoded (h264) at the end of each episode. Prints JSON. Imports nothing of ours.
"""

from __future__ import annotations

import json
import logging
import resource
import sys
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
from lerobot.configs.video import RGBEncoderConfig
from lerobot.datasets.lerobot_dataset import LeRobotDataset

STATE, ACTION = "observation.state", "action"


def read(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a recording's manifest and its frames as `add_frame` takes them."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    table = pq.read_table(folder / "steps.parquet")
    columns = {name: np.array(table.column(name).to_pylist(), np.float32) for name in (STATE, ACTION)}
    frames = [
        {"task": manifest["instruction"], STATE: state, ACTION: action}
        for state, action in zip(columns[STATE], columns[ACTION], strict=True)
    ]
    for camera in manifest["cameras"]:
        with av.open(str(folder / camera["object"])) as container:
            for frame, picture in zip(frames, container.decode(video=0), strict=True):
                frame[f"observation.images.{camera['name']}"] = picture.to_ndarray(format="rgb24")
    return manifest, frames


def main(root: Path, out: Path) -> None:
    logging.disable(logging.WARNING)
    recordings = [read(path.parent) for path in sorted(root.glob("*/manifest.json"))]
    manifest = recordings[0][0]
    features: dict[str, Any] = {
        STATE: {"dtype": "float32", "shape": (len(manifest["proprio_names"]),), "names": manifest["proprio_names"]},
        ACTION: {"dtype": "float32", "shape": (len(manifest["action_names"]),), "names": manifest["action_names"]},
    }
    for camera in manifest["cameras"]:
        shape = (camera["height"], camera["width"], 3)
        features[f"observation.images.{camera['name']}"] = {
            "dtype": "video", "shape": shape, "names": ["height", "width", "channels"]
        }  # fmt: skip
    begun = time.monotonic()
    dataset = LeRobotDataset.create(
        "sop/written", fps=int(manifest["control_rate_hz"]), features=features, root=out,
        rgb_encoder=RGBEncoderConfig(vcodec="h264"), image_writer_threads=4,
    )  # fmt: skip
    for _, frames in recordings:
        for frame in frames:
            dataset.add_frame(frame)
        dataset.save_episode()
    dataset.finalize()
    seconds = time.monotonic() - begun
    count = sum(len(frames) for _, frames in recordings)
    peak = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(json.dumps({"frames": count, "seconds": seconds, "bytes": size, "rss_mb_peak": peak}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
