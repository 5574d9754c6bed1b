"""Ranges cut into what people of a zone call hours, days, weeks and months."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import InvalidRequest
from fleet.selectors.buckets import AUTO_BUCKETS, MAX_BUCKETS, SIZES, buckets_of, widened, zone_named

ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns", "America/Santiago")
EARLIEST, LATEST = datetime(2001, 1, 1), datetime(2039, 1, 1)  # noqa: DTZ001  # hypothesis takes naive ends
times = st.datetimes(min_value=EARLIEST, max_value=LATEST, timezones=st.just(UTC))


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def test_days_of_23_and_25_hours_are_days() -> None:
    """Berlin, over both changes of the clock."""
    for first, last, hours in (
        ("2026-03-28T23:00+00:00", "2026-03-30T22:00+00:00", [23, 24]),
        ("2026-10-24T22:00+00:00", "2026-10-26T23:00+00:00", [25, 24]),
    ):
        edges = buckets_of(start=_at(first), end=_at(last), zone=ZoneInfo("Europe/Berlin"), size="day").edges
        assert [(b - a) / timedelta(hours=1) for a, b in itertools.pairwise(edges)] == hours


def test_hours_begin_with_the_zone_s_clock() -> None:
    """Kathmandu is 5 h 45 min ahead; Lord Howe moves by half an hour."""
    start = _at("2026-04-04T12:00+00:00")
    edges = buckets_of(start=start, end=start + timedelta(hours=3), zone=ZoneInfo("Asia/Kathmandu"), size="hour").edges
    assert [edge.minute for edge in edges] == [0, 15, 15, 15, 0]
    zone = ZoneInfo("Australia/Lord_Howe")
    edges = buckets_of(start=start, end=start + timedelta(hours=6), zone=zone, size="hour").edges
    assert all(edge.astimezone(zone).minute == 0 for edge in edges[1:-1])


def test_midnight_that_the_clock_skips_is_the_moment_of_the_skip() -> None:
    zone = ZoneInfo("America/Santiago")  # 2026-09-06 begins at 01:00
    found = buckets_of(start=_at("2026-09-05T12:00+00:00"), end=_at("2026-09-07T12:00+00:00"), zone=zone, size="day")
    assert [edge.isoformat() for edge in found.edges[1:-1]] == [
        "2026-09-06T04:00:00+00:00",
        "2026-09-07T03:00:00+00:00",
    ]


@given(start=times, span=st.timedeltas(timedelta(seconds=1), timedelta(days=7000)), zone=st.sampled_from(ZONES))
def test_any_range_is_covered_without_gaps_by_few_buckets(start: datetime, span: timedelta, zone: str) -> None:
    first, last = widened(start, start + span)
    found = buckets_of(start=first, end=last, zone=ZoneInfo(zone))
    edges = found.edges
    assert first <= start and start + span <= last and (edges[0], edges[-1]) == (first, last)
    assert all(a < b for a, b in itertools.pairwise(edges)) and len(edges) - 1 <= MAX_BUCKETS
    assert len(edges) - 1 <= AUTO_BUCKETS or found.size == SIZES[-1]
    assert all(edge.minute % 15 == 0 and edge.second == 0 for edge in edges)


def test_bad_ranges_are_refused() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    for start, end in ((now, now), (now, now - timedelta(days=1)), (now, now + timedelta(days=9000))):
        with pytest.raises(InvalidRequest):
            widened(start, end)
    with pytest.raises(InvalidRequest, match="400"):
        buckets_of(start=now, end=now + timedelta(days=90), zone=ZoneInfo("UTC"), size="quarter")
    for name in ("Mars/Olympus", "", "../etc/passwd", "a\0b", "Europe"):
        with pytest.raises(InvalidRequest):
            zone_named(name)
