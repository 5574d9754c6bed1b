"""How good the video may be on one viewer's path: a ladder of levels, climbed slowly and left fast. Pure.

aiortc honours only the receiver's bandwidth estimate, and clamps it (limits.md 5); this looks at what the receiver
reports about loss, at the round trip, and at the estimate only where it is below what is really sent: a still scene
needs little, and an estimate can not grow beyond what it sees.
"""

from __future__ import annotations

from dataclasses import dataclass

from fleet.daemon.config import MediaConfig

STEP = 0.7  # of the bitrate, from one level to the next
SMALLER_BELOW = ((0.2, 0.5), (0.45, 0.75))  # below this share of the highest bitrate: this share of width and height
SLOWER_BELOW, SLOWER = 0.15, 0.5  # and below this one: half as many pictures a second
ESTIMATE_MARGIN = 0.9
LONGEST_WAIT_S = 60.0
SMOOTHING = 0.3  # weight of the newest report


@dataclass(frozen=True)
class Level:
    """`scale`: of width and height; `fps_share`: of the configured pictures a second."""

    bitrate_bps: int
    scale: float
    fps_share: float


def levels(config: MediaConfig) -> tuple[Level, ...]:
    """Return the ladder, the best level first."""
    ladder = []
    bitrate = float(config.bitrate_max_bps)
    while bitrate > config.bitrate_min_bps * 1.05:
        ladder.append(_level(bitrate, config))
        bitrate *= STEP
    ladder.append(_level(float(config.bitrate_min_bps), config))
    return tuple(ladder)


def _level(bitrate: float, config: MediaConfig) -> Level:
    share = bitrate / config.bitrate_max_bps
    scale = next((scale for below, scale in SMALLER_BELOW if share < below), 1.0)
    return Level(round(bitrate), scale, SLOWER if share < SLOWER_BELOW else 1.0)


class Ladder:
    """One viewer's place on the ladder. 0 is the best level."""

    def __init__(self, config: MediaConfig, *, count: int) -> None:
        self._config = config
        self._last = count - 1
        self.index = 0
        self._loss = 0.0
        self._best_rtt_s: float | None = None
        self._changed_s: float | None = None
        self._good_since_s: float | None = None
        self._wait_s = config.adapt_up_s
        self._rose_s: float | None = None

    def report(
        self, now_s: float, *, loss: float, rtt_s: float | None, sent_bps: float, estimate_bps: float | None
    ) -> None:
        """Take in one receiver report.

        `loss`: share lost since the last one, in [0, 1]; `rtt_s`, `estimate_bps`: None until known; `sent_bps`: over
        the last second.
        """
        self._loss += SMOOTHING * (loss - self._loss)
        if rtt_s is not None:
            self._best_rtt_s = rtt_s if self._best_rtt_s is None else min(self._best_rtt_s, rtt_s)
        if self._is_bad(rtt_s, sent_bps, estimate_bps):
            self._good_since_s = None
            self._down(now_s)
        elif self._loss < self._config.loss_low:
            self._good_since_s = now_s if self._good_since_s is None else self._good_since_s
            self._up(now_s)
        else:
            self._good_since_s = None

    def _is_bad(self, rtt_s: float | None, sent_bps: float, estimate_bps: float | None) -> bool:
        is_slow = rtt_s is not None and self._best_rtt_s is not None
        is_slow = is_slow and rtt_s > self._best_rtt_s + self._config.rtt_rise_s  # type: ignore[operator]
        is_narrow = estimate_bps is not None and estimate_bps < ESTIMATE_MARGIN * sent_bps
        return self._loss > self._config.loss_high or is_slow or is_narrow

    def _down(self, now_s: float) -> None:
        if self.index == self._last or (
            self._changed_s is not None and now_s - self._changed_s < self._config.adapt_down_s
        ):
            return
        if self._rose_s is not None and now_s - self._rose_s < self._wait_s:
            self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)
        self._rose_s = None
        self.index += 1
        self._changed_s = now_s
        self._loss = 0.0  # what was lost at the old rate says nothing about the new one

    def _up(self, now_s: float) -> None:
        assert self._good_since_s is not None
        if self.index == 0 or now_s - self._good_since_s < self._wait_s:
            return
        if self._rose_s is not None:
            self._wait_s = max(self._config.adapt_up_s, self._wait_s / 2)  # the last step up held
        self.index -= 1
        self._rose_s = self._changed_s = self._good_since_s = now_s
