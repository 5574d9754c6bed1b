"""Columns read back what the rows hold, and percentiles of groups are those of each group by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.models import Lease
from fleet.selectors.columns import (
    EPOCH,
    MISSING,
    PackedIds,
    PackedNumbers,
    PackedTimes,
    grouped,
    ids,
    microseconds,
    moment,
    numbers,
)
from tests.fleet import builders

BEFORE = datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)  # the epoch of the columns, less a microsecond
AFTER = datetime(2026, 3, 29, 1, 30, 0, 1, tzinfo=UTC)


@given(pairs=st.lists(st.tuples(st.floats(-1e6, 1e6), st.integers(0, 4))), share=st.sampled_from([0.5, 0.9, 0.99]))
def test_quantiles_of_groups_are_those_of_each_by_itself(pairs: list[tuple[float, int]], share: float) -> None:
    """Also of empty groups, of one value, and of all values together; ranks beyond a group have no value."""
    values, places = (
        np.array([each for each, _ in pairs], dtype=float),
        np.array([each for _, each in pairs], dtype=int),
    )
    whole, groups = grouped(values, places, 5)
    parts = [values[places == place] for place in range(5)]
    assert groups.sizes.tolist() == [len(part) for part in parts]
    wanted = [np.quantile(part, share) if len(part) else np.nan for part in parts]
    np.testing.assert_allclose(groups.quantile(share), wanted, rtol=1e-12, atol=1e-9)
    np.testing.assert_array_equal(
        groups.at(groups.sizes - 1), [part.max(initial=-np.inf) if len(part) else np.nan for part in parts]
    )
    assert np.isnan(groups.at(groups.sizes)).all() and np.isnan(groups.at(groups.sizes * 0 - 1)).all()
    if len(values):
        assert whole.quantile(share) == pytest.approx([np.quantile(values, share)])


def test_times_are_exact_to_the_microsecond() -> None:
    assert [microseconds(at) for at in (EPOCH, BEFORE)] == [0, -1]
    assert [moment(microseconds(at)) for at in (BEFORE, AFTER)] == [BEFORE, AFTER]


@pytest.mark.django_db
def test_columns_hold_what_the_rows_hold(django_user_model: Any) -> None:
    """In one order for all columns of an answer, a time that is null as MISSING; without rows they are empty."""
    bea = django_user_model.objects.create_user("bea")
    rows = [
        Lease.objects.create(
            robot=builders.enrol().robot, epoch=epoch, source="person", user=bea, operator="bea", granted_at=at,
            expires_at=at + timedelta(days=1), released_at=released,
        )
        for epoch, at, released in ((7, BEFORE, AFTER), (2**31 - 1, AFTER, None))
    ]  # fmt: skip
    packed = {"at": PackedTimes("granted_at"), "until": PackedTimes("released_at")}
    packed |= {"epochs": PackedNumbers("epoch"), "robots": PackedIds("robot_id")}
    found = Lease.objects.order_by("granted_at")[:5].aggregate(**packed)
    assert numbers(found["at"]).tolist() == [microseconds(BEFORE), microseconds(AFTER)]
    assert numbers(found["until"]).tolist() == [microseconds(AFTER), MISSING]
    assert numbers(found["epochs"]).tolist() == [7, 2**31 - 1]
    halves = [[row.robot_id.int >> 64, row.robot_id.int & (2**64 - 1)] for row in rows]
    assert ids(found["robots"]).tolist() == halves
    nothing = Lease.objects.filter(operator="nobody").aggregate(**packed)
    assert [len(numbers(nothing[name])) for name in ("at", "epochs")] == [0, 0]
    assert ids(nothing["robots"]).shape == (0, 2)
