"""Decides whether the robot asks for a person now, and why. Pure: one `HelpGate.step` a control step, time passed in.

The control loop calls it after the guard and shows what it returns as `RobotStatus.help`. It changes nothing of what
the robot does: asking is not stopping. Four rules, each a level that is 1 at its threshold; a rule once raised stays
until its level falls below `clear_share`, and for `min_on_s` at least, so that the signal does not flap. While a
person or the scripted supervisor drives nobody is asked for, and all rules begin anew afterwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fleet.protocol.authority import Mode
from fleet.protocol.messages import HelpReason, HelpSignal

Array = np.ndarray[Any, Any]

# The order of C.U.R. (design/paper.md 7): what stands still or breaks limits comes before doubt, doubt before risk.
PRIORITY = (HelpReason.PAUSED, HelpReason.CONSTRAINT, HelpReason.UNCERTAIN, HelpReason.NO_PROGRESS)


@dataclass(frozen=True, kw_only=True)
class HelpConfig:
    """When the robot asks for help. Times are seconds of the robot's clock, distances the proprioception's own unit."""

    is_enabled: bool = True
    stalled_s: float = 6.0  # no value of the proprioception moved by `moved` for this long while the policy drives
    moved: float = 0.02
    moved_values: int = 0  # only the first so many values of the proprioception count; 0: all
    gate_wait_s: float = 4.0  # the scripted supervisor wants to help, but got no lease for this long
    late_share: float = 0.8  # of the episode's steps; from there on success is unlikely. 1: never ask for this
    limits_share: float = 0.5  # share of the steps, averaged over `limits_s`, in which a limit changed the action
    limits_s: float = 3.0
    limits: tuple[str, ...] = ("slew", "rate", "workspace")  # which of the guard's limits count
    is_doubt_measured: bool = True  # where the policy can say how far its samples differ
    # Mean standard deviation of the samples, in normalised action, averaged over `doubt_s`. It depends on the network:
    # the base policies of the demo come to 0.02 in episodes that succeed, to 0.03 in those that fail (docs/help.md).
    doubt: float = 0.03
    doubt_s: float = 4.0
    doubt_period_s: float = 1.0  # between two measurements
    doubt_samples: int = 8
    paused_wait_s: float = 1.0  # the robot stands still and waits for a person for this long
    clear_share: float = 0.6  # a raised rule is withdrawn below this share of its threshold
    min_on_s: float = 3.0  # an asking robot asks for at least this long
    min_off_s: float = 2.0  # and after that is silent for this long, except when it stands still

    def __post_init__(self) -> None:
        for name in ("stalled_s", "moved", "gate_wait_s", "limits_s", "doubt", "doubt_s", "doubt_period_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive")
        for name in ("paused_wait_s", "min_on_s", "min_off_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must not be negative")
        for name in ("late_share", "limits_share"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in (0, 1]")
        if not 0 < self.clear_share < 1:
            raise ValueError("clear_share must lie in (0, 1)")
        if not 2 <= self.doubt_samples <= 64:
            raise ValueError("doubt_samples must lie in [2, 64]")
        if self.moved_values < 0:
            raise ValueError("moved_values must not be negative")


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What one control step looks like.

    `episode_id`: None between episodes. `state`: proprioception float32 [P], None where there is none. `step` of
    `max_steps`: driven so far. `limits`: what the guard changed. `gate`: why the scripted supervisor wants to drive,
    "" if it does not. `doubt`: a disagreement measured at this step, None if none was. `needs_person`: only a person
    lets the robot go on; `pause_text` says why, for people.
    """

    mode: Mode
    episode_id: str | None = None
    state: Array | None = None
    step: int = 0
    max_steps: int = 0
    limits: tuple[str, ...] = ()
    gate: str = ""
    doubt: float | None = None
    needs_person: bool = False
    pause_text: str = ""


@dataclass(frozen=True)
class _Level:
    """How far a rule is: 1 at its threshold. `detail`: for people."""

    value: float = 0.0
    detail: str = ""


@dataclass
class _Driving:
    """What the rules about driving remember of one stretch of one episode under the policy."""

    seen_s: float | None = None  # the step before
    anchor: Array | None = None  # where the robot was when it last moved
    anchored_s: float = 0.0
    gate_since_s: float | None = None
    limited_share: float = 0.0
    doubt: float = 0.0
    doubted_s: float | None = None


class HelpGate:
    """One robot's rules. Owned by the control thread."""

    def __init__(self, config: HelpConfig) -> None:
        self._config = config
        self._asking: _Asking | None = None
        self._silent_until_s = -math.inf
        self._episode_id: str | None = None
        self._paused_since_s: float | None = None
        self._found: dict[HelpReason, _Level] = {}
        self._driving = _Driving()

    @property
    def levels(self) -> dict[str, float]:
        """How far each rule was at the last step, 1 at its threshold; rules that do not apply are missing."""
        return {reason.value: level.value for reason, level in self._found.items()}

    def step(self, situation: Situation, *, now_s: float, now_ns: int) -> HelpSignal | None:
        """Take in one control step and return what the robot asks for now.

        `now_s`: monotonic, never falling; `now_ns`: Unix time, only to say since when. Called at every step, and
        between episodes whenever the robot idles.
        """
        if not self._config.is_enabled:
            return None
        levels = self._found = self._levels(situation, now_s=now_s)
        if situation.mode in (Mode.HANDOVER, Mode.TELEOP):
            self._asking = None
            return None
        self._withdraw(levels, now_s=now_s)
        self._raise(levels, now_s=now_s, now_ns=now_ns)
        return self._signal(levels)

    # --- Rules -------------------------------------------------------------------------------------------------------

    def _levels(self, now: Situation, *, now_s: float) -> dict[HelpReason, _Level]:
        if now.mode is not Mode.AUTONOMOUS or now.episode_id != self._episode_id:
            self._forget()
        self._episode_id = now.episode_id
        levels = {HelpReason.PAUSED: self._paused(now, now_s=now_s)}
        if now.mode is not Mode.AUTONOMOUS or now.episode_id is None:
            return levels
        driving = self._driving
        elapsed_s = max(0.0, now_s - driving.seen_s) if driving.seen_s is not None else 0.0
        driving.seen_s = now_s
        candidates = (self._stalled(now, now_s=now_s), self._gate(now, now_s=now_s), self._late(now))
        levels[HelpReason.NO_PROGRESS] = max(candidates, key=lambda level: level.value)
        levels[HelpReason.CONSTRAINT] = self._limited(now, elapsed_s=elapsed_s)
        levels[HelpReason.UNCERTAIN] = self._doubtful(now, now_s=now_s)
        return levels

    def _forget(self) -> None:
        """Begin the rules about driving anew: another episode, or somebody else drove. What they asked is void."""
        if self._asking is not None and self._asking.reason is not HelpReason.PAUSED:
            self._asking = None
        self._driving = _Driving()

    def _paused(self, now: Situation, *, now_s: float) -> _Level:
        if not (now.needs_person and now.mode in (Mode.PAUSED, Mode.STOPPED)):
            self._paused_since_s = None
            return _Level()
        if self._paused_since_s is None:
            self._paused_since_s = now_s
        waited_s, wait_s = now_s - self._paused_since_s, self._config.paused_wait_s
        return _Level(waited_s / wait_s if wait_s > 0 else 2.0, now.pause_text or "waits for a person")

    def _stalled(self, now: Situation, *, now_s: float) -> _Level:
        """Time since the proprioception was last `moved` away from where it was, on any axis."""
        if now.state is None:
            return _Level()
        state = now.state[: self._config.moved_values or None]
        driving = self._driving
        if driving.anchor is None or bool((np.abs(state - driving.anchor) >= self._config.moved).any()):
            driving.anchor, driving.anchored_s = state.copy(), now_s
        still_s = now_s - driving.anchored_s
        return _Level(still_s / self._config.stalled_s, f"hardly moved for {still_s:.0f} s")

    def _gate(self, now: Situation, *, now_s: float) -> _Level:
        if not now.gate:
            self._driving.gate_since_s = None
            return _Level()
        if self._driving.gate_since_s is None:
            self._driving.gate_since_s = now_s
        waited_s = now_s - self._driving.gate_since_s
        return _Level(waited_s / self._config.gate_wait_s, f"the supervisor could not take over: {now.gate}")

    def _late(self, now: Situation) -> _Level:
        late = self._config.late_share
        share = now.step / now.max_steps if now.max_steps > 0 else 0.0
        if late >= 1 or share < late:
            return _Level()
        return _Level(1 + (share - late) / (1 - late), f"{now.max_steps - now.step} of {now.max_steps} steps left")

    def _limited(self, now: Situation, *, elapsed_s: float) -> _Level:
        """Exponential mean, over `limits_s`, of whether a limit changed the step."""
        found = [name for name in now.limits if name in self._config.limits]
        weight = 1 - math.exp(-elapsed_s / self._config.limits_s)
        share = self._driving.limited_share
        share += weight * (bool(found) - share)
        self._driving.limited_share = share
        detail = f"limits changed {share:.0%} of its actions" + (f" ({', '.join(found)})" if found else "")
        return _Level(share / self._config.limits_share, detail)

    def _doubtful(self, now: Situation, *, now_s: float) -> _Level:
        """Exponential mean, over `doubt_s`, of the measurements; it begins at 0, so that one alone raises nothing."""
        driving = self._driving
        if now.doubt is not None and math.isfinite(now.doubt):
            since_s = self._config.doubt_period_s if driving.doubted_s is None else now_s - driving.doubted_s
            weight = 1 - math.exp(-max(0.0, since_s) / self._config.doubt_s)
            driving.doubt += weight * (now.doubt - driving.doubt)
            driving.doubted_s = now_s
        doubt = driving.doubt
        return _Level(doubt / self._config.doubt, f"the policy's samples differ by {doubt:.2f}")

    # --- The signal --------------------------------------------------------------------------------------------------

    def _withdraw(self, levels: dict[HelpReason, _Level], *, now_s: float) -> None:
        asking = self._asking
        if asking is None or levels[asking.reason].value >= self._config.clear_share:
            return
        is_resumed = asking.reason is HelpReason.PAUSED  # by a person, who need not be asked for
        if is_resumed or now_s - asking.raised_s >= self._config.min_on_s:
            self._asking = None
            self._silent_until_s = now_s + self._config.min_off_s

    def _raise(self, levels: dict[HelpReason, _Level], *, now_s: float, now_ns: int) -> None:
        """Begin to ask, or change the reason to a more urgent one; asking goes on without a break then."""
        asking = self._asking
        for reason in PRIORITY:
            if asking is not None and reason is asking.reason:
                return
            is_silent = asking is None and now_s < self._silent_until_s and reason is not HelpReason.PAUSED
            if not is_silent and reason in levels and levels[reason].value >= 1:
                since_ns = asking.since_ns if asking is not None else now_ns
                self._asking = _Asking(reason, raised_s=now_s, since_ns=since_ns)
                return

    def _signal(self, levels: dict[HelpReason, _Level]) -> HelpSignal | None:
        """A level of 1, the threshold, scores 0.5; twice the threshold and above scores 1."""
        asking = self._asking
        if asking is None:
            return None
        level = levels[asking.reason]
        if level.value >= self._config.clear_share:
            asking.score, asking.detail = round(min(1.0, level.value / 2), 2), level.detail
        return HelpSignal(reason=asking.reason, score=asking.score, detail=asking.detail, since_ns=asking.since_ns)


@dataclass
class _Asking:
    """What is asked for. Score and detail are the last ones while the rule was up."""

    reason: HelpReason
    raised_s: float
    since_ns: int
    score: float = 0.5
    detail: str = ""
