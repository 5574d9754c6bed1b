"""The ladder of quality: down at once on a bad path, up slowly, and slower after a step up that failed."""

from __future__ import annotations

import pytest

from fleet.daemon.config import MediaConfig
from fleet.daemon.media.adapt import Ladder, levels

CONFIG = MediaConfig()
COUNT = len(levels(CONFIG))
GOOD = {"loss": 0.0, "rtt_s": 0.02, "sent_bps": 1e6, "estimate_bps": None}


class Path:
    """A viewer's path: one report a second."""

    def __init__(self) -> None:
        self.ladder = Ladder(CONFIG, count=COUNT)
        self.now_s = 100.0

    def spend(self, seconds: int, **changes: float | None) -> int:
        """Return the level after so many seconds of equal reports."""
        for _ in range(seconds):
            self.now_s += 1.0
            self.ladder.report(self.now_s, **(GOOD | changes))  # type: ignore[arg-type]
        return self.ladder.index

    def seconds_until(self, index: int) -> int:
        for seconds in range(1, 1000):
            if self.spend(1) == index:
                return seconds
        raise AssertionError(f"level {index} was not reached")


def test_levels_fall_from_the_highest_rate_to_the_lowest_and_give_up_size_before_pictures() -> None:
    ladder = levels(CONFIG)

    assert (ladder[0].bitrate_bps, ladder[0].scale, ladder[0].fps_share) == (2_500_000, 1.0, 1.0)
    assert ladder[-1].bitrate_bps == 250_000
    rates = [level.bitrate_bps for level in ladder]
    assert rates == sorted(rates, reverse=True) and len(set(rates)) == len(rates)
    assert [level.scale for level in ladder] == [1.0, 1.0, 1.0, 0.75, 0.75, 0.5, 0.5, 0.5]
    assert [level.fps_share for level in ladder] == [1.0] * 6 + [0.5] * 2


def test_a_good_path_stays_at_the_best_level() -> None:
    assert Path().spend(100) == 0


@pytest.mark.parametrize(
    "trouble",
    [{"loss": 0.2}, {"rtt_s": 0.3}, {"sent_bps": 1e6, "estimate_bps": 0.5e6}],
    ids=["loss", "round trip", "estimate"],
)
def test_trouble_lowers_the_rate_step_by_step_to_the_lowest(trouble: dict[str, float]) -> None:
    path = Path()
    path.spend(5)

    assert path.spend(2, **trouble) in (1, 2)
    assert path.spend(60, **trouble) == COUNT - 1


def test_one_bad_report_among_good_ones_changes_nothing() -> None:
    path = Path()
    path.spend(10)

    assert path.spend(1, loss=0.12) == 0
    assert path.spend(10) == 0


def test_an_estimate_above_what_is_sent_says_nothing() -> None:
    """A still scene sends little; the receiver's estimate cannot grow far beyond what it sees."""
    assert Path().spend(60, sent_bps=1e5, estimate_bps=2e5) == 0


def test_the_rate_rises_after_a_while_and_later_after_a_rise_that_failed() -> None:
    path = Path()
    path.spend(5)
    while path.ladder.index < 3:
        path.spend(1, rtt_s=0.5)

    first = path.seconds_until(2)
    path.spend(1, rtt_s=0.5)  # too much for the path
    assert path.ladder.index == 3
    second = path.seconds_until(2)

    assert CONFIG.adapt_up_s <= first <= CONFIG.adapt_up_s + 2
    assert 2 * CONFIG.adapt_up_s <= second <= 2 * CONFIG.adapt_up_s + 2
