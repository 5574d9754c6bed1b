"""Cuts a range of time into buckets that people of a time zone call hours, days, weeks or months. Pure.

Ends lie on whole quarters of an hour, as the sums do (models/rollup.py). Days of 23 or 25 hours are days; an hour that
the clock repeats makes two buckets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from fleet.errors import InvalidRequest

QUARTER = timedelta(minutes=15)
SIZES = ("quarter", "hour", "day", "week", "month")
SHORTEST = {"quarter": QUARTER, "hour": QUARTER, "day": timedelta(hours=22), "week": timedelta(days=6),
            "month": timedelta(days=27)}  # fmt: skip
MAX_BUCKETS = 400
AUTO_BUCKETS = 200
MAX_RANGE = timedelta(days=20 * 366)


@dataclass(frozen=True)
class Buckets:
    """`edges`: rising, at least two; bucket k holds edges[k] <= t < edges[k + 1]. The first and last may be cut."""

    size: str
    edges: tuple[datetime, ...]


def zone_named(name: str) -> ZoneInfo:
    """Return the IANA time zone. Raises: InvalidRequest."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # names with "..", NUL or of folders raise the first two
        raise InvalidRequest(f"there is no time zone '{name[:64]}'", field="tz") from None


def widened(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """Return the range widened to whole quarters of an hour. Raises: InvalidRequest if it is empty or over 20 years."""
    if not start < end:
        raise InvalidRequest("the range is empty: 'from' must lie before 'until'", field="from")
    if end - start > MAX_RANGE:
        raise InvalidRequest("the range is longer than 20 years", field="from")
    return _floor(start), _floor(end + QUARTER - timedelta(microseconds=1))


def buckets_of(*, start: datetime, end: datetime, zone: ZoneInfo, size: str = "auto") -> Buckets:
    """Cut [start, end), which are whole quarters. `size` "auto": the finest with at most 200 buckets.

    Raises: InvalidRequest if the size asked for makes more than 400.
    """
    if size == "auto":
        for candidate in SIZES:
            found = _edges(start, end, zone, candidate, AUTO_BUCKETS)
            if found is not None:
                return Buckets(candidate, found)
        size = SIZES[-1]
    edges = _edges(start, end, zone, size, MAX_BUCKETS)
    if edges is None:
        raise InvalidRequest(
            f"this range has more than {MAX_BUCKETS} buckets of a {size}; choose larger ones", field="by"
        )
    return Buckets(size, edges)


def _edges(start: datetime, end: datetime, zone: ZoneInfo, size: str, most: int) -> tuple[datetime, ...] | None:
    if (end - start) / SHORTEST[size] > (most * 4 if size == "hour" else most + 2):
        return None
    inner = [edge for edge in _boundaries(start, end, zone, size) if start < edge < end]
    edges = (start, *inner, end)
    return edges if len(edges) - 1 <= most else None


def _boundaries(start: datetime, end: datetime, zone: ZoneInfo, size: str) -> Iterator[datetime]:
    if size in ("quarter", "hour"):
        at = start
        while at < end:
            if size == "quarter" or at.astimezone(zone).minute == 0:
                yield at
            at += QUARTER
        return
    day = start.astimezone(zone).date()
    last = end.astimezone(zone).date()
    while day <= last:
        if size == "day" or (size == "week" and day.weekday() == 0) or (size == "month" and day.day == 1):
            # Midnight that the clock skips is the moment of the skip; of two midnights the first counts.
            yield datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
        day += timedelta(days=1)


def _floor(at: datetime) -> datetime:
    at = at.astimezone(UTC)
    return at.replace(minute=at.minute - at.minute % 15, second=0, microsecond=0)
