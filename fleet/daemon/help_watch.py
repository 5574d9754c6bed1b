"""The control loop's side of asking for help: measures the policy's doubt in spare time and steps the gate.

Whether to ask is decided in help_gate.py. Here is what touches the policy, which is foreign code and may be slow:
it is asked for its disagreement after the action of a step went out, once a period, and only while the step has time
to spare for it.
"""

from __future__ import annotations

import logging

from fleet.daemon.clock import Clock
from fleet.daemon.episode import EpisodeSpec
from fleet.daemon.help_gate import Array, HelpConfig, HelpGate, Situation
from fleet.daemon.pilot import Pilot
from fleet.protocol.authority import Mode
from fleet.protocol.messages import HelpSignal
from fleet.protocol.policy import DoubtingPolicy, Observation, Policy

logger = logging.getLogger(__name__)

SPARE = 1.5  # a measurement is made only if this many times its usual cost is left of the step


class HelpWatch:
    """One robot's; owned by the control thread."""

    def __init__(self, config: HelpConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._gate = HelpGate(config)
        self._policy: DoubtingPolicy | None = None
        self._doubt: float | None = None
        self._due_s = 0.0
        self._cost_s = 0.0

    def begin(self, policy: Policy | None) -> None:
        """Begin an episode with this policy."""
        is_asked = self._config.is_enabled and self._config.is_doubt_measured
        self._policy = policy if is_asked and isinstance(policy, DoubtingPolicy) else None
        self._doubt = None
        self._due_s = 0.0

    def idle(self, pilot: Pilot) -> HelpSignal | None:
        """Return what the robot asks for between episodes: only what keeps it from starting one."""
        return self._step(
            Situation(mode=pilot.authority.mode, needs_person=pilot.needs_person, pause_text=pilot.pause_text)
        )

    def step(
        self,
        pilot: Pilot,
        spec: EpisodeSpec,
        state: Array,
        *,
        step: int,
        limits: tuple[str, ...],
        gate: str,
    ) -> HelpSignal | None:
        """Return what the robot asks for at this control step of the episode `spec`.

        state: proprioception float32 [P]. `step`: steps driven so far; `limits` and `gate` as in `Situation`.
        """
        doubt, self._doubt = self._doubt, None
        return self._step(
            Situation(
                mode=pilot.authority.mode,
                episode_id=spec.episode_id,
                state=state,
                step=step,
                max_steps=spec.max_steps,
                limits=limits,
                gate=gate,
                doubt=doubt,
                needs_person=pilot.needs_person,
                pause_text=pilot.pause_text,
            )
        )

    def measure(self, pilot: Pilot, observation: Observation, *, slack_s: float) -> None:
        """Ask the policy how far its samples differ, if that is due and there is time; the next step hears of it."""
        began_s = self._clock.monotonic()
        if self._policy is None or pilot.authority.mode is not Mode.AUTONOMOUS or began_s < self._due_s:
            return
        if slack_s < SPARE * self._cost_s:
            return
        self._due_s = began_s + self._config.doubt_period_s
        try:
            self._doubt = self._policy.disagreement(observation, samples=self._config.doubt_samples)
        except Exception:  # a network is foreign code: whatever it raises, the episode goes on
            logger.exception("the policy cannot say how far its samples differ; not asked again in this episode")
            self._policy = None
            return
        cost_s = self._clock.monotonic() - began_s
        # The largest counts, forgotten slowly: a measurement that cost a deadline must not be the first of many.
        self._cost_s = max(cost_s, 0.9 * self._cost_s)

    def _step(self, situation: Situation) -> HelpSignal | None:
        return self._gate.step(situation, now_s=self._clock.monotonic(), now_ns=self._clock.wall_ns())
