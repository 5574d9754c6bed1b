"""Whose last sign of life is too old, in one place: for the sweeps that take up the work of who died.

Times are wall clocks', and a wall clock may be set back. A sign of life from a time that has not come yet says nothing
about now, so it counts as none; else nobody would miss a holder that died before the clock was set right.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

# Clocks of several hosts may differ by seconds; a sign of life further ahead than this is of a clock that was wrong.
CLOCK_SLACK = timedelta(seconds=60)


def silent_since(field: str, before: datetime) -> Q:
    """Return the rows whose `field` lies before `before`, or in the future; never those where it is null."""
    return Q((f"{field}__lt", before)) | Q((f"{field}__gt", timezone.now() + CLOCK_SLACK))


def is_silent(seen_at: datetime | None, before: datetime) -> bool:
    """The same of one time; None is no sign of life, and so nothing to miss."""
    return seen_at is not None and (seen_at < before or seen_at > timezone.now() + CLOCK_SLACK)
