"""Publisher and registry: what a robot loads is what was published, or it is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from fleet.protocol.errors import ArtifactMismatch, ProbeFailed, UnknownArchitecture
from fleet.protocol.policy import Observation, decode_policy_manifest, encode_policy_manifest
from learner.policies.registry import architectures, load_policy
from learner.publisher import Artifact, build_artifact, read_policy_directory, write_policy_directory
from tests.learner.hand_made import make_network, make_trainer


def published(tmp_path: Path) -> tuple[Artifact, dict[str, Path]]:
    artifact = make_trainer().artifact(run_id=None, parent_id=None)
    write_policy_directory(artifact, tmp_path)
    return artifact, {sha256: tmp_path / f"{sha256}.safetensors" for sha256 in artifact.blobs}


def observation(seed: int = 0, side: int = 128) -> Observation:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 255, (side, side, 3), dtype=np.uint8)
    return Observation(images={"front": image}, state=rng.normal(size=8).astype(np.float32))


def test_a_loaded_policy_acts_and_repeats_by_seed(tmp_path: Path):
    """Equal seeds give equal chunks, another seed another one; actions are finite float32 [12, 4] in [-1, 1]."""
    artifact, blobs = published(tmp_path)
    policy = load_policy(artifact.manifest, blobs, device="cpu")
    chunks = []
    for seed in (1, 1, 2):
        policy.reset(instruction="close the box", seed=seed)
        chunks.append(policy.infer(observation()).actions)

    assert chunks[0].shape == (12, 4)
    assert chunks[0].dtype == np.float32
    assert np.isfinite(chunks[0]).all()
    assert np.abs(chunks[0]).max() <= 1
    assert np.array_equal(chunks[0], chunks[1])
    assert not np.array_equal(chunks[0], chunks[2])
    assert policy.execute_steps == 6


def test_wrong_observation_is_refused(tmp_path: Path):
    """Another picture size or another number of joints is no input of this policy."""
    artifact, blobs = published(tmp_path)
    policy = load_policy(artifact.manifest, blobs, device="cpu")
    with pytest.raises(ProbeFailed, match="camera"):
        policy.infer(observation(side=32))
    with pytest.raises(ProbeFailed, match="proprioception"):
        policy.infer(Observation(images=observation().images, state=np.zeros(3, dtype=np.float32)))


def test_round_trip_keeps_every_bit(tmp_path: Path):
    """The directory read back gives the published tensors, and the manifest survives its JSON."""
    artifact, _ = published(tmp_path)
    manifest, network = read_policy_directory(tmp_path)

    assert manifest == artifact.manifest
    assert decode_policy_manifest(encode_policy_manifest(manifest)) == manifest
    again = build_artifact(
        network, network.blob_state("head"), run_id=None, parent_id=None, step=0, trained_ns=manifest.trained_ns
    )
    assert again.manifest == manifest
    assert again.blobs == artifact.blobs


def test_a_publish_changes_the_head_alone():
    """Two versions share the backbone's blob, and the same weights published twice have the same id."""
    trainer = make_trainer()
    first = trainer.artifact(run_id="r", parent_id=None)
    same = trainer.artifact(run_id="r", parent_id=None)
    trainer.step()
    second = trainer.artifact(run_id="r", parent_id=None)

    assert same.manifest.version_id == first.manifest.version_id != second.manifest.version_id
    assert len(set(first.blobs) & set(second.blobs)) == 1


def test_mismatching_artifacts_are_refused(tmp_path: Path):
    """Another width in the config, a changed byte, a missing blob, an unknown architecture: each a typed error."""
    artifact, blobs = published(tmp_path)
    manifest = artifact.manifest

    wide = msgspec.structs.replace(manifest, config=manifest.config | {"width": 48})
    with pytest.raises(ArtifactMismatch, match="tensor"):
        load_policy(wide, blobs, device="cpu")
    with pytest.raises(ArtifactMismatch, match="config"):
        load_policy(msgspec.structs.replace(manifest, config={"depth": 4}), blobs, device="cpu")
    with pytest.raises(ArtifactMismatch, match="not there"):
        load_policy(manifest, {}, device="cpu")
    with pytest.raises(UnknownArchitecture):
        load_policy(msgspec.structs.replace(manifest, architecture="rnn"), blobs, device="cpu")
    path = blobs[manifest.blobs[1].sha256]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ArtifactMismatch, match="hash"):
        load_policy(manifest, blobs, device="cpu")


def test_file_that_differs_from_its_truthful_manifest_is_refused(tmp_path: Path):
    """A head of another network with right size and hash but other tensors does not load."""
    wide = make_network()
    artifact, blobs = published(tmp_path)
    backbone, head = artifact.manifest.blobs
    swapped = msgspec.structs.replace(artifact.manifest, blobs=(msgspec.structs.replace(head, name="backbone"), head))
    assert wide.architecture in architectures()
    with pytest.raises(ArtifactMismatch, match="tensor"):
        load_policy(swapped, blobs, device="cpu")
    assert backbone.name == "backbone"


def test_robots_import_nothing_but_the_small_set():
    """`learner.policies.registry` loads in a process without Django, Celery, PyAV and pyarrow."""
    code = (
        "import sys\n"
        "for name in ('django', 'celery', 'channels', 'av', 'pyarrow', 'tqdm'): sys.modules[name] = None\n"
        "from learner.policies.registry import architectures, load_policy\n"
        "print(architectures())\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "flow_vla.v1" in result.stdout
