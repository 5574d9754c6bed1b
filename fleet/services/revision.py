"""Optimistic locking of rows that people edit: a change counts the row's `revision` up and names the one it read."""

from __future__ import annotations

from typing import Protocol

from fleet.errors import PreconditionFailed


class Revised(Protocol):
    revision: int


def revision_advance(row: Revised, *, expected: int) -> None:
    """Count a locked row's revision up. Raises: PreconditionFailed if somebody was quicker."""
    revision_check(row.revision, expected=expected)
    row.revision += 1


def revision_check(revision: int, *, expected: int) -> None:
    """Compare a locked row's revision with the one that was read. Raises: PreconditionFailed if they differ."""
    if revision != expected:
        raise PreconditionFailed(f"it has revision {revision} by now, not {expected}: read it again")


def version_check(version: str, *, expected: str | None) -> None:
    """Compare the version of a locked row's values (selectors/row_version.py) with the one that was read, if given.

    Raises: PreconditionFailed if they differ.
    """
    if expected is not None and version != expected:
        raise PreconditionFailed("somebody changed it since you read it: read it again")
