"""What a robot was calibrated to, as its driver declares it: a small JSON object that goes with every episode.

Nothing here knows what is in it (camera matrices, joint offsets, a date): it is kept word for word, with its hash, so
that episodes of one calibration are told from those of another. Checked on the robot and again on the server.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import msgspec

from fleet.protocol.errors import InvalidManifest

MAX_CALIBRATION_BYTES = 16 * 1024
MAX_CALIBRATION_DEPTH = 8  # of objects and lists within each other


class Calibration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`document`: a JSON object as text, with sorted keys. `sha256`: lower-case hex, of its UTF-8 bytes."""

    document: str
    sha256: str


def calibration_of(values: Mapping[str, Any]) -> Calibration:
    """Return a driver's calibration as it is recorded; equal values give equal documents.

    Raises: InvalidManifest for what JSON cannot hold (NaN, arrays of numpy, ...), or is too large or too deep.
    """
    try:
        document = json.dumps(dict(values), sort_keys=True, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        calibration = Calibration(document=document, sha256=hashlib.sha256(document.encode()).hexdigest())
    except (ValueError, TypeError, RecursionError) as error:
        raise _invalid(f"is no JSON object: {error!s:.200}") from None
    validate_calibration(calibration)
    return calibration


def validate_calibration(calibration: Calibration) -> None:
    """Raises: InvalidManifest unless it is a JSON object within the bounds and of the stated hash."""
    if len(calibration.document) > MAX_CALIBRATION_BYTES:  # before anything is made of it
        raise _invalid(f"has more than {MAX_CALIBRATION_BYTES} bytes")
    try:
        data = calibration.document.encode()
        values = json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise _invalid("is no JSON object") from None
    if len(data) > MAX_CALIBRATION_BYTES:
        raise _invalid(f"has more than {MAX_CALIBRATION_BYTES} bytes")
    if not isinstance(values, dict):
        raise _invalid("is no JSON object")
    if _depth(values) > MAX_CALIBRATION_DEPTH:
        raise _invalid(f"is nested more than {MAX_CALIBRATION_DEPTH} deep")
    if hashlib.sha256(data).hexdigest() != calibration.sha256:
        raise _invalid("differs from its SHA-256")


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _depth(values: Any) -> int:
    depth, level = 0, [values]
    while level:
        nested = [value for value in level if isinstance(value, dict | list)]
        depth += bool(nested)
        level = [inner for value in nested for inner in (value.values() if isinstance(value, dict) else value)]
    return depth


def _invalid(problem: str) -> InvalidManifest:
    return InvalidManifest(f"the calibration {problem}", field="calibration")
