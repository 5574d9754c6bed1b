"""Intervals and time to target on numbers worked out by hand."""

from __future__ import annotations

import pytest

from benchmarks.experiments.statistics import rising, seed_interval, time_to_target, wilson


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(157, 180, 0.8155, 0.9134), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (0, 0, 0.0, 1.0)],
)
def test_wilson(successes: int, n: int, low: float, high: float):
    """Against the published formula, ends and nothing included."""
    assert wilson(successes, n) == (pytest.approx(low, abs=1e-3), pytest.approx(high, abs=1e-3))


def test_rising_pools_what_falls():
    """A fall is shared among the points around it; what rises stays."""
    assert rising([0.4, 0.8, 0.6, 0.9]) == pytest.approx([0.4, 0.7, 0.7, 0.9])
    assert rising([0.9, 0.6, 0.3]) == pytest.approx([0.6, 0.6, 0.6])


def test_time_to_target_interpolates():
    """Half way between two points when the target is half way between their rates; None when it is not reached."""
    assert time_to_target([0.0, 4.0, 8.0], [0.4, 0.6, 1.0], 0.8) == pytest.approx(6.0)
    assert time_to_target([0.0, 4.0], [0.4, 0.6], 0.8) is None
    assert time_to_target([0.0, 4.0], [0.9, 0.9], 0.8) == 0.0


def test_one_lucky_point_does_not_decide():
    """0.9 between 0.5s is pooled with what follows it: the target is reached later, where the curve stays."""
    assert time_to_target([0, 1, 2, 3, 4], [0.4, 0.9, 0.5, 0.7, 0.9], 0.8) == pytest.approx(3.5)


def test_seed_interval_holds_the_mean():
    """The bootstrap interval of equal rates is that rate; of different ones it lies within them."""
    assert seed_interval([0.8, 0.8, 0.8]) == (pytest.approx(0.8), pytest.approx(0.8))
    low, high = seed_interval([0.7, 0.8, 0.9])
    assert 0.7 - 1e-9 <= low < 0.8 < high <= 0.9 + 1e-9
