"""What the charts show, computed from sums of episode rows: every measure with its definition, n and interval.

Definitions: design/paper.md 6; in words for people: docs/metrics.md. Hours are robot-hours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

from fleet.selectors.statistics import Interval, poisson_rate, ratio_of_sums, wilson

HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Sums:
    """See models/rollup.py."""

    episodes: int = 0
    successes: int = 0
    failures: int = 0
    timeouts: int = 0
    aborted: int = 0
    frames: int = 0
    human_frames: int = 0
    interventions: int = 0
    duration_ms: int = 0
    reset_ms: int = 0
    human_ms: int = 0
    frames_squared: int = 0
    human_frames_squared: int = 0
    frames_human_frames: int = 0
    success_human_frames: int = 0

    @property
    def terminated(self) -> int:
        return self.episodes - self.aborted

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(getattr(self, name) + getattr(other, name) for name in SUM_NAMES))


SUM_NAMES = tuple(field.name for field in fields(Sums))


@dataclass(frozen=True)
class Split:
    """The sums of episodes that nobody helped in, and of those in which a human drove at least one step."""

    autonomous: Sums = Sums()
    assisted: Sums = Sums()

    @property
    def all(self) -> Sums:
        return self.autonomous + self.assisted


@dataclass(frozen=True)
class Crew:
    """M people (or the scripted supervisor) who drove, at least 1, and N robots that worked, over the whole range."""

    operators: int = 1
    robots: int = 1


@dataclass(frozen=True)
class Estimate:
    """`n`: what `Measure.n_of` counts. `events` of `exposure` make the value; hours or episodes or frames."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    events: float
    exposure: float


@dataclass(frozen=True)
class Measure:
    """`unit`: share (in [0, 1]), per_hour, s, or index (a bare number). `is_higher_better`: None for neither."""

    name: str
    title: str
    unit: str
    n_of: str
    definition: str
    interval: str
    is_higher_better: bool | None
    of: Callable[[Split, Crew], Estimate]


def _rate(wins: int, n: int) -> Estimate:
    if n == 0:
        return Estimate(None, None, None, 0, 0, 0)
    found = wilson(successes=wins, n=n)
    return Estimate(found.rate, found.low, found.high, n, wins, n)


def _per_hour(events: int, exposure_ms: int) -> Estimate:
    hours = max(0, exposure_ms) / HOUR_MS
    found = poisson_rate(events=events, exposure=hours)
    return Estimate(found.value, found.low, found.high, events, events, hours)


def _between(split: Split, _: Crew) -> Estimate:
    """Hours a takeover, upside down: no takeover has no mean, but at least the lower end of the interval."""
    events, seconds = split.all.interventions, split.all.duration_ms / 1000
    rate = poisson_rate(events=events, exposure=seconds)
    if rate.high is None:
        return Estimate(None, None, None, events, events, seconds)
    mean, longest = (1 / rate.value, 1 / rate.low) if rate.value and rate.low else (None, None)
    return Estimate(mean, 1 / rate.high, longest, events, events, seconds)


def _human_share(split: Split, _: Crew) -> Estimate:
    sums = split.all
    found = ratio_of_sums(
        y=sums.human_frames,
        x=sums.frames,
        yy=sums.human_frames_squared,
        xx=sums.frames_squared,
        xy=sums.frames_human_frames,
        n=sums.episodes,
    )
    if sums.human_frames == 0 and sums.episodes:  # nothing varies: as many episodes without help say this much
        found = Interval(0.0, 0.0, wilson(successes=0, n=sums.episodes).high)
    high = min(1.0, found.high) if found.high is not None else None
    return Estimate(found.value, found.low, high, sums.episodes, sums.human_frames, sums.frames)


def _rohe(split: Split, crew: Crew) -> Estimate:
    """The 1 in the denominator is one step that no episode took; the interval leaves it out."""
    sums, scale = split.all, crew.operators / crew.robots
    if sums.episodes == 0:
        return Estimate(None, None, None, 0, 0, 0)
    value = scale * sums.successes / (1 + sums.human_frames)
    found = ratio_of_sums(
        y=sums.successes,
        x=sums.human_frames,
        yy=sums.successes,
        xx=sums.human_frames_squared,
        xy=sums.success_human_frames,
        n=sums.episodes,
    )
    low, high = (scale * end if end is not None else None for end in (found.low, found.high))
    return Estimate(value, low, high, sums.episodes, sums.successes, 1 + sums.human_frames)


_WILSON = "95 % Wilson score interval."
_POISSON = "95 % exact Poisson interval (Garwood, gamma quantiles)."
_RATIO = "95 % interval of the linearised ratio estimator, with episodes as the units."
_TERMINATED = "terminated episodes"
_COUNTS = "Terminated: success, failure or timeout; aborted episodes do not count."

_ALL = (
    Measure(
        "success", "Success rate", "share", _TERMINATED,
        f"Successes divided by terminated episodes, with and without help. {_COUNTS}", _WILSON, True,
        lambda split, _: _rate(split.all.successes, split.all.terminated),
    ),
    Measure(
        "unaided", "Unaided success", "share", _TERMINATED,
        "Successes without any human step divided by all terminated episodes: what the policy does alone, with each "
        f"helped episode counted as not done. {_COUNTS}", _WILSON, True,
        lambda split, _: _rate(split.autonomous.successes, split.all.terminated),
    ),
    Measure(
        "autonomous", "Success of autonomous episodes", "share", _TERMINATED,
        f"Successes divided by terminated episodes, of those without any human step. {_COUNTS}", _WILSON, True,
        lambda split, _: _rate(split.autonomous.successes, split.autonomous.terminated),
    ),
    Measure(
        "assisted", "Success of assisted episodes", "share", _TERMINATED,
        f"Successes divided by terminated episodes, of those in which a human drove at least one step. {_COUNTS}",
        _WILSON, True,
        lambda split, _: _rate(split.assisted.successes, split.assisted.terminated),
    ),
    Measure(
        "throughput_sop", "Throughput (SOP)", "per_hour", _TERMINATED,
        "Terminated episodes per robot-hour of episode time; the time between episodes (reset) is left out.",
        _POISSON, True,
        lambda split, _: _per_hour(split.all.terminated, split.all.duration_ms),
    ),
    Measure(
        "throughput_recap", "Throughput (RECAP)", "per_hour", "successes",
        "Successes per robot-hour in which the policy drove; reset and human driving are left out.", _POISSON, True,
        lambda split, _: _per_hour(split.all.successes, split.all.duration_ms - split.all.human_ms),
    ),
    Measure(
        "throughput_total", "Throughput, all time included", "per_hour", "successes",
        "Successes per robot-hour of episodes and resets, human driving included.", _POISSON, True,
        lambda split, _: _per_hour(split.all.successes, split.all.duration_ms + split.all.reset_ms),
    ),
    Measure(
        "human_share", "Intervention rate", "share", "episodes",
        "Frames driven by a person or the scripted supervisor, divided by all frames.", _RATIO, False, _human_share,
    ),
    Measure(
        "interventions", "Interventions per robot-hour", "per_hour", "interventions",
        "Takeovers from the policy per robot-hour of episode time; who takes over from another person adds none.",
        _POISSON, False,
        lambda split, _: _per_hour(split.all.interventions, split.all.duration_ms),
    ),
    Measure(
        "time_between", "Mean time between interventions", "s", "interventions",
        "Robot-time of episodes divided by takeovers.", f"{_POISSON} Its ends turned over.", True, _between,
    ),
    Measure(
        "rohe", "Return on human effort (ROHE)", "index", "episodes",
        "M/N times successes divided by (1 + frames that a human drove): M people who drove and N robots that worked "
        "in the range, the return 1 for a success (Fleet-DAgger).", _RATIO, True, _rohe,
    ),
)  # fmt: skip
MEASURES: Mapping[str, Measure] = {measure.name: measure for measure in _ALL}
