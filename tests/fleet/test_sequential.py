"""The canary's test by simulation: it errs no more often than it says, however often it is looked at, and has power."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fleet.sequential import STAKES, blocks_of, difference_interval, harm_path, log_capital, worth_path

Array = np.ndarray[Any, Any]
TESTS, BLOCKS = 1500, 250


def _differences(candidate: float, current: float, *, per_block: int = 2, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    ours = rng.random((TESTS, BLOCKS)) < candidate
    theirs = (rng.random((TESTS, BLOCKS, per_block)) < current).mean(axis=2)
    return ours - theirs


def _ever(path: Array, level: float) -> float:
    """Return the share of tests whose evidence exceeded 1 / level at any look."""
    return float((path.max(axis=1) >= np.log(1 / level)).mean())


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("level", [0.05, 0.2])
def test_an_equal_candidate_raises_no_more_alarms_than_stated(rate: float, level: float) -> None:
    """Looked at after every block; at rates of 0 and 1 nothing ever differs."""
    share = _ever(harm_path(_differences(rate, rate)), level)
    assert share <= level + 3 * np.sqrt(level / TESTS)
    if rate in (0.0, 1.0):
        assert share == 0.0


@pytest.mark.parametrize(("current", "margin"), [(0.9, 0.1), (0.6, 0.2), (0.2, 0.1)])
def test_a_candidate_worse_by_the_margin_is_not_found_worthy_more_often_than_stated(
    current: float, margin: float
) -> None:
    level = 0.1
    path = worth_path(_differences(current - margin, current, seed=1), margin=margin)
    assert _ever(path, level) <= level + 3 * np.sqrt(level / TESTS)


def test_a_much_worse_candidate_is_found_within_few_episodes() -> None:
    path = harm_path(_differences(0.2, 0.85, seed=2))
    first = (path >= np.log(1 / 0.025)).argmax(axis=1)
    assert (path.max(axis=1) >= np.log(1 / 0.025)).mean() > 0.999
    assert np.median(first) <= 14


def test_a_better_candidate_is_found_worthy() -> None:
    path = worth_path(_differences(0.9, 0.8, seed=3), margin=0.1)
    assert _ever(path, 0.1) > 0.95


def test_another_mix_of_tasks_is_no_difference() -> None:
    """The candidate works at the hard task four times as often; rates are equal. Pooled, it would look far worse."""
    rng = np.random.default_rng(4)
    alarms = pooled = 0
    for _ in range(300):
        blocks, seen = [], {"candidate": [], "current": []}  # type: ignore[var-annotated]
        for rate, ours, theirs in ((0.95, 20, 80), (0.3, 80, 20)):
            candidate, current = rng.random(ours) < rate, rng.random(theirs) < rate
            blocks.append(blocks_of(candidate.tolist(), current.tolist(), per_block=1))
            seen["candidate"] += candidate.tolist()
            seen["current"] += current.tolist()
        alarms += harm_path(np.concatenate(blocks)).max() >= np.log(1 / 0.05)
        pairs = blocks_of(rng.permutation(seen["candidate"]), rng.permutation(seen["current"]), per_block=1)  # type: ignore[arg-type]
        pooled += harm_path(pairs).max() >= np.log(1 / 0.05)
    assert alarms / 300 <= 0.05 + 0.03
    assert pooled / 300 > 0.9


def test_the_interval_covers_the_difference_at_every_look() -> None:
    rng = np.random.default_rng(5)
    missed = 0
    for _ in range(150):
        values = (rng.random(120) < 0.7) - (rng.random(120) < 0.8).astype(float)
        looks = (difference_interval(values[:n], level=0.1) for n in (5, 20, 60, 120))
        missed += any(not look.low <= -0.1 <= look.high for look in looks if look is not None)
    assert missed / 150 <= 0.1
    wide, narrow = difference_interval(values[:10], level=0.1), difference_interval(values, level=0.1)
    assert wide is not None and narrow is not None and narrow.high - narrow.low < wide.high - wide.low
    assert narrow.low <= narrow.estimate <= narrow.high


def test_extreme_rates_and_no_blocks_stay_finite() -> None:
    assert difference_interval(np.empty(0), level=0.05) is None
    for value in (-1.0, 0.0, 1.0):
        found = difference_interval(np.full(50, value), level=0.05)
        assert found is not None and -1 <= found.low <= value <= found.high <= 1
    assert log_capital(np.empty(0)) == pytest.approx(0.0)
    assert np.isfinite(harm_path(np.full(50, 1.0))).all() and STAKES.max() < 1


def test_blocks_pair_one_episode_with_the_mean_of_several() -> None:
    assert blocks_of([1, 0, 1], [1, 0, 1, 1, 0], per_block=2).tolist() == [0.5, -1.0]
    assert blocks_of([], [1.0], per_block=1).tolist() == []
    with pytest.raises(ValueError, match="at least 1"):
        blocks_of([1], [1], per_block=0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        worth_path(np.zeros(3), margin=0.0)
