"""Publishing: content addressed, atomic, repeatable; what robots report of versions."""

from __future__ import annotations

import hashlib
import io
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from fleet.clock import to_ns
from fleet.errors import NotFound, RunFenced
from fleet.models import PolicyDeployment, PolicyVersion, Robot
from fleet.protocol.errors import ArtifactMismatch
from fleet.protocol.patch import apply_patch
from fleet.protocol.policy import BlobRef, TensorSpec
from fleet.selectors.latency import version_spans
from fleet.selectors.robot import desired_state
from fleet.selectors.robot_card import robot_cards
from fleet.services.policy import policy_version_applied, policy_version_publish, policy_version_refused
from fleet.services.robot_hello import Arrival, robots_hello
from fleet.storage import keys
from fleet.storage.local import LocalStore
from tests.fleet import builders

pytestmark = pytest.mark.django_db


def _publish(run: Any, manifest: bytes, blobs: dict[str, bytes], **more: Any) -> PolicyVersion:
    return policy_version_publish(run_id=str(run.id), manifest_bytes=manifest, blobs=blobs, **more)


def test_versions_are_numbered_stored_and_become_the_target(objects: LocalStore) -> None:
    run, robot = builders.running_run(), builders.enrol().robot
    base, second = builders.policy(), builders.policy(run.id, step=25, value=1.0)
    before = desired_state(robot_id=str(robot.id)).revision
    assert [_publish(run, *base).number, _publish(run, *second, epoch=1).number] == [0, 1]
    state = desired_state(robot_id=str(robot.id))
    assert state.policy is not None and state.policy.number == 1 and state.revision == before + 2
    for sha256, data in second[1].items():
        assert objects.get(keys.policy_blob(sha256)) == data
    assert objects.get(keys.policy_manifest(state.policy.manifest_sha256)) == second[0]
    assert PolicyDeployment.objects.count() == 2


def test_publishing_the_same_version_again_returns_it(objects: LocalStore) -> None:
    run, version_id = builders.running_run(), str(uuid.uuid4())
    first = _publish(run, *builders.policy(run.id, version_id=version_id, step=5))
    again = _publish(run, *builders.policy(run.id, version_id=version_id, step=5))  # another trained_ns
    assert (again.id, again.number, PolicyVersion.objects.count()) == (first.id, 0, 1)
    with pytest.raises(ArtifactMismatch):
        _publish(run, *builders.policy(run.id, version_id=version_id, step=5, value=2.0))


def _other_blob(manifest: bytes, blobs: dict[str, bytes]) -> tuple[bytes, dict[str, bytes]]:
    return manifest, {sha256: data + b"x" for sha256, data in blobs.items()}


BAD = {
    "changed blob": _other_blob,
    "missing blob": lambda manifest, blobs: (manifest, {}),
    "extra blob": lambda manifest, blobs: (manifest, {**blobs, "0" * 64: b""}),
    "no json": lambda manifest, blobs: (b"{", blobs),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_artifact_is_refused_and_nothing_changes(objects: LocalStore, case: str) -> None:
    run, robot = builders.running_run(), builders.enrol().robot
    before = desired_state(robot_id=str(robot.id))
    with pytest.raises(ArtifactMismatch):
        _publish(run, *BAD[case](*builders.policy(run.id)))
    assert PolicyVersion.objects.count() == 0
    assert desired_state(robot_id=str(robot.id)) == before
    assert list(objects.list("policies/")) == []


def test_old_epoch_publishes_nothing(objects: LocalStore) -> None:
    run = builders.running_run()
    with pytest.raises(RunFenced):
        _publish(run, *builders.policy(run.id), epoch=run.epoch - 1)
    assert PolicyVersion.objects.count() == 0


def test_applied_is_noted_once_and_staleness_follows(objects: LocalStore) -> None:
    run, robot = builders.running_run(), builders.enrol().robot
    first = _publish(run, *builders.policy(run.id))
    report = {"robot_id": str(robot.id), "version_id": str(first.id), "fetched_bytes": 10}
    policy_version_applied(**report, fetched_ns=10**18, applied_ns=10**18 + 5000)
    policy_version_applied(**report, fetched_ns=2 * 10**18, applied_ns=2 * 10**18)
    row = PolicyDeployment.objects.get()
    assert (row.applied_at - row.fetched_at).microseconds == 5  # type: ignore[operator]
    assert Robot.objects.get().policy_version_id == first.id
    _publish(run, *builders.policy(run.id, step=25))
    card = robot_cards()[0]
    assert (card.policy_number, card.versions_behind) == (0, 1)
    assert card.seconds_behind is not None and card.seconds_behind > 0
    assert card.policy_run == ""


def test_a_version_of_another_run_than_the_newest_is_named_with_its_run(objects: LocalStore) -> None:
    """Its number alone would be taken for one of the run that publishes now, and it is behind nothing of that."""
    old, robot = builders.running_run(), builders.enrol().robot
    first = _publish(old, *builders.policy(old.id))
    report = {"robot_id": str(robot.id), "version_id": str(first.id), "fetched_bytes": 10}
    policy_version_applied(**report, fetched_ns=10**18, applied_ns=10**18 + 5000)
    new = builders.running_run()
    _publish(new, *builders.policy(new.id))
    card = robot_cards()[0]
    assert (card.policy_number, card.policy_run, card.versions_behind) == (0, old.name, None)


def test_hello_counts_a_version_whose_report_was_lost(objects: LocalStore) -> None:
    """Without times of its own it enters no latency, and a report that comes after all brings the real ones."""
    run, robot = builders.running_run(), builders.enrol().robot
    version = _publish(run, *builders.policy(run.id))
    policy_version_refused(robot_id=str(robot.id), version_id=str(version.id), code="probe_failed", message="")
    hello = builders.hello(policy_version_id=str(version.id))
    robots_hello(arrivals=[Arrival(str(robot.id), "s", hello)])
    row = PolicyDeployment.objects.get()
    assert row.applied_at is not None and (row.fetched_at, row.refused_code) == (None, "")
    assert version_spans()["published_to_applied"] == []
    fetched_ns = to_ns(version.published_at) + 10**9
    report = {"robot_id": str(robot.id), "version_id": str(version.id), "fetched_bytes": 10}
    policy_version_applied(**report, fetched_ns=fetched_ns, applied_ns=fetched_ns + 10**9)
    robots_hello(arrivals=[Arrival(str(robot.id), "t", hello)])
    assert version_spans()["published_to_applied"] == pytest.approx([2.0], abs=1e-3)


def test_refusal_keeps_its_code_until_applied(objects: LocalStore) -> None:
    run, robot = builders.running_run(), builders.enrol().robot
    version = _publish(run, *builders.policy(run.id))
    names = {"robot_id": str(robot.id), "version_id": str(version.id)}
    policy_version_refused(**names, code="artifact_mismatch", message="hash")
    assert PolicyDeployment.objects.get().refused_code == "artifact_mismatch"
    assert Robot.objects.get().policy_version_id is None
    policy_version_applied(**names, fetched_ns=1, applied_ns=1, fetched_bytes=0)
    assert PolicyDeployment.objects.get().refused_code == ""


@pytest.mark.parametrize("version_id", ["no uuid", str(uuid.UUID(int=1))])
def test_unknown_version(version_id: str) -> None:
    robot = builders.enrol().robot
    with pytest.raises(NotFound):
        policy_version_refused(robot_id=str(robot.id), version_id=version_id, code="x", message="")


def _large(run: Any, *, step: int, tail: float) -> tuple[bytes, dict[str, bytes]]:
    """A version of 20,000 weights of which the last 1,000 are `tail`."""
    values = np.random.default_rng(0).standard_normal(20_000).astype(np.float32)
    values[-1000:] = tail
    data = save({"weight": values})
    sha256 = hashlib.sha256(data).hexdigest()
    spec = TensorSpec(dtype="F32", shape=(20_000,))
    blob = BlobRef(name="head", size=len(data), sha256=sha256, tensors={"weight": spec})
    return builders.policy(run.id, step=step, blobs=(blob,))[0], {sha256: data}


def test_a_version_comes_with_the_patch_from_the_one_before(objects: LocalStore, tmp_path: Path) -> None:
    run, robot = builders.running_run(), builders.enrol().robot
    first, second = _large(run, step=0, tail=1.0), _large(run, step=25, tail=2.0)
    _publish(run, *first)
    _publish(run, *second)
    target = desired_state(robot_id=str(robot.id)).policy
    assert target is not None
    ((base, base_data),), ((sha256, data),) = first[1].items(), second[1].items()
    patch = target.patches[sha256]
    stored = objects.get(keys.policy_patch(base, sha256))
    assert (patch.base, patch.size, patch.sha256) == (base, len(stored), hashlib.sha256(stored).hexdigest())
    assert len(stored) < 0.1 * len(data)
    (tmp_path / "base").write_bytes(base_data)
    (tmp_path / "patch").write_bytes(stored)
    out = io.BytesIO()
    apply_patch(tmp_path / "base", tmp_path / "patch", out, size=len(data))
    assert out.getvalue() == data
