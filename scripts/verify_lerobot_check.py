"""Load our exports with the real lerobot and compare: `verify_lerobot_check.py EPISODES EXPORTS`, in its environment.

Nothing of ours is imported: the recorded episodes are read with pyarrow and PyAV, the exports with lerobot alone.
Prints what was compared; the first difference ends it with an AssertionError.
"""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
import torch
from lerobot.configs.video import RGBEncoderConfig
from lerobot.datasets.dataset_tools import merge_datasets
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.factory import make_pre_post_processors
from lerobot.utils.feature_utils import dataset_to_policy_features

PICTURE_TOLERANCE = 2.5 / 255  # the same packets, but YUV goes to RGB in two libraries
EVERY = 10  # frames, once all of them were compared: lerobot opens a video for each
TRAINING_STEPS = 10
EXACT = {
    "observation.state": "observation.state",
    "action": "action",
    "next.reward": "reward",
    "next.success": "success",
    "sop.asked_action": "action.asked",
    "sop.proposed_action": "action.proposed",
    "sop.captured_ns": "captured_ns",
    "sop.mode": "mode",
    "sop.source": "source",
}


@dataclass
class Source:
    """A recorded episode, decoded. `pictures`: camera -> [uint8 [H, W, 3]]."""

    manifest: dict[str, Any]
    columns: dict[str, np.ndarray]
    pictures: dict[str, list[np.ndarray]]


def read_source(folder: Path) -> Source:
    manifest = json.loads((folder / "manifest.json").read_bytes())
    table = pq.read_table(folder / "steps.parquet")
    columns = {name: np.array(table.column(name).to_pylist()) for name in table.column_names}
    pictures = {}
    for camera in manifest["cameras"]:
        with av.open(str(folder / camera["object"])) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        pictures[f"observation.images.{camera['name']}"] = frames
    return Source(manifest, columns, pictures)


def compare(what: str, dataset: LeRobotDataset, sources: Sequence[Source], *, every: int = 1) -> None:
    """Compare every n-th frame of each episode, its last among them. Raises: AssertionError."""
    assert len(dataset) == sum(source.manifest["steps"] for source in sources), (len(dataset), what)
    worst, start, compared = 0.0, 0, 0
    for source in sources:
        steps = source.manifest["steps"]
        for step in sorted({*range(0, steps, every), steps - 1}):
            index = start + step
            item = dataset[index]
            compared += 1
            assert item["task"] == source.manifest["instruction"], item["task"]
            assert int(item["frame_index"]) == step
            for name, column in EXACT.items():
                wanted = source.columns[column][step]
                found = item[name].numpy()
                assert np.array_equal(found, wanted.astype(found.dtype)), (what, index, name, found, wanted)
            for key, pictures in source.pictures.items():
                shown = item[key].permute(1, 2, 0).numpy()
                worst = max(worst, float(np.abs(shown - pictures[step].astype(np.float32) / 255).max()))
        start += steps
    assert worst <= PICTURE_TOLERANCE, (what, worst)
    tasks = len({source.manifest["instruction"] for source in sources})
    print(
        f"{what}: {len(sources)} episodes, {compared} of {start} frames: {len(EXACT)} columns equal, "
        f"{tasks} task strings equal, pictures differ by {worst * 255:.2f} of 255 at most",
        flush=True,
    )


def check_filter(root: Path, sources: Sequence[Source]) -> None:
    wanted = [source for index, source in enumerate(sources) if index % 3 != 2]
    found = LeRobotDataset("sop/v3", root=root, episode_filter=lambda episode: episode["success"])
    compare("filter success=True", found, wanted, every=EVERY)
    one = sources[1].manifest["episode_id"]
    found = LeRobotDataset("sop/v3", root=root, episode_filter=lambda episode: episode["episode_id"] == one)
    compare("filter episode_id", found, sources[1:2], every=EVERY)


def check_merge(exports: Path, first: Sequence[Source], second: Sequence[Source]) -> None:
    parts = [LeRobotDataset(f"sop/{name}", root=exports / name) for name in ("v3", "other")]
    merged = merge_datasets(parts, "sop/merged", output_dir=exports / "merged")
    compare("merge_datasets", merged, [*first, *second], every=EVERY)


def check_resume(exports: Path, sources: Sequence[Source]) -> None:
    """Record an episode behind ours with lerobot itself: what was there stays as it was."""
    root = Path(shutil.copytree(exports / "v3", exports / "resumed"))
    dataset = LeRobotDataset.resume("sop/resumed", root=root, rgb_encoder=RGBEncoderConfig(vcodec="h264"))
    added = sources[0]
    template = LeRobotDataset("sop/v3", root=exports / "v3")
    index_columns = {"timestamp", "frame_index", "episode_index", "index", "task_index"}
    for step in range(added.manifest["steps"]):
        item = template.hf_dataset[step]
        frame: dict[str, Any] = {"task": added.manifest["instruction"]}
        for name, feature in template.meta.features.items():
            if feature["dtype"] == "video":
                frame[name] = added.pictures[name][step]
            elif name not in index_columns:
                frame[name] = np.asarray(item[name].numpy(), dtype=feature["dtype"]).reshape(feature["shape"])
        dataset.add_frame(frame)
    dataset.save_episode()
    dataset.finalize()
    total = sum(source.manifest["steps"] for source in sources)
    again = LeRobotDataset("sop/resumed", root=root)
    assert again.num_episodes == len(sources) + 1
    assert len(again) == total + added.manifest["steps"]
    assert np.array_equal(again[total + 3]["action"].numpy(), template[3]["action"].numpy())
    old = LeRobotDataset("sop/resumed", root=root, episodes=[*range(len(sources))])
    compare("resume, the first episodes", old, sources, every=EVERY)


def check_training(root: Path) -> None:
    """Train ACT for a few steps on one batch, normalised with the export's statistics."""
    plain = LeRobotDataset("sop/v3", root=root)
    features = dataset_to_policy_features(plain.meta.features)
    outputs = {name: feature for name, feature in features.items() if feature.type.name == "ACTION"}
    inputs = {name: feature for name, feature in features.items() if feature.type.name in ("STATE", "VISUAL")}
    assert [*outputs] == ["action"], outputs
    assert {*inputs} == {"observation.state", *plain.meta.camera_keys}, inputs
    config = ACTConfig(
        input_features=inputs, output_features=outputs, chunk_size=8, n_action_steps=8, dim_model=64, n_heads=2,
        dim_feedforward=64, n_encoder_layers=1, n_vae_encoder_layers=1, pretrained_backbone_weights=None, device="cpu",
    )  # fmt: skip
    torch.manual_seed(0)
    policy = ACTPolicy(config)
    before, _ = make_pre_post_processors(config, dataset_stats=plain.meta.stats)
    chunk = {"action": [step / plain.fps for step in range(config.chunk_size)]}
    dataset = LeRobotDataset("sop/v3", root=root, delta_timestamps=chunk)
    batch = before(next(iter(torch.utils.data.DataLoader(dataset, batch_size=8, shuffle=True))))
    for name in ("observation.state", *plain.meta.camera_keys):
        assert torch.isfinite(batch[name]).all(), name
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-3)
    losses = []
    for _ in range(TRAINING_STEPS):
        loss, _ = policy.forward(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert np.isfinite(losses).all() and losses[-1] < losses[0], losses
    print(f"ACT, {TRAINING_STEPS} training steps: inputs {sorted(inputs)}, loss {losses[0]:.2f}, then {losses[-1]:.2f}")


def check_v21(exports: Path, sources: Sequence[Source]) -> None:
    """lerobot's own converter reads v2.1 and nothing else; what it makes of ours must be the source again."""
    Path(shutil.copytree(exports / "v21", exports / "converted"))
    module = "lerobot.scripts.convert_dataset_v21_to_v30"
    options = [f"--root={exports / 'converted'}", "--repo-id=sop/converted", "--push-to-hub=false"]
    done = subprocess.run([sys.executable, "-m", module, *options], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    compare(
        "v2.1 through lerobot's converter",
        LeRobotDataset("sop/converted", root=exports / "converted"),
        sources,
        every=EVERY,
    )


def main(root: Path, exports: Path) -> None:
    warnings.filterwarnings("ignore")
    logging.getLogger("lerobot").setLevel(logging.ERROR)  # it says at length that PyAV decodes where torchcodec cannot
    sources = [read_source(path.parent) for path in sorted(root.glob("*/manifest.json"))]
    first, second = sources[:-2], sources[-2:]
    checks: list[Callable[[], None]] = [
        lambda: compare("v3.0, every frame", LeRobotDataset("sop/v3", root=exports / "v3"), first),
        lambda: check_filter(exports / "v3", first),
        lambda: check_merge(exports, first, second),
        lambda: check_resume(exports, first),
        lambda: check_training(exports / "v3"),
        lambda: check_v21(exports, first),
    ]
    for check in checks:
        check()
    print(f"{len(checks)} checks passed")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
