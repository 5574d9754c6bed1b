"""Runs one episode at a fixed rate: observe -> propose -> decide -> guard -> act -> record. Synchronous, no link.

The daemon's worker thread and the offline rollouts drive the same `EpisodeRunner`; what differs is injected: clock,
driver, policy, supervisor, leases, inbox, board. Nothing here waits for the network, the disk or the server.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from fleet.daemon.clock import Clock, Pacer, SystemClock
from fleet.daemon.config import ControlConfig, SafetyConfig, SupervisorConfig, ThumbnailConfig
from fleet.daemon.drivers.base import Driver, DriverError, StepFeedback
from fleet.daemon.episode import EpisodeBuffer, EpisodeRecording, EpisodeSpec, Step
from fleet.daemon.inbox import ControlInbox, LeaseDesk, Wishes
from fleet.daemon.pilot import Pilot
from fleet.daemon.safety import ActionGuard, is_usable
from fleet.daemon.status import Picture, StatusBoard
from fleet.daemon.supervisor import SupervisorWish
from fleet.protocol.authority import Authority, Mode, Source
from fleet.protocol.policy import Observation, Policy
from fleet.protocol.recording import Outcome

logger = logging.getLogger(__name__)

Array = np.ndarray[Any, Any]
PICTURE_RETRY_S = 30.0
SNAPSHOT_MARGIN = 1.5  # a picture is taken within an episode only if this many times its usual cost is left


class SupervisorLike(Protocol):
    """The scripted supervisor as the loop sees it (fleet/daemon/supervisor.py).

    `observe` is asked at every step and answers TAKE for as long as it wants to drive and does not. The first
    `action()` of a takeover comes in the step in which the lease engages, after `observe(is_driving=False)`.
    """

    reason: str

    def begin(self, task: str, max_steps: int) -> None: ...

    def observe(self, step: int, proposed: Array | None, is_driving: bool) -> SupervisorWish: ...

    def action(self) -> Array: ...


@dataclass(frozen=True)
class _Proposal:
    """What the policy would do now; None without a policy or when its answer was not finite."""

    action: Array | None
    inference_ms: float
    is_broken: bool = False


class _Proposer:
    """Executes chunks with a receding horizon: asks the policy again after `execute_steps` actions."""

    def __init__(self, policy: Policy | None, *, axes: int) -> None:
        self._policy = policy
        self._axes = axes
        self._actions: Array = np.empty((0, axes), np.float32)
        self._position = 0

    def forget(self) -> None:
        """Drop the rest of the chunk: somebody else drove since it was planned."""
        self._position = len(self._actions)

    def propose(self, observation: Observation) -> _Proposal:
        if self._policy is None:
            return _Proposal(None, 0.0)
        inference_ms = 0.0
        if self._position >= len(self._actions):
            began_s = time.perf_counter()
            self._actions = self._policy.infer(observation).actions[: self._policy.execute_steps]
            inference_ms = (time.perf_counter() - began_s) * 1e3
            self._position = 0
        action = self._actions[self._position] if len(self._actions) else None
        self._position += 1
        if not is_usable(action, self._axes):
            self.forget()
            return _Proposal(None, inference_ms, is_broken=True)
        return _Proposal(action, inference_ms)


def _check_observation(observation: Observation) -> None:
    if not np.isfinite(observation.state).all():
        raise DriverError("the driver's proprioception holds NaN or infinity")


class EpisodeRunner:
    """Runs episodes on one driver. Construct once; `run` as often as wanted, always from one thread."""

    def __init__(
        self,
        *,
        driver: Driver,
        control: ControlConfig,
        safety: SafetyConfig,
        clock: Clock | None = None,
        supervisor: SupervisorLike | None = None,
        supervision: SupervisorConfig | None = None,
        leases: LeaseDesk | None = None,
        inbox: ControlInbox | None = None,
        board: StatusBoard | None = None,
        thumbnail: ThumbnailConfig | None = None,
    ) -> None:
        self._driver = driver
        self._control = control
        self._clock: Clock = clock if clock is not None else SystemClock()
        self._supervisor = supervisor
        self._inbox = inbox if inbox is not None else ControlInbox()
        self._board = board
        self._thumbnail = thumbnail if thumbnail is not None else ThumbnailConfig(is_enabled=False)
        self._guard = ActionGuard(safety, driver.info.action_names)
        self.pilot = Pilot(
            safety=safety,
            supervisor=supervision if supervision is not None else SupervisorConfig(),
            handover_steps=control.handover_steps,
            leases=leases,
        )
        self.pacer = Pacer(self._clock, period_s=control.period_s)
        self.driver_error: DriverError | None = None  # what ended the last episode, if the driver did
        self._next_picture_s = 0.0
        self._picture_cost_s = 0.0

    def idle_step(self) -> Wishes:
        """Follow stop, pause and leases between episodes and stand still; returns what was wanted."""
        wishes = self._inbox.take()
        self.pilot.step(wishes, SupervisorWish.NONE, "", now_s=self._clock.monotonic())
        self._driver.hold()
        self._show(mode=self.pilot.authority.mode, source=self.pilot.authority.source, operator=self.pilot.operator)
        return wishes

    def run(self, spec: EpisodeSpec, policy: Policy | None) -> EpisodeRecording:
        """Reset the scene and run one episode to its end.

        A driver that fails on the way, a stop or `ControlInbox.abort` ends it as ABORTED, with what was recorded.
        Raises: DriverError if the reset fails, or the driver fails before the first step.
        """
        observation = self._driver.reset(spec.driver_task, seed=spec.seed)
        if policy is not None:
            policy.reset(instruction=spec.instruction, seed=spec.seed)
        if self._supervisor is not None:
            self._supervisor.begin(spec.driver_task, spec.max_steps)
        self.pilot.begin_episode()
        self._show(activity="running", task_id=spec.task_id, episode_id=spec.episode_id, max_steps=spec.max_steps)
        episode = _Episode(self, spec, policy, observation)
        self.driver_error = None
        self._take_picture()
        self.pacer.start()
        try:
            outcome, reason = episode.run()
        except DriverError as error:
            if not len(episode.buffer):
                raise
            logger.exception("the driver failed; the episode is aborted")
            self.driver_error = error
            outcome, reason = Outcome.ABORTED, f"{error.code}: {error.message}"
        finally:
            self.pilot.end_episode("episode ended")
        return episode.buffer.close(outcome, reason, ended_ns=self._clock.wall_ns())

    def _show(self, **changes: Any) -> None:
        if self._board is not None:
            self._board.update(**changes)

    def _take_picture(self, *, slack_s: float = float("inf")) -> None:
        """Take a picture for people if one is due and costs no deadline (between episodes there is none)."""
        began_s = self._clock.monotonic()
        if self._board is None or not self._thumbnail.is_enabled or began_s < self._next_picture_s:
            return
        if slack_s < SNAPSHOT_MARGIN * self._picture_cost_s:
            return
        try:
            pixels = self._driver.snapshot(self._thumbnail.width, self._thumbnail.height)
        except Exception:  # a picture for people must not end an episode, nor the daemon
            logger.exception("no picture could be taken, next try in %.0f s", PICTURE_RETRY_S)
            self._next_picture_s = began_s + PICTURE_RETRY_S
            return
        self._board.put_picture(Picture(pixels, self._clock.wall_ns()))
        cost_s = self._clock.monotonic() - began_s
        self._picture_cost_s = 0.8 * self._picture_cost_s + 0.2 * cost_s if self._picture_cost_s > 0 else cost_s
        self._next_picture_s = began_s + self._thumbnail.period_s


class _Episode:
    """The state of one running episode; EpisodeRunner's other half, split off so that nothing survives an episode."""

    def __init__(self, runner: EpisodeRunner, spec: EpisodeSpec, policy: Policy | None, first: Observation) -> None:
        info = runner._driver.info
        self._runner = runner
        self._spec = spec
        self._proposer = _Proposer(policy, axes=len(info.action_names))
        self._observation = first
        self._command = runner._guard.rest
        self._driven = 0
        self._held = 0
        self._broken = 0
        rate_hz = runner._control.control_rate_hz
        self.buffer = EpisodeBuffer(spec, info=info, control_rate_hz=rate_hz, started_ns=runner._clock.wall_ns())

    def run(self) -> tuple[Outcome, str]:
        while True:
            ended = self._step()
            if ended is not None:
                return ended
            self._runner._take_picture(slack_s=self._runner.pacer.slack_s())
            self._runner.pacer.wait()
            self._observation = self._runner._driver.observe()

    def _step(self) -> tuple[Outcome, str] | None:
        runner = self._runner
        began_s, captured_ns = runner._clock.monotonic(), runner._clock.wall_ns()
        _check_observation(self._observation)
        proposal = self._propose()
        wishes = runner._inbox.take()
        before, authority = runner.pilot.authority, self._decide(proposal, wishes, now_s=began_s)
        if authority.mode is Mode.AUTONOMOUS and before.mode is not Mode.AUTONOMOUS and len(self.buffer):
            self._proposer.forget()  # planned before somebody else drove
            proposal = self._propose()
        asked = self._asked(authority, proposal)
        guarded = runner._guard.guard(asked, self._command)
        is_moving = authority.mode in (Mode.AUTONOMOUS, Mode.TELEOP)
        if is_moving:
            feedback = runner._driver.apply(guarded.action)
            self._driven += 1
        else:
            runner._driver.hold()
            feedback = StepFeedback(0.0, False)
            self._held += 1
        self._command = guarded.action
        if not np.isfinite(feedback.reward):
            raise DriverError("the driver's reward is NaN or infinite")
        self.buffer.append(
            Step(
                monotonic_s=began_s,
                captured_ns=captured_ns,
                observation=self._observation,
                action=guarded.action,
                asked=guarded.action if guarded.is_held or asked is None else asked,
                proposed=proposal.action,
                feedback=feedback,
                mode=authority.mode,
                source=authority.source,
                lease_epoch=runner.pilot.lease_epoch,
                operator=runner.pilot.operator,
                reason=runner.pilot.reason,
                inference_ms=proposal.inference_ms,
            )
        )
        self._show(authority)
        return self._ending(feedback, wishes)

    def _propose(self) -> _Proposal:
        try:
            proposal = self._proposer.propose(self._observation)
        except Exception:  # a network is foreign code: whatever it raises, the loop goes on and holds
            logger.exception("the policy failed to answer")
            proposal = _Proposal(None, 0.0, is_broken=True)
        self._broken = self._broken + 1 if proposal.is_broken else 0
        return proposal

    def _decide(self, proposal: _Proposal, wishes: Wishes, *, now_s: float) -> Authority:
        pilot, supervisor = self._runner.pilot, self._runner._supervisor
        wish, reason = SupervisorWish.NONE, ""
        if supervisor is not None:
            wish = supervisor.observe(len(self.buffer), proposal.action, pilot.is_scripted_driving)
            reason = supervisor.reason
        return pilot.step(wishes, wish, reason, now_s=now_s)

    def _asked(self, authority: Authority, proposal: _Proposal) -> Array | None:
        """Return what the driver of record asks for, None to hold still."""
        if authority.mode is Mode.AUTONOMOUS:
            return proposal.action
        if authority.mode is not Mode.TELEOP:
            return None
        if authority.source is Source.PERSON:
            command = self._runner.pilot.command
            return command.action if command is not None else None
        supervisor = self._runner._supervisor
        return supervisor.action() if supervisor is not None else None

    def _ending(self, feedback: StepFeedback, wishes: Wishes) -> tuple[Outcome, str] | None:
        control = self._runner._control
        if feedback.success:
            return Outcome.SUCCESS, ""
        if wishes.abort_reason is not None:
            return Outcome.ABORTED, wishes.abort_reason
        if self._runner.pilot.authority.mode is Mode.STOPPED:
            return Outcome.ABORTED, self._runner.pilot.pause_text
        if self._broken >= control.nonfinite_limit:
            return Outcome.ABORTED, "the policy's answers are unusable"
        if self._held >= control.max_hold_steps:
            return Outcome.ABORTED, f"held still for {self._held} steps: {self._runner.pilot.pause_text}"
        return (Outcome.TIMEOUT, "") if self._driven >= self._spec.max_steps else None

    def _show(self, authority: Authority) -> None:
        self._runner._show(
            mode=authority.mode,
            source=authority.source,
            operator=self._runner.pilot.operator,
            step=len(self.buffer),
            detail=self._runner.pilot.pause_text,
            control=self._runner.pacer.stats(),
        )
