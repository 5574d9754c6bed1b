"""Time to target and efficiency from the table of learning curves."""

from __future__ import annotations

from benchmarks.experiments.summary import Row, efficiencies, times_to


def curve(robots: int, *points: tuple[float, int]) -> list[Row]:
    """Points of minutes and successes in 10, two seeds of the same."""
    return [
        {"robots": str(robots), "seed": str(seed), "minutes": str(minutes), "successes": str(successes), "n": "10"}
        for seed in (1, 2)
        for minutes, successes in points
    ]


def test_efficiency_is_time_of_one_over_robots_times_time():
    """One robot takes 16 minutes, four take 5: 16 / 20."""
    rows = curve(1, (0.0, 5), (16.0, 8)) + curve(4, (0.0, 5), (5.0, 8))

    assert times_to(0.8, rows) == {1: (16.0, True), 4: (5.0, True)}
    assert efficiencies(0.8, rows) == {1: "1.00", 4: "0.80"}


def test_a_target_that_was_not_reached_gives_a_bound():
    """One robot is not there after 20 minutes, four after 5: at least 1; eight never arrive: nothing is known."""
    rows = curve(1, (0.0, 5), (20.0, 7)) + curve(4, (0.0, 5), (5.0, 8)) + curve(8, (0.0, 5), (4.0, 7))

    assert efficiencies(0.8, rows) == {1: "-", 4: "> 1.00", 8: "-"}
