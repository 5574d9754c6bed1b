"""A policy manifest parses strictly."""

import msgspec
import pytest

from fleet.protocol.errors import ArtifactMismatch
from fleet.protocol.policy import (
    BlobRef,
    CameraSpec,
    PolicyManifest,
    TensorSpec,
    decode_policy_manifest,
    encode_policy_manifest,
)
from tests.fleet.protocol.samples import NOW_NS, VERSION_ID

MANIFEST = PolicyManifest(
    version_id=VERSION_ID,
    run_id=None,
    parent_id=None,
    step=25,
    trained_ns=NOW_NS,
    architecture="small_vla",
    config={"width": 256},
    cameras=(CameraSpec(name="front", height=128, width=128),),
    proprio_dim=8,
    action_dim=4,
    horizon=12,
    blobs=(BlobRef(name="head", size=10, sha256="a" * 64, tensors={"w": TensorSpec(dtype="F32", shape=(2,))}),),
)


def test_manifest_survives_json_and_is_canonical() -> None:
    data = encode_policy_manifest(MANIFEST)
    assert decode_policy_manifest(data) == MANIFEST
    assert encode_policy_manifest(decode_policy_manifest(data)) == data
    assert MANIFEST.size_bytes == 10


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 9},
        {"blobs": ()},
        {"horizon": 0},
        {"blobs": (msgspec.structs.replace(MANIFEST.blobs[0], sha256="A" * 64),)},
        {"blobs": (msgspec.structs.replace(MANIFEST.blobs[0], size=0),)},
        {"blobs": (msgspec.structs.replace(MANIFEST.blobs[0], name="../x"),)},
    ],
)
def test_impossible_manifest_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ArtifactMismatch):
        decode_policy_manifest(encode_policy_manifest(msgspec.structs.replace(MANIFEST, **change)))


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff", b'{"schema":1}'])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ArtifactMismatch):
        decode_policy_manifest(data)
