"""A robot's calibration: kept word for word with its hash, within bounds, or refused."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import numpy as np
import pytest

from fleet.protocol.calibration import MAX_CALIBRATION_BYTES, Calibration, calibration_of, validate_calibration
from fleet.protocol.errors import InvalidManifest
from fleet.protocol.recording import decode_manifest, encode_manifest, validate_manifest
from tests.fleet.protocol.samples import MANIFEST

VALUES = {
    "made_at": "2026-11-26",
    "front": {"focal_px": [610.5, 611], "note": "Würfel"},
    "joint_offsets_rad": [0.01, -0.2],
}


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return {"a": value}


def test_equal_values_have_equal_documents_and_hashes() -> None:
    calibration = calibration_of(VALUES)
    assert calibration == calibration_of(dict(reversed(VALUES.items())))
    assert calibration.sha256 == hashlib.sha256(calibration.document.encode()).hexdigest()
    assert msgspec.json.decode(calibration.document) == VALUES


def test_a_manifest_carries_it_and_one_without_keeps_its_bytes() -> None:
    """A manifest that was written before there were calibrations must keep its hash."""
    assert b"calibration" not in encode_manifest(MANIFEST)
    calibrated = msgspec.structs.replace(MANIFEST, calibration=calibration_of(VALUES))
    assert decode_manifest(encode_manifest(calibrated)) == calibrated


@pytest.mark.parametrize(
    "values",
    [
        {"a": float("nan")},
        {"a": np.zeros(3)},
        {"a": b"x"},
        {"a": "\ud800"},
        {"a": "x" * MAX_CALIBRATION_BYTES},
        _nested(8),
    ],
    ids=["NaN", "numpy", "bytes", "no Unicode", "too large", "too deep"],
)
def test_what_a_driver_may_not_declare(values: dict[str, Any]) -> None:
    with pytest.raises(InvalidManifest) as caught:
        calibration_of(values)
    assert caught.value.data["field"] == "calibration"


def test_the_bounds_themselves_pass() -> None:
    calibration_of({"a": "x" * (MAX_CALIBRATION_BYTES - 8)})
    calibration_of(_nested(7))


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        "null",
        "{",
        '{"a": NaN}',
        '{"a": 1e999999}' * 2,
        "[" * 16_000,
        '{"a":' * 3_000,
        "ü" * 10_000,
        " " * 10**6,
    ],
)
def test_a_document_that_is_none_is_refused(document: str) -> None:
    calibration = Calibration(document=document, sha256=hashlib.sha256(document.encode()).hexdigest())
    with pytest.raises(InvalidManifest):
        validate_calibration(calibration)
    with pytest.raises(InvalidManifest):
        validate_manifest(msgspec.structs.replace(MANIFEST, calibration=calibration))


def test_another_hash_is_refused() -> None:
    with pytest.raises(InvalidManifest):
        validate_calibration(msgspec.structs.replace(calibration_of(VALUES), sha256="0" * 64))
