"""Which of a robot's assignments count at a moment: windows of the week, then priority. Pure; time is passed in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec

from fleet.models import Assignment

MAX_WINDOWS = 20
_CLOCK = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
_Clock = Annotated[str, msgspec.Meta(pattern=_CLOCK)]
_Day = Annotated[int, msgspec.Meta(ge=0, le=6)]
_WEEK_DAYS = 7


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"start": "from"}):
    """Hours of some days, Monday is 0. An `until` that is not after `start` lies on the next day."""

    days: Annotated[tuple[_Day, ...], msgspec.Meta(min_length=1, max_length=_WEEK_DAYS)]
    start: _Clock
    until: _Clock

    def is_open(self, local: datetime) -> bool:
        """Whether the local time lies in [start, until) of one of the days."""
        start, until, now = time.fromisoformat(self.start), time.fromisoformat(self.until), local.time()
        if start < until:
            return local.weekday() in self.days and start <= now < until
        is_evening = local.weekday() in self.days and now >= start
        yesterday = (local - timedelta(days=1)).weekday()
        return is_evening or (yesterday in self.days and now < until)


def windows_of(assignment: Assignment) -> tuple[Window, ...]:
    return msgspec.convert(assignment.windows, type=tuple[Window, ...])


def is_open(assignment: Assignment, *, now: datetime) -> bool:
    """Whether the assignment's windows are open; one without windows always is."""
    windows = windows_of(assignment)
    local = now.astimezone(ZoneInfo(assignment.time_zone))
    return not windows or any(window.is_open(local) for window in windows)


def assignments_active(rows: Iterable[Assignment], *, now: datetime) -> list[Assignment]:
    """Return those of one robot's unended assignments that it works at now, in the order given."""
    counting = [row for row in rows if is_open(row, now=now)]
    highest = max((row.priority for row in counting), default=0)
    return [row for row in counting if row.priority == highest]


def schedule_digest(rows: Sequence[Assignment]) -> str:
    """Return a hash that differs when other assignments are active, or the same with other weights."""
    return hashlib.sha256(",".join(sorted(f"{row.pk}:{row.weight:g}" for row in rows)).encode()).hexdigest()
