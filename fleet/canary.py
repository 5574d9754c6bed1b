"""What a canary's episodes say: promote the candidate, roll it back, go on, or ask a person. Pure.

`selectors/canary.py` brings the episodes, `services/rollout_judge.py` acts on the answer. The statistics are in
`sequential.py`; here are the two measures, the limits and the words. docs/rollout.md explains each number.
"""

from __future__ import annotations

import enum
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from fleet.errors import InvalidRequest
from fleet.sequential import Interval, blocks_of, difference_interval, harm_path, worth_path

MEASURES = ("success", "intervention")
MAX_PER_BLOCK = 5  # more episodes of the current version to one of the candidate's sharpen little
MAX_ARM_EPISODES = 20_000
MAX_TAG = 64


class Verdict(enum.StrEnum):
    CONTINUE = "continue"
    PROMOTE = "promote"
    ROLL_BACK = "roll_back"
    PAUSE = "pause"


@dataclass(frozen=True, kw_only=True)
class CanarySettings:
    """Limits of one canary; rates and shares lie strictly between 0 and 1.

    tag: the canary's robots are those that carry it; "": a share of them by lot. share: of the robots that follow the
    run, unless they are named or tagged. alpha: probability that a candidate as good as
    the current version is rolled back by the test. beta: probability that one worse by `margin` or more, in success or
    in interventions, is promoted. min_episodes: of the candidate, before it may be promoted. max_episodes: of the
    candidate, after which `on_undecided` holds. silence_s: without a new episode of the candidate, it pauses.
    """

    share: float = 0.25
    tag: str = ""
    min_episodes: int = 20
    max_episodes: int = 400
    alpha: float = 0.05
    beta: float = 0.1
    margin: float = 0.1
    silence_s: float = 1800.0
    on_harm: str = "roll_back"
    on_undecided: str = "pause"

    def __post_init__(self) -> None:
        for name in ("share", "alpha", "beta", "margin"):
            value = getattr(self, name)
            if not (isinstance(value, int | float) and 0 < value < 1):
                raise InvalidRequest(f"{name} must lie between 0 and 1, neither of them included", field=name)
        if not (isinstance(self.tag, str) and len(self.tag) <= MAX_TAG):
            raise InvalidRequest(f"a tag has at most {MAX_TAG} characters", field="tag")
        if not 1 <= self.min_episodes <= self.max_episodes <= MAX_ARM_EPISODES:
            text = f"episodes must be in order: 1 <= min_episodes <= max_episodes <= {MAX_ARM_EPISODES}"
            raise InvalidRequest(text, field="max_episodes")
        if not (math.isfinite(self.silence_s) and self.silence_s >= 10):
            raise InvalidRequest("silence_s must be at least 10 seconds", field="silence_s")
        if self.on_harm not in (Verdict.ROLL_BACK, Verdict.PAUSE):
            raise InvalidRequest("on_harm is roll_back or pause", field="on_harm")
        if self.on_undecided not in (Verdict.PAUSE, Verdict.PROMOTE, Verdict.ROLL_BACK):
            raise InvalidRequest("on_undecided is pause, promote or roll_back", field="on_undecided")

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def canary_settings(values: dict[str, Any]) -> CanarySettings:
    """Return settings of what was given, defaults for the rest. Raises: InvalidRequest."""
    known = {item.name for item in fields(CanarySettings)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise InvalidRequest(f"a canary has no setting '{unknown[0]}'", field=unknown[0])
    return CanarySettings(**values)


@dataclass(frozen=True)
class Fact:
    """One counted episode: its task, whether it succeeded without help, whether anybody helped."""

    task: str
    is_success: bool
    is_helped: bool

    def good(self, measure: str) -> float:
        """Return 1 where the episode is good by this measure, else 0."""
        return float(self.is_success if measure == "success" else not self.is_helped)


@dataclass(frozen=True)
class Measure:
    """One measure. Counts are of good episodes; `difference` of the candidate's good rate minus the current one's.

    harm, worth: evidence as odds, 1 at the start; beyond `harm_limit` it is worse, beyond `worth_limit` good enough.
    """

    name: str
    candidate_good: int
    current_good: int
    blocks: int
    difference: Interval | None
    harm: float
    worth: float
    harm_limit: float
    worth_limit: float


@dataclass(frozen=True)
class Judgement:
    verdict: Verdict
    reason: str
    candidate: int
    current: int
    measures: tuple[Measure, ...]


def per_block_of(*, canary_robots: int, other_robots: int) -> int:
    """Return how many episodes of the current version one of the candidate's is compared with."""
    return max(1, min(MAX_PER_BLOCK, other_robots // canary_robots))


def judge(
    candidate: Sequence[Fact], current: Sequence[Fact], *, settings: CanarySettings, per_block: int, silent_s: float
) -> Judgement:
    """Judge a canary by both arms' episodes, each in the order in which they began.

    `silent_s`: since the candidate's last episode, or since the canary began.
    """
    measures = tuple(_measure(name, candidate, current, settings, per_block) for name in MEASURES)
    verdict, reason = _decide(len(candidate), measures, settings, silent_s)
    return Judgement(verdict, reason, len(candidate), len(current), measures)


def _measure(
    name: str, candidate: Sequence[Fact], current: Sequence[Fact], settings: CanarySettings, per_block: int
) -> Measure:
    ours: dict[str, list[float]] = defaultdict(list)
    theirs: dict[str, list[float]] = defaultdict(list)
    for arm, facts in ((ours, candidate), (theirs, current)):
        for fact in facts:
            arm[fact.task].append(fact.good(name))
    found = [blocks_of(ours[task], theirs[task], per_block=per_block) for task in sorted(ours)]
    differences = np.concatenate(found) if found else np.empty(0)
    return Measure(
        name=name,
        candidate_good=int(sum(fact.good(name) for fact in candidate)),
        current_good=int(sum(fact.good(name) for fact in current)),
        blocks=len(differences),
        difference=difference_interval(differences, level=0.05),
        # The last value, not the best so far: a relabelled episode may take evidence back.
        harm=_odds(harm_path(differences)[-1]),
        worth=_odds(worth_path(differences, margin=settings.margin)[-1]),
        harm_limit=len(MEASURES) / settings.alpha,  # two measures may raise a false alarm, each half as often
        worth_limit=1 / settings.beta,  # both must be good enough, so neither needs a share
    )


def _odds(log_capital: float) -> float:
    return float(math.exp(min(log_capital, 50.0)))


def _decide(
    episodes: int, measures: tuple[Measure, ...], settings: CanarySettings, silent_s: float
) -> tuple[Verdict, str]:
    for measure in measures:
        if measure.harm >= measure.harm_limit:
            return Verdict(
                settings.on_harm
            ), f"{_worse(measure)} (evidence {_limits(measure.harm, measure.harm_limit)})."
    if episodes >= settings.min_episodes and all(item.worth >= item.worth_limit for item in measures):
        points = f"{100 * settings.margin:.0f} points"
        return (
            Verdict.PROMOTE,
            f"After {episodes} episodes success and interventions are not worse by {points} or more.",
        )
    if episodes >= settings.max_episodes:
        return Verdict(settings.on_undecided), f"Undecided after {episodes} episodes, the most this canary may take."
    if silent_s > settings.silence_s:
        what = "No episode of the candidate came" if not episodes else "No further episode of the candidate came"
        return Verdict.PAUSE, f"{what} for {settings.silence_s:.0f} s."
    return Verdict.CONTINUE, _waiting(episodes, measures, settings)


def _worse(measure: Measure) -> str:
    interval = measure.difference
    assert interval is not None
    gap = f"{abs(100 * interval.estimate):.0f} points"
    if measure.name == "success":
        return f"Autonomous success is {gap} lower than the current version's at the same tasks"
    return f"Interventions are {gap} more frequent than with the current version at the same tasks"


def _limits(value: float, limit: float) -> str:
    return f"{min(value, 1e6):.0f} : 1, the limit is {limit:.0f} : 1"


def _waiting(episodes: int, measures: tuple[Measure, ...], settings: CanarySettings) -> str:
    if not episodes:
        return "No episode of the candidate has come yet: nothing is decided."
    if not min(item.blocks for item in measures):
        return "The current version has no episodes at the candidate's tasks yet: nothing can be compared."
    if episodes < settings.min_episodes:
        return f"{settings.min_episodes - episodes} more episodes before it may be promoted."
    slow = min(measures, key=lambda item: item.worth / item.worth_limit)
    return f"Not enough evidence about {slow.name} yet: {_limits(slow.worth, slow.worth_limit)}."
