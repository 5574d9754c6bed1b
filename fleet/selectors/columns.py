"""Columns of many rows as NumPy arrays, and percentiles of their groups. For charts of a hundred thousand rows.

The database packs each column into one string of bytes (its binary format, 8 bytes a value), in the same order for all
columns of one answer. An object for each value, or a sort in the database for each percentile, took seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from django.db.models import Aggregate, BinaryField
from numpy.typing import NDArray

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # PostgreSQL's
MISSING = np.iinfo(np.int64).min  # PostgreSQL's -infinity
SECOND_US = 1_000_000
Numbers = NDArray[np.int64]
Values = NDArray[np.float64]


class PackedTimes(Aggregate):
    """A column of times; `numbers` reads it."""

    template = "string_agg(timestamptz_send(COALESCE(%(expressions)s, '-infinity')), ''::bytea)"
    output_field = BinaryField()


class PackedNumbers(Aggregate):
    """A column of whole numbers, 0 where there is none; `numbers` reads it."""

    template = "string_agg(int8send(COALESCE(%(expressions)s, 0)), ''::bytea)"
    output_field = BinaryField()


class PackedIds(Aggregate):
    """A column of UUIDs, none of them null; `ids` reads it."""

    template = "string_agg(uuid_send(%(expressions)s), ''::bytea)"
    output_field = BinaryField()


def numbers(packed: Any) -> Numbers:
    """Return int64 [N]. Times are in microseconds since 2000-01-01 UTC, MISSING where there is none. None: no rows."""
    return np.frombuffer(packed or b"", dtype=">i8").astype(np.int64)


def ids(packed: Any) -> NDArray[np.uint64]:
    """Return uint64 [N, 2], the halves of each UUID."""
    return np.frombuffer(packed or b"", dtype=">u8").astype(np.uint64).reshape(-1, 2)


def microseconds(at: datetime) -> int:
    """Return the time as `numbers` has it."""
    return (at - EPOCH) // timedelta(microseconds=1)


def moment(at_us: int) -> datetime:
    """Return the time that `numbers` has so."""
    return EPOCH + timedelta(microseconds=int(at_us))


@dataclass(frozen=True)
class Groups:
    """Values in G groups, rising within each: group g is values[starts[g] : starts[g + 1]]; starts int64 [G + 1]."""

    values: Values
    starts: Numbers

    @property
    def sizes(self) -> Numbers:
        return np.diff(self.starts)

    def at(self, ranks: Numbers) -> Values:
        """Return of each group the value of this rank, 0 the smallest; NaN where there is none. Shapes: [G]."""
        is_there = (ranks >= 0) & (ranks < self.sizes)
        found = np.full(ranks.shape, np.nan)
        found[is_there] = self.values[(self.starts[:-1] + ranks)[is_there]]
        return found

    def quantile(self, share: float) -> Values:
        """Return of each group the quantile, by linear interpolation between values; NaN of an empty group."""
        places = share * (self.sizes - 1)
        below = np.floor(places).astype(np.int64)
        low, high = self.at(below), self.at(np.minimum(below + 1, self.sizes - 1))
        found: Values = low + (high - low) * (places - below)
        return found


def grouped(values: Values, places: Numbers, count: int) -> tuple[Groups, Groups]:
    """Return all `values` [N] as one group, and in `count` < 65536 groups: `places` [N] says which, from 0."""
    order = np.argsort(values)
    values, short = values[order], places[order].astype(np.uint16)  # 16 bits are sorted by radix, ten times as fast
    order = np.argsort(short, kind="stable")
    whole = Groups(values, np.array([0, len(values)]))
    return whole, Groups(values[order], np.searchsorted(short[order], np.arange(count + 1, dtype=np.uint16)))
