"""Tensors <-> safetensors bytes, addressed by SHA-256. Used by the registry (load) and the publisher (save)."""

from __future__ import annotations

from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from fleet.protocol.errors import ArtifactMismatch
from fleet.protocol.policy import BlobRef, TensorSpec
from fleet.protocol.recording import sha256_of_file
from learner.policies.base import tensor_specs_of


def encode_blob(state: dict[str, Tensor]) -> bytes:
    """Return tensors as one safetensors file; equal tensors give equal bytes."""
    return safetensors.torch.save({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()})


def read_blob(path: Path, ref: BlobRef, wanted: dict[str, TensorSpec]) -> dict[str, Tensor]:
    """Read and check a blob.

    `wanted`: what the network holds; the manifest and the file must both agree with it.
    Raises: ArtifactMismatch if size, hash, or any tensor's name, type or shape differ, or the file does not parse.
    """
    _compare(ref.name, ref.tensors, wanted, "manifest")
    if sha256_of_file(path) != (ref.size, ref.sha256):
        raise ArtifactMismatch(f"blob '{ref.name}' differs from its size or hash", blob=ref.name)
    try:
        state = safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, ValueError) as error:
        raise ArtifactMismatch(f"blob '{ref.name}' does not parse: {error}", blob=ref.name) from None
    try:
        _compare(ref.name, tensor_specs_of(state), wanted, "file")
    except KeyError as error:
        raise ArtifactMismatch(f"blob '{ref.name}' holds a tensor of type {error}", blob=ref.name) from None
    return state


def _compare(blob: str, found: dict[str, TensorSpec], wanted: dict[str, TensorSpec], where: str) -> None:
    for name in sorted(set(found) | set(wanted)):
        if found.get(name) != wanted.get(name):
            raise ArtifactMismatch(
                f"tensor '{name}' of '{blob}' in the {where} is {found.get(name)}, the network has {wanted.get(name)}",
                blob=blob,
                tensor=name,
            )
