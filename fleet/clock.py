"""Conversions between the wire's Unix times and the rows' datetimes, exact to the microsecond."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def from_ns(ns: int) -> datetime:
    """Return the UTC time. Raises: OverflowError beyond the year 9999."""
    return _EPOCH + timedelta(microseconds=ns // 1000)


def to_ns(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000


def to_ms(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)
