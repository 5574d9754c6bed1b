"""Several processes that train one policy: `torchrun --nproc-per-node N -m learner train ...`, on one host or several.

Every process holds the whole policy, ingests the same episodes and draws the same batch (of N times the configured
rows) with the same generators. It loads and computes its own rows alone; losses and gradients are added up over the
processes. So weights, EMA, optimiser and sampler windows are equal everywhere, and the first process alone writes.
Without torchrun the world has one process, and the same code adds up one part.

Used by `__main__.py` (`join_world`) and the trainer (`World`). Left out: policies too large for one device, processes
that join later.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed
from torch import Tensor

from fleet.protocol.errors import SopError
from learner.config import ConfigError
from learner.device import find_device

TIMEOUT = timedelta(minutes=10)  # of one collective; the first process may be writing a checkpoint or evaluating
_DIGEST_BYTES = 32


class WorldMismatch(SopError):
    """The processes do not start from the same thing."""

    code = "world_mismatch"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The processes of one training. `local_rank` counts the processes of one host."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this process writes checkpoints, policies and metrics."""
        return self.rank == 0

    def own(self, rows: int) -> slice:
        """Return this process's share of `rows` rows, a multiple of the size."""
        share = rows // self.size
        return slice(self.rank * share, (self.rank + 1) * share)

    def gather(self, part_N: Tensor) -> Tensor:
        """Return the equally long vectors of all processes, by rank: [size, N]."""
        if self.size == 1:
            return part_N[None]
        parts = part_N.new_empty(self.size * len(part_N))
        torch.distributed.all_gather_single(parts, part_N.contiguous())
        return parts.view(self.size, -1)

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes; the result is the same bits in each."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])  # one message: heads have many small tensors
        torch.distributed.all_reduce(flat)
        for tensor, part in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def union(self, numbers: set[int]) -> set[int]:
        """Return the numbers that any process has. On the CPU."""
        counts = self.gather(torch.tensor([len(numbers)])).flatten()
        if not bool(counts.any()):
            return set()
        padded = torch.full((int(counts.max()),), -1)
        padded[: len(numbers)] = torch.tensor(sorted(numbers))
        return set(self.gather(padded).flatten().tolist()) - {-1}

    def share(self, data: bytes | None) -> bytes | None:
        """Return the first process's bytes (or None) in every process. On the CPU."""
        if self.size == 1:
            return data
        length = torch.tensor([-1 if data is None else len(data)])
        torch.distributed.broadcast(length, src=0)
        if int(length) < 0:
            return None
        content = torch.empty(int(length), dtype=torch.uint8)
        if self.is_first and data:
            content.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
        torch.distributed.broadcast(content, src=0)
        return content.numpy().tobytes()

    def require_same(self, what: str, values: Sequence[str]) -> None:
        """Compare what the processes start from. Raises: WorldMismatch, in every process."""
        digest = hashlib.sha256("\n".join(values).encode()).digest()
        digests = self.gather(torch.tensor(list(digest), dtype=torch.uint8))
        if bool((digests != digests[0]).any()):
            raise WorldMismatch(f"the {self.size} processes have different {what}")


ALONE = World()


@contextlib.contextmanager
def join_world(device: str, environment: Mapping[str, str] = os.environ) -> Iterator[World]:
    """Join the processes that torchrun started, as its environment variables say; without them be alone.

    Raises: ConfigError if the device is missing, or names one GPU for all processes of a host.
    """
    if "TORCHELASTIC_RUN_ID" not in environment:
        yield ALONE
        return
    world = World(
        rank=int(environment["RANK"]), size=int(environment["WORLD_SIZE"]), local_rank=int(environment["LOCAL_RANK"])
    )
    if ":" in device:
        raise ConfigError(f"device '{device}' is one GPU; under torchrun say 'cuda', and each process takes its own")
    found = find_device(device, local_rank=world.local_rank)
    if found.type == "cuda":
        torch.cuda.set_device(found)
    torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if found.type == "cuda" else "gloo", timeout=TIMEOUT)
    try:
        yield world
    finally:
        torch.distributed.destroy_process_group()
