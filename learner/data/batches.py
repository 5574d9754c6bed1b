"""The trainer's batches; the next one is drawn and read in the background while the trainer computes. No torch.

    draws, rows = batches.take(step)
    # forward pass; its losses go to the sampler
    batches.look_ahead()
    # backward pass and update, and meanwhile the next batch

What was drawn ahead is taken only if buffers, sampler and generator are still those that it was drawn from; otherwise
it is dropped and drawn again. So the rows, and the generator's state after each batch, are those of drawing when asked,
to the bit, and a checkpoint knows nothing of what is ahead. Whatever goes wrong ahead is met again, and raised, by
`take`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import msgspec
import numpy as np

from fleet.protocol.errors import SopError
from learner.data.replay import Agree, BufferEmpty, Draw, Look, Replay, Rows
from learner.data.sampler import AdaptiveSampler


class BuffersEmpty(SopError):
    """No buffer holds a readable frame that carries loss: there is nothing to learn from until episodes come."""

    code = "buffers_empty"


class _Ahead(msgspec.Struct, frozen=True):
    """A batch, the generator after drawing it, and which buffers it was drawn from (`Replay.changes`)."""

    look: Look
    rng: np.random.Generator
    changes: int


class Batches:
    """See the module. Used from one thread, which changes the sampler nowhere but before `look_ahead`."""

    def __init__(
        self, replay: Replay, sampler: AdaptiveSampler, *, rows: int, own: slice, agree: Agree, seed: int
    ) -> None:
        """`rows` a batch, over all processes; `own`: those that are read here; `agree`: as `Replay.take`."""
        self._replay = replay
        self._sampler = sampler
        self._count = rows
        self._own = own
        self._agree = agree
        self.rng = np.random.default_rng(seed)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batch-ahead")  # ends with this object
        self._pending: Future[_Ahead] | None = None

    def take(self, step: int) -> tuple[Sequence[Draw], Rows]:
        """Return the batch of the learner's step. A buffer unreadable to its last episode is drawn from no more.

        Raises: BuffersEmpty; OSError, StorageError if the source does not answer.
        """
        ahead = self._joined()
        self._replay.advance(step)
        if ahead is None or ahead.changes != self._replay.changes:
            look = self._look(self.rng)
        else:
            look, self.rng = ahead.look, ahead.rng
        while True:
            try:
                return look.draws, self._replay.take(look, self.rng, agree=self._agree)
            except BufferEmpty:  # at most once a buffer
                look = self._look(self.rng)

    def look_ahead(self) -> None:
        """Draw and read the next batch in the background."""
        self._pending = self._thread.submit(self._look_ahead)

    def load_state(self, rng: dict[str, Any]) -> None:
        """Take over a generator's state. Call it before the sampler's windows are replaced."""
        self._joined()
        self.rng.bit_generator.state = rng

    def _joined(self) -> _Ahead | None:
        """Wait for what is ahead; None if nothing is, or if it failed."""
        pending, self._pending = self._pending, None
        return None if pending is None or pending.exception() is not None else pending.result()

    def _look_ahead(self) -> _Ahead:
        changes, rng = self._replay.changes, copy.deepcopy(self.rng)
        return _Ahead(self._look(rng), rng, changes)

    def _look(self, rng: np.random.Generator) -> Look:
        sizes = self._replay.sizes()
        if not sizes:
            raise BuffersEmpty("there is no frame to learn from")
        return self._replay.look(self._sampler.draw(sizes, self._count, rng), rng, own=self._own)
