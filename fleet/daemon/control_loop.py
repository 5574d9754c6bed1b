"""Runs one episode at a fixed rate: observe -> propose -> decide -> guard -> act -> record. Synchronous, no link.

The daemon's worker thread and the offline rollouts drive the same `EpisodeRunner`; what differs is injected: clock,
driver, policy, supervisor, leases, inbox, board. Nothing here waits for the network, the disk or the server.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from fleet.daemon.clock import Clock, Pacer, SystemClock
from fleet.daemon.config import ControlConfig, SafetyConfig, SupervisorConfig, TeleopConfig, ThumbnailConfig
from fleet.daemon.drivers.base import Driver, DriverError, StepFeedback, declared_calibration, resting_of
from fleet.daemon.episode import EpisodeBuffer, EpisodeRecording, EpisodeSpec, Step
from fleet.daemon.help_gate import HelpConfig
from fleet.daemon.help_watch import HelpWatch
from fleet.daemon.inbox import ControlInbox, LeaseDesk, Wishes
from fleet.daemon.pilot import Pilot
from fleet.daemon.proposer import Proposal, Proposer
from fleet.daemon.report import ControlEvents, StepReport
from fleet.daemon.safety import ActionGuard
from fleet.daemon.shadow_run import Onlooker
from fleet.daemon.shaping import Shaped, Shaper
from fleet.daemon.status import Picture, StatusBoard
from fleet.daemon.supervisor import SupervisorLike, SupervisorWish
from fleet.protocol.authority import Authority, Mode, Source
from fleet.protocol.messages import EpisodeOrder, OrderKind
from fleet.protocol.policy import Observation, Policy
from fleet.protocol.recording import Outcome, OutcomeSource

logger = logging.getLogger(__name__)

Array = np.ndarray[Any, Any]
PICTURE_RETRY_S = 30.0
SNAPSHOT_MARGIN = 1.5  # a picture is taken within an episode only if this many times its usual cost is left


@dataclass(frozen=True)
class Ending:
    """How an episode ended. `environment`: what the driver said of it, where a person said something else too."""

    outcome: Outcome
    reason: str = ""
    source: OutcomeSource = OutcomeSource.ENVIRONMENT
    environment: Outcome | None = None
    is_restart_wanted: bool = False


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
        teleop: TeleopConfig | None = None,
        events: ControlEvents | None = None,
        asking: HelpConfig | None = None,
        left_epoch: int | None = None,
        onlooker: Onlooker | None = None,
    ) -> None:
        """`left_epoch`: begin paused, as the daemon that ended left the robot (pilot.py). `onlooker`: told what the
        policy is asked about; nothing of it comes back."""
        self._driver = driver
        self._control = control
        self._clock: Clock = clock if clock is not None else SystemClock()
        self._supervisor = supervisor
        self._inbox = inbox if inbox is not None else ControlInbox()
        self._board = board
        self._thumbnail = thumbnail if thumbnail is not None else ThumbnailConfig(is_enabled=False)
        self._safety = safety
        self._teleop = teleop if teleop is not None else TeleopConfig()
        self._events = events
        self._told_epoch = left_epoch
        self._onlooker = onlooker
        self._help = HelpWatch(asking if asking is not None else HelpConfig(is_enabled=False), self._clock)
        self._guard = ActionGuard(safety, driver.info.action_names, kept_axes=driver.info.kept_axes)
        self.pilot = Pilot(
            safety=safety,
            supervisor=supervision if supervision is not None else SupervisorConfig(),
            handover_steps=control.handover_steps,
            leases=leases,
            left_epoch=left_epoch,
        )
        self.pacer = Pacer(self._clock, period_s=control.period_s)
        self.driver_error: DriverError | None = None  # what ended the last episode, if the driver did
        self.is_restart_wanted = False  # the operator who ended the last episode wants its task once more
        self._next_picture_s = 0.0
        self._picture_cost_s = 0.0

    def idle_step(self) -> Wishes:
        """Follow stop, pause and leases between episodes and stand still; returns what was wanted."""
        wishes = self._inbox.take()
        now_s = self._clock.monotonic()
        self.pilot.step(wishes, SupervisorWish.NONE, "", now_s=now_s)
        self._driver.hold()
        authority, signal = self.pilot.authority, self._help.idle(self.pilot)
        self._show(mode=authority.mode, source=authority.source, operator=self.pilot.operator, help=signal)
        self._note_need()
        if wishes.order is not None:
            self._answer(wishes.order, "no_episode", "no episode is running")
        none = np.empty(0, np.float32)
        self._report(at_s=now_s, asked=none, applied=none, state=none)
        return wishes

    def run(self, spec: EpisodeSpec, policy: Policy | None) -> EpisodeRecording:
        """Reset the scene and run one episode to its end.

        A driver that fails on the way, a stop or `ControlInbox.abort` ends it as ABORTED, with what was recorded.
        Raises: DriverError if calibration or reset fail, or the driver fails before the first step.
        """
        calibration = declared_calibration(self._driver)
        observation = self._driver.reset(spec.driver_task, seed=spec.seed)
        if policy is not None:
            policy.reset(instruction=spec.instruction, seed=spec.seed)
        if self._supervisor is not None:
            self._supervisor.begin(spec.driver_task, spec.max_steps)
        if self._onlooker is not None:
            self._onlooker.begin(spec, is_free=self.pilot.lease_epoch == 0)
        self.pilot.begin_episode()
        self._help.begin(policy)
        self._show(activity="running", task_id=spec.task_id, episode_id=spec.episode_id, max_steps=spec.max_steps)
        episode = _Episode(self, spec, policy, observation)
        self.driver_error = None
        self._take_picture()
        self.pacer.start()
        try:
            ending = episode.run()
        except DriverError as error:
            if not len(episode.buffer):
                raise
            logger.exception("the driver failed; the episode is aborted")
            self.driver_error = error
            ending = Ending(Outcome.ABORTED, f"{error.code}: {error.message}")
        finally:
            self.pilot.end_episode("episode ended")
        self.is_restart_wanted = ending.is_restart_wanted
        return episode.buffer.close(
            ending.outcome,
            ending.reason,
            source=ending.source,
            environment_outcome=ending.environment,
            ended_ns=self._clock.wall_ns(),
            calibration=calibration,
        )

    # --- What the event loop hears of it -----------------------------------------------------------------------------

    def _note_need(self) -> None:
        epoch = self.pilot.authority.newest_epoch if self.pilot.needs_person else None
        if self._events is not None and epoch != self._told_epoch:
            self._told_epoch = epoch
            self._events.attended(epoch)

    def _answer(self, order: EpisodeOrder, code: str = "", message: str = "") -> None:
        if self._events is not None:
            self._events.ordered(order.order_id, code, message)

    def _report(self, *, at_s: float, asked: Array, applied: Array, state: Array, **values: Any) -> None:
        """Tell what was done. `values`: what an episode adds."""
        if self._events is None:
            return
        pilot = self.pilot
        report = StepReport(
            at_s=at_s,
            mode=pilot.authority.mode,
            source=pilot.authority.source,
            operator=pilot.operator,
            epoch=pilot.lease_epoch,
            asked=asked,
            applied=applied,
            state=state,
            detail=pilot.pause_text,
            **values,
        )
        self._events.stepped(report)

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
        self._proposer = Proposer(policy, axes=len(info.action_names))
        self._observation = first
        self._shaper = Shaper(runner._guard, runner._safety, runner._teleop, resting=resting_of(runner._driver))
        self._driven = 0
        self._held = 0
        self._broken = 0
        self._gate = ""  # why the supervisor wants to drive and does not
        rate_hz = runner._control.control_rate_hz
        self.buffer = EpisodeBuffer(spec, info=info, control_rate_hz=rate_hz, started_ns=runner._clock.wall_ns())

    def run(self) -> Ending:
        while True:
            ended = self._step()
            if ended is not None:
                return ended
            runner = self._runner
            runner._take_picture(slack_s=runner.pacer.slack_s())
            runner._help.measure(runner.pilot, self._observation, slack_s=runner.pacer.slack_s())
            runner.pacer.wait()
            self._observation = runner._driver.observe()

    def _step(self) -> Ending | None:
        runner = self._runner
        began_s, captured_ns = runner._clock.monotonic(), runner._clock.wall_ns()
        _check_observation(self._observation)
        proposal = self._propose()
        wishes, now_s = runner._inbox.take(), runner._clock.monotonic()  # not `began_s`: the policy took its time
        before, authority = runner.pilot.authority, self._decide(proposal, wishes, now_s=now_s)
        if authority.mode is Mode.AUTONOMOUS and before.mode is not Mode.AUTONOMOUS and len(self.buffer):
            self._proposer.forget()  # planned before somebody else drove
            proposal = self._propose()
        asked = self._asked(authority, proposal)
        self._shaper.follow(before, authority)
        shaped = self._shaper.shape(
            asked, self._observation.state, authority=authority, command=runner.pilot.command, now_s=now_s
        )
        feedback = self._execute(shaped)
        recorded = shaped.action if shaped.is_held or asked is None else asked
        self.buffer.append(
            Step(
                monotonic_s=began_s,
                captured_ns=captured_ns,
                observation=self._observation,
                action=shaped.action,
                asked=recorded,
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
        if proposal.is_planned and runner._onlooker is not None:  # after the action is out: it costs the step nothing
            runner._onlooker.look(len(self.buffer) - 1, self.buffer.newest_observation())
        self._show(authority, shaped)
        runner._report(
            at_s=began_s,
            asked=recorded,
            applied=shaped.action,
            state=self._observation.state,
            proposed=proposal.action,
            share=shaped.share,
            limits=shaped.limits,
            episode_id=self._spec.episode_id,
            step=len(self.buffer),
            max_steps=self._spec.max_steps,
            steps_left=max(0, self._spec.max_steps - self._driven),
        )
        return self._ending(feedback, wishes)

    def _execute(self, shaped: Shaped) -> StepFeedback:
        driver = self._runner._driver
        if not shaped.is_moving:
            driver.hold()
            self._held += 1
            return StepFeedback(0.0, False)
        feedback = driver.apply(shaped.action)
        self._driven += 1
        if not np.isfinite(feedback.reward):
            raise DriverError("the driver's reward is NaN or infinite")
        return feedback

    def _propose(self) -> Proposal:
        try:
            proposal = self._proposer.propose(self._observation)
        except Exception:  # a network is foreign code: whatever it raises, the loop goes on and holds
            logger.exception("the policy failed to answer")
            proposal = Proposal(None, 0.0, is_broken=True)
        self._broken = self._broken + 1 if proposal.is_broken else 0
        return proposal

    def _decide(self, proposal: Proposal, wishes: Wishes, *, now_s: float) -> Authority:
        pilot, supervisor = self._runner.pilot, self._runner._supervisor
        wish, reason = SupervisorWish.NONE, ""
        if supervisor is not None:
            wish = supervisor.observe(len(self.buffer), proposal.action, pilot.is_scripted_driving)
            reason = supervisor.reason
        self._gate = reason if wish is SupervisorWish.TAKE else ""
        return pilot.step(wishes, wish, reason, now_s=now_s)

    def _asked(self, authority: Authority, proposal: Proposal) -> Array | None:
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

    def _ending(self, feedback: StepFeedback, wishes: Wishes) -> Ending | None:
        """A person's word on the outcome wins over the environment's; both are kept."""
        control = self._runner._control
        ordered = self._obey(wishes.order, feedback) if wishes.order is not None else None
        if ordered is not None:
            return ordered
        if feedback.success:
            return Ending(Outcome.SUCCESS)
        if wishes.abort_reason is not None:
            return Ending(Outcome.ABORTED, wishes.abort_reason)
        if self._runner.pilot.authority.mode is Mode.STOPPED:
            return Ending(Outcome.ABORTED, self._runner.pilot.pause_text)
        if self._broken >= control.nonfinite_limit:
            return Ending(Outcome.ABORTED, "the policy's answers are unusable")
        if self._held >= control.max_hold_steps:
            return Ending(Outcome.ABORTED, f"held still for {self._held} steps: {self._runner.pilot.pause_text}")
        return Ending(Outcome.TIMEOUT) if self._driven >= self._spec.max_steps else None

    def _obey(self, order: EpisodeOrder, feedback: StepFeedback) -> Ending | None:
        """End the episode as its operator says, unless they speak of another one or hold no lease any more."""
        runner, pilot = self._runner, self._runner.pilot
        if pilot.authority.source is not Source.PERSON or order.epoch != pilot.lease_epoch:
            runner._answer(order, "lease_fenced", "this lease is over")
            return None
        if order.episode_id != self._spec.episode_id:
            runner._answer(order, "episode_over", "that episode is over")
            return None
        runner._answer(order)
        environment = Outcome.SUCCESS if feedback.success else None
        labels = {OrderKind.SUCCESS: Outcome.SUCCESS, OrderKind.FAILURE: Outcome.FAILURE}
        return Ending(
            labels.get(order.kind, Outcome.ABORTED),
            order.reason or f"{order.kind.value} by {order.by}",
            source=OutcomeSource.PERSON,
            environment=environment,
            is_restart_wanted=order.kind is OrderKind.RESTART,
        )

    def _show(self, authority: Authority, shaped: Shaped) -> None:
        runner = self._runner
        runner._note_need()
        signal = runner._help.step(
            runner.pilot, self._spec, self._observation.state, step=self._driven, limits=shaped.limits, gate=self._gate
        )
        runner._show(
            mode=authority.mode,
            source=authority.source,
            operator=runner.pilot.operator,
            step=len(self.buffer),
            detail=runner.pilot.pause_text,
            control=runner.pacer.stats(),
            help=signal,
        )
