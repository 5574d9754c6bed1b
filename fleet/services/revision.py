"""Optimistic locking of rows that people edit: a change counts the row's `revision` up and names the one it read."""

from __future__ import annotations

from typing import Protocol

from fleet.errors import PreconditionFailed


class Revised(Protocol):
    revision: int


def revision_advance(row: Revised, *, expected: int) -> None:
    """Count a locked row's revision up. Raises: PreconditionFailed if somebody was quicker."""
    if row.revision != expected:
        raise PreconditionFailed(f"the row has revision {row.revision} by now, not {expected}")
    row.revision += 1
