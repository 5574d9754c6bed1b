"""Intervals against published or independently computed values, and what must hold for any numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.selectors.statistics import (
    event_difference,
    poisson_rate,
    probability_best,
    ratio_of_sums,
    success_difference,
    wilson,
)

groups = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(
    ("events", "low", "high"),
    [(0, 0.0, 3.6889), (1, 0.0253, 5.5716), (5, 1.6235, 11.6683), (10, 4.7954, 18.3904), (100, 81.3639, 121.6269)],
)
def test_poisson_limits_are_those_of_the_tables(events: int, low: float, high: float) -> None:
    """Garwood's limits for a count, as printed in any table of them."""
    found = poisson_rate(events=events, exposure=2.0)
    assert found.value == events / 2
    assert (found.low, found.high) == (pytest.approx(low / 2, abs=1e-3), pytest.approx(high / 2, abs=1e-3))


def test_without_exposure_nothing_is_known() -> None:
    assert poisson_rate(events=0, exposure=0).value is None
    with pytest.raises(ValueError):
        poisson_rate(events=-1, exposure=1)


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((10, 10), (0, 10), 0.6075, 1.0),
        ((0, 10), (0, 10), -0.2775, 0.2775),
    ],
)
def test_newcombe_gives_what_newcombe_printed(
    first: tuple[int, int], second: tuple[int, int], low: float, high: float
) -> None:
    """Newcombe (1998), table II, method 10."""
    found = success_difference(first=[first], second=[second])
    assert found is not None
    assert (found.low, found.high) == (pytest.approx(low, abs=6e-4), pytest.approx(high, abs=6e-4))


def test_a_mix_of_tasks_fools_nobody() -> None:
    """Simpson: the first is better at both tasks and worse overall, because it worked at the hard one."""
    first, second = [(9, 10), (45, 90)], [(72, 90), (4, 10)]
    found = success_difference(first=first, second=second)
    pooled = success_difference(first=[(54, 100)], second=[(76, 100)])
    assert found is not None and pooled is not None
    assert (found.value, found.strata) == (pytest.approx(0.1), 2)
    assert pooled.value < -0.2 and pooled.confidence < 0.01 < 0.8 < found.confidence


def test_tasks_of_one_side_alone_say_nothing() -> None:
    assert success_difference(first=[(3, 5), (0, 0)], second=[(0, 0), (2, 9)]) is None
    assert event_difference(first=[(3, 0.0)], second=[(1, 2.0)]) is None
    found = success_difference(first=[(3, 5), (1, 4)], second=[(0, 0), (2, 9)])
    assert found is not None and found.strata == 1


@given(first=groups, second=groups)
def test_comparing_the_other_way_round_turns_everything_over(first: tuple[int, int], second: tuple[int, int]) -> None:
    one = success_difference(first=[first], second=[second])
    other = success_difference(first=[second], second=[first])
    assert one is not None and other is not None
    assert -1 - 1e-9 <= one.low <= one.value <= one.high <= 1 + 1e-9
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))
    assert one.confidence == pytest.approx(1 - other.confidence)


def test_a_difference_of_events_by_time() -> None:
    """20 in 10 h against 5 in 10 h: the confidence is that of the conditional test's normal approximation."""
    found = event_difference(first=[(20, 10.0)], second=[(5, 10.0)])
    assert found is not None
    assert found.value == pytest.approx(1.5) and 0 < found.low < 1.5 < found.high
    assert found.confidence == pytest.approx(0.5 * (1 + math.erf(7.5 / math.sqrt(6.25) / math.sqrt(2))))


def test_the_ratio_of_sums_equals_the_textbook_on_the_episodes_themselves() -> None:
    y, x = np.array([3, 0, 10, 5, 0]), np.array([40, 30, 80, 50, 60])
    found = ratio_of_sums(
        y=int(y.sum()), x=int(x.sum()), yy=int(y @ y), xx=int(x @ x), xy=int(x @ y), n=len(x)
    )  # fmt: skip
    ratio = y.sum() / x.sum()
    error = np.std(y - ratio * x, ddof=0) * math.sqrt(len(x) / (len(x) - 1) * len(x)) / x.sum()
    assert found.value == pytest.approx(ratio)
    assert found.high == pytest.approx(ratio + 1.959964 * error)
    assert ratio_of_sums(y=1, x=5, yy=1, xx=25, xy=5, n=1).high is None


def test_probability_of_being_best() -> None:
    """Two alike share it; against a simulation of the same posteriors it agrees; no version needs no answer."""
    assert probability_best([(8, 10), (8, 10)]) == pytest.approx([0.5, 0.5])
    assert probability_best([]) == [] and probability_best([(3, 4)]) == pytest.approx([1.0])
    counts = [(40, 50), (30, 50), (9, 10), (0, 30)]
    draws = np.random.default_rng(1).beta(
        [wins + 0.5 for wins, _ in counts], [n - wins + 0.5 for wins, n in counts], size=(400_000, 4)
    )
    simulated = np.bincount(draws.argmax(axis=1), minlength=4) / len(draws)
    assert probability_best(counts) == pytest.approx(list(simulated), abs=5e-3)


@given(st.lists(groups, min_size=1, max_size=8))
def test_chances_add_up_to_one(found: list[tuple[int, int]]) -> None:
    chances = probability_best(found)
    assert sum(chances) == pytest.approx(1) and all(0 <= chance <= 1 + 1e-9 for chance in chances)


def test_wilson_is_what_success_shows() -> None:
    assert wilson(successes=8, n=10).low == pytest.approx(0.4902, abs=1e-4)
