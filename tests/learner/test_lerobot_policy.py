"""The adapter of LeRobot's policies: what needs no LeRobot, and, where it is, the tests of `real_lerobot_*.py`."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from fleet.daemon.policy_host import check_fits
from fleet.protocol.errors import ArtifactMismatch
from fleet.protocol.messages import CameraInfo, DriverInfo
from fleet.protocol.policy import CameraSpec, PolicyManifest
from learner.__main__ import main
from learner.data.feature_store import FeatureStore, Payload
from learner.lerobot_folder import statistics_of
from learner.policies.architectures.lerobot.config import camera_names, check
from learner.policies.architectures.lerobot.network import (
    LerobotNetwork,
    Statistics,
    _is_within_half,
    _packed,
    _resized,
    _text,
    _unpacked,
)
from learner.policies.architectures.lerobot.package import LerobotMissing, LerobotVersion, self_contained
from learner.policies.registry import architectures, build_network
from tests.learner.hand_made import SHAPES, make_network
from tests.learner.lerobot_policy_made import ACT, FEATURES, FRONT, act_config

ROOT = Path(__file__).parents[2]
PYTHON = os.environ.get("SOP_LEROBOT_PYTHON", "")
WRIST = "observation.images.wrist"


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without LeRobot, whatever this one has."""
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name == "lerobot":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)


# --- Without LeRobot --------------------------------------------------------------------------------------------------


def test_without_lerobot_it_is_not_offered_and_says_what_is_missing(without: None) -> None:
    assert "lerobot.v1" not in architectures() and "flow_vla.v1" in architectures()
    with pytest.raises(LerobotMissing, match=r"lerobot==0\.6\.1") as raised:
        build_network("lerobot.v1", {}, SHAPES)
    assert raised.value.code == "lerobot_missing"


def test_another_version_of_lerobot_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.7.0")
    with pytest.raises(LerobotVersion, match=r"0\.7\.0 is installed"):
        build_network("lerobot.v1", {}, SHAPES)


def test_a_robot_without_lerobot_refuses_the_version_before_it_fetches_weights(without: None) -> None:
    """`check_fits` is asked when the manifest is there and no blob yet."""
    manifest = PolicyManifest(
        version_id="v",
        run_id=None,
        parent_id=None,
        step=0,
        trained_ns=1,
        architecture="lerobot.v1",
        config={},
        cameras=SHAPES.cameras,
        proprio_dim=8,
        action_dim=4,
        horizon=12,
        blobs=(),
    )
    info = DriverInfo(
        name="arm",
        version="1",
        control_rate_hz=10.0,
        action_names=("x", "y", "z", "gripper"),
        proprio_names=tuple("abcdefgh"),
        cameras=(CameraInfo(name="front", width=128, height=128),),
        tasks=("reach",),
    )
    with pytest.raises(LerobotMissing):
        check_fits(manifest, info)


def test_the_import_says_what_is_missing(without: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    assert main(["import-lerobot", str(tmp_path), "--out", str(tmp_path / "base")]) == 2
    torch.set_num_threads(threads)
    assert "lerobot is not installed here" in capsys.readouterr().err
    assert not (tmp_path / "base").exists()


# --- Features and manifest --------------------------------------------------------------------------------------------


def test_a_policy_that_fits_the_robot_is_taken() -> None:
    check(act_config(), SHAPES)
    check(act_config(action_low=(-90.0,) * 4, action_high=(90.0,) * 4), SHAPES)


def with_input(**features: Any) -> dict[str, Any]:
    return {"input_features": {**FEATURES["input_features"], **features}}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"policy": {"n_obs_steps": 2}}, "n_obs_steps is 2, only 1 is hosted"),
        ({"policy": {"temporal_ensemble_coeff": 0.01}}, "temporal_ensemble_coeff is 0.01"),
        ({"policy": {"use_relative_actions": True}}, "use_relative_actions is True"),
        ({"policy": {"chunk_size": 100}}, "chunk_size is 100, the horizon 12"),
        ({"policy": {"n_action_steps": 13}}, r"n_action_steps is 13, must be 1\.\.12"),
        ({"policy": {"output_features": {"action": {"type": "ACTION", "shape": [7]}}}}, r"'action' is \(7,\), the"),
        (
            {"policy": with_input(**{"observation.state": {"type": "STATE", "shape": [6]}})},
            r"'observation.state' is \(6,",
        ),
        (
            {"policy": with_input(**{WRIST: {"type": "VISUAL", "shape": [3, 32, 32]}})},
            f"nothing gives its input '{WRIST}'",
        ),
        (
            {"policy": with_input(**{FRONT: {"type": "VISUAL", "shape": [3, 48, 48]}})},
            r"\(128, 128\), no whole multiple",
        ),
        ({"policy": with_input(**{FRONT: {"type": "VISUAL", "shape": [32, 32]}})}, r"is \[32, 32\], no picture"),
        ({"cameras": {"top": FRONT}}, r"it sees the cameras \['top'\], the manifest has \['front'\]"),
        ({"normalised": ("observation.force",)}, "no feature 'observation.force' to normalise"),
        ({"action_low": (-1.0,) * 4}, "must have 4 values each"),
        ({"action_low": (1.0,) * 4, "action_high": (1.0,) * 4}, "action_low must be below action_high"),
        ({"action_low": (float("nan"),) * 4, "action_high": (1.0,) * 4}, "action_low must be below action_high"),
    ],
)
def test_a_policy_that_does_not_fit_is_refused_by_what_differs(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        check(act_config(**changes), SHAPES)


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(ValueError, match=r"policy 'act': n_obs_steps.*; chunk_size"):
        check(act_config(policy={"n_obs_steps": 2, "chunk_size": 3}), SHAPES)


def test_cameras_are_called_like_their_features_or_as_they_are_named() -> None:
    policy = with_input(**{WRIST: {"type": "VISUAL", "shape": [3, 32, 32]}})
    assert camera_names(policy, {}) == {"front": FRONT, "wrist": WRIST}
    assert camera_names(policy, {FRONT: "top"}) == {"top": FRONT, "wrist": WRIST}


def test_the_backbone_holds_the_statistics_that_the_policys_modes_need() -> None:
    modes = {"VISUAL": "IDENTITY", "STATE": "QUANTILES", "ACTION": "MIN_MAX"}
    config = act_config(policy={"normalization_mapping": modes}, normalised=("observation.state", "action"))
    assert list(config.statistics()) == [
        ("observation.state", "q01", (8,)),
        ("observation.state", "q99", (8,)),
        ("action", "min", (4,)),
        ("action", "max", (4,)),
    ]
    assert [shape for name, _, shape in act_config().statistics() if name == FRONT] == [(3, 1, 1)] * 2
    with pytest.raises(ValueError, match="'SOFTMAX' is none of"):
        list(act_config(policy={"normalization_mapping": {"STATE": "SOFTMAX"}}).statistics())


def test_statistics_that_are_missing_or_not_finite_are_refused() -> None:
    statistics = Statistics(act_config(normalised=("observation.state",)), SHAPES)
    good = {"observation.state": {"mean": torch.ones(8), "std": torch.full((8,), 2.0)}}
    statistics.fill(good)
    assert statistics.by_feature()["observation.state"]["std"].tolist() == [2.0] * 8
    for bad in ({}, {"mean": torch.ones(8)}, {"mean": torch.ones(7), "std": torch.ones(8)}):
        with pytest.raises(ValueError, match=r"of 'observation\.state' is missing"):
            statistics.fill({"observation.state": bad})
    with pytest.raises(ValueError, match="not finite"):
        statistics.fill({"observation.state": good["observation.state"] | {"std": torch.full((8,), torch.nan)}})


def test_statistics_of_demonstrations_have_floors() -> None:
    """A joint that never moved must not divide by zero; pictures have ImageNet's, as in LeRobot's own training."""
    rng = np.random.default_rng(0)
    state, action = rng.normal(3.0, 2.0, (500, 8)), rng.uniform(-1, 1, (500, 4))
    state[:, 2], action[:, 3] = 0.7, 0.0
    found = statistics_of(
        ACT,
        [
            {"observation.state": state[:200], "action": action[:200]},
            {"observation.state": state[200:], "action": action[200:]},
        ],
    )
    assert found["observation.state"]["mean"].numpy() == pytest.approx(state.mean(0), abs=1e-5)
    assert float(found["observation.state"]["std"][2]) == pytest.approx(1e-4)
    assert float(found["action"]["std"][3]) == pytest.approx(5e-2)
    assert found["action"]["q99"].numpy() == pytest.approx(np.quantile(action, 0.99, axis=0), abs=1e-5)
    assert found[FRONT]["mean"].shape == (3, 1, 1)


def test_a_manifests_configuration_fetches_nothing() -> None:
    """Weights travel as blobs; a robot must ask no hub for others."""
    told = {
        **ACT,
        "pretrained_backbone_weights": "ResNet18_Weights.IMAGENET1K_V1",
        "load_vlm_weights": True,
        "pretrained_path": "someone/policy",
        "device": "cuda",
    }
    kept = self_contained(told)
    assert (kept["pretrained_backbone_weights"], kept["load_vlm_weights"], kept["pretrained_path"]) == (
        None,
        False,
        None,
    )
    assert kept["device"] == "cpu" and "compile_model" not in kept


# --- Pictures as features ---------------------------------------------------------------------------------------------


def test_pictures_come_back_from_the_feature_store_bit_by_bit() -> None:
    """Also bytes that are NaN as float32, of a size that is no multiple of four."""
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (6, 5, 7, 3), dtype=np.uint8))
    packed = _packed(images)
    assert packed.shape == (6, -(-5 * 7 * 3 // 4)) and bool(torch.isnan(_packed(images | 0xF0)).any())
    store = FeatureStore(None, max_bytes=10**6)
    payload = Payload(_packed(images | 0xF0).numpy(), np.zeros((6, 8), np.float32), np.zeros((6, 4), np.float32))
    store.put("episode", payload)
    batch, missing = store.rows(["episode"] * 3, [5, 0, 3], 2)
    assert batch is not None and not missing
    again = _unpacked(torch.from_numpy(batch.features_BF), 5, 7)
    assert torch.equal(again, (images | 0xF0)[[5, 0, 3]])


def test_pictures_are_averaged_down_to_the_policys_size() -> None:
    image = torch.tensor([[[[0, 0, 255], [100, 0, 255]], [[100, 0, 255], [0, 4, 255]]]], dtype=torch.uint8)
    assert _resized(image, (1, 1)).tolist() == [[[[50, 1, 255]]]]
    assert _resized(image, (2, 2)) is image
    with pytest.raises(ValueError, match="no whole multiple"):
        _resized(torch.zeros(1, 6, 6, 3), (4, 4))


@pytest.mark.parametrize(
    ("camera", "size", "fits"),
    [
        ((128, 128), (64, 64), True),
        ((128, 128), (32, 32), True),
        ((128, 128), (128, 128), False),
        ((96, 96), (32, 32), False),  # half of it is 48, no whole multiple of 32
        ((128, 128), (64, 128), False),
    ],
)
def test_whole_pictures_are_decoded_where_half_of_them_does_not_do(
    camera: tuple[int, int], size: tuple[int, int], fits: bool
) -> None:
    assert _is_within_half(CameraSpec(name="front", height=camera[0], width=camera[1]), size) is fits


def test_an_instruction_goes_to_lerobot_as_it_was_said() -> None:
    """Whatever language it is in; what is too long is cut between characters."""
    embed: Any = LerobotNetwork.embed
    assert _text(embed(None, "Schließe die Kiste ✓")) == "Schließe die Kiste ✓"
    assert _text(embed(None, "ß" * 600 + "x")) == "ß" * 512
    assert _text(embed(None, "x" + "ß" * 600)) == "x" + "ß" * 511


def test_blobs_load_by_name_into_any_network() -> None:
    """What `train --held-out` and robots use."""
    source, target = make_network(seed=1), make_network(seed=2)
    target.load_blob("head", source.blob_state("head"))
    assert all(torch.equal(tensor, source.blob_state("head")[n]) for n, tensor in target.blob_state("head").items())
    with pytest.raises(KeyError):
        target.load_blob("head", {})
    with pytest.raises(ArtifactMismatch, match="config of architecture"):
        build_network("flow_vla.v1", msgspec.structs.asdict(source.config) | {"label_dim": 2}, SHAPES)


# --- With the real LeRobot --------------------------------------------------------------------------------------------


@pytest.mark.timeout(1900)
@pytest.mark.skipif(not PYTHON, reason="SOP_LEROBOT_PYTHON names no environment with lerobot (make verify-policy)")
def test_the_real_lerobot() -> None:
    """What is in `real_lerobot_*.py`, in lerobot's own environment; no test of it may be left out."""
    command = [PYTHON, "-m", "pytest", "-q", "--noconftest", "-c", os.devnull, "--rootdir", str(ROOT)]
    command += ["-p", "no:cacheprovider", "-p", "lerobot_plugin"]
    command += [str(ROOT / f"tests/learner/real_lerobot_{part}.py") for part in ("policy", "vlas")]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests/learner'}"}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1800)
    assert result.returncode == 0 and " passed" in result.stdout and "skipped" not in result.stdout, result.stdout[
        -6000:
    ]
