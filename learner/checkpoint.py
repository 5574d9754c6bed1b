"""The trainer's full state <-> one safetensors file with a JSON header. Never pickle.

Used by the trainer. The state is: trained weights, their EMA, Adam's moments, the generator of flow noise, the
algorithm's own networks; and in JSON: step, numpy generator, sampler windows, what the state belongs to, and the
caller's cursor. The frozen backbone is not in it: a checkpoint belongs to a base policy, named by hash.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import safetensors
import safetensors.torch
from torch import Tensor

from fleet.protocol.errors import PolicyError

_FORMAT = 1
_KEY = "sop"


class CheckpointMismatch(PolicyError):
    """A checkpoint that does not parse, or of another architecture, base policy or algorithm."""

    code = "checkpoint_mismatch"


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a checkpoint belongs to; resuming with anything else is refused."""

    architecture: str
    config: dict[str, Any]
    backbone_sha256: str
    algorithm: str
    seed: int


class CheckpointHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`cursor`: up to which episode the caller had ingested; opaque here. `replay`: `Replay.state()`."""

    format: int = _FORMAT
    identity: Identity
    step: int
    numpy_rng: dict[str, Any]
    sampler: list[list[Any]]
    cursor: int
    replay: dict[str, Any] = {}


def encode_checkpoint(header: CheckpointHeader, tensors: dict[str, Tensor]) -> bytes:
    """Return the state as bytes; equal states give equal bytes."""
    # json rather than msgspec: the state of PCG64 holds integers of 128 bits.
    text = json.dumps(msgspec.structs.asdict(header) | {"identity": msgspec.structs.asdict(header.identity)})
    return safetensors.torch.save({name: tensor.contiguous() for name, tensor in tensors.items()}, {_KEY: text})


def decode_checkpoint(data: bytes) -> tuple[CheckpointHeader, dict[str, Tensor]]:
    """Parse a checkpoint. Raises: CheckpointMismatch."""
    try:
        tensors = safetensors.torch.load(data)
        length = int.from_bytes(data[:8], "little")
        values = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][_KEY])
        identity = Identity(**values.pop("identity"))
        header = CheckpointHeader(identity=identity, **values)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise CheckpointMismatch(f"checkpoint does not parse: {type(error).__name__}") from None
    if header.format != _FORMAT:
        raise CheckpointMismatch(f"checkpoint has format {header.format}, this is {_FORMAT}")
    return header, tensors


def write_checkpoint(path: Path, data: bytes) -> None:
    """Write durably and atomically: a crash leaves the old file or the new one."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
