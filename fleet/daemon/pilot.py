"""Decides who drives: turns wishes, leases and time into events of protocol.authority. Pure; time is passed in.

One `Pilot` lives as long as the daemon, is owned by the control thread, and is asked once a step (and now and then
between episodes). All changes of mode go through `authority.transition`; what it refuses is logged, not forced.
Left out on purpose: what is executed (safety.py) and how leases travel (the LeaseDesk).
"""

from __future__ import annotations

import enum
import logging
from dataclasses import replace

from fleet.daemon.config import SafetyConfig, SupervisorConfig
from fleet.daemon.inbox import Command, Grant, LeaseDesk, Refusal, Wishes
from fleet.daemon.supervisor import SupervisorWish
from fleet.protocol.authority import Authority, AuthorityEvent, Holder, Mode, Source, transition
from fleet.protocol.errors import AuthorityError
from fleet.protocol.messages import StopInfo

logger = logging.getLogger(__name__)

CLOCK_JITTER_S = 0.1  # how much the same expiry may differ between two readings of the server's clock
GO_ON = "take over, or pause and resume, to go on"


class PauseCause(enum.StrEnum):
    """Why the robot is PAUSED; decides what may resume it."""

    OPERATOR = "operator"  # DesiredState.is_paused; resumes when it is withdrawn
    SCRIPTED_LAPSE = "scripted lapse"  # the supervisor's lease ran out; resumes by itself if so configured
    PERSON_LAPSE = "person lapse"  # a person was driving: only a person resumes (pause and resume, or a new lease)
    REBOOT = "reboot"  # the daemon ended while a person was needed: as after a lapse
    CLEARED = "cleared"  # after a stop: only a person resumes


class Pilot:
    """Owner of the robot's `Authority`."""

    def __init__(
        self,
        *,
        safety: SafetyConfig,
        supervisor: SupervisorConfig,
        handover_steps: int,
        leases: LeaseDesk | None,
        left_epoch: int | None = None,
    ) -> None:
        """`left_epoch`: the newest lease when the daemon ended, if only a person could let the robot drive on then.

        That still holds, and that lease moves nothing any more: whoever held it takes over anew.
        """
        is_left = left_epoch is not None
        self.authority = Authority(mode=Mode.PAUSED, newest_epoch=left_epoch or 0) if is_left else Authority()
        self.reason = ""  # why the present mode began
        self._safety = safety
        self._handover_steps = handover_steps
        self._stop: StopInfo | None = None
        self._stop_count = 0
        self._grant: Grant | None = None  # of the present holder
        self._taken_s = 0.0
        self._command: Command | None = None
        self._cause: PauseCause | None = PauseCause.REBOOT if is_left else None
        self._was_pause_wanted = False
        self._steps_in_mode = 0
        self._desk = _Desk(supervisor, leases)

    # --- What the control loop reads ---------------------------------------------------------------------------------

    @property
    def operator(self) -> str:
        """Name of the lease holder, "" if none."""
        return self.authority.holder.name if self.authority.holder is not None else ""

    @property
    def lease_epoch(self) -> int:
        """Epoch of the lease in force, 0 if none."""
        return self.authority.holder.epoch if self.authority.holder is not None else 0

    @property
    def needs_person(self) -> bool:
        """Whether nothing but a person may let the policy drive again; kept over a restart of the daemon."""
        is_scripted_pause = self._cause in (PauseCause.OPERATOR, PauseCause.SCRIPTED_LAPSE)
        is_waiting = self.authority.mode is Mode.PAUSED and not is_scripted_pause
        return is_waiting or self.authority.mode is Mode.STOPPED or self.authority.source is Source.PERSON

    @property
    def is_scripted_driving(self) -> bool:
        return self.authority.mode is Mode.TELEOP and self.authority.source is Source.SCRIPTED

    @property
    def command(self) -> Command | None:
        """The person's command to execute now; None unless a person drives."""
        is_person = self.authority.mode is Mode.TELEOP and self.authority.source is Source.PERSON
        return self._command if is_person else None

    @property
    def pause_text(self) -> str:
        """Why the robot does not drive, for people; "" if it may."""
        if self.authority.mode is Mode.STOPPED:
            return self.reason
        if self.authority.mode is not Mode.PAUSED:
            return ""
        texts = {
            PauseCause.OPERATOR: "paused by an operator",
            PauseCause.SCRIPTED_LAPSE: "the scripted supervisor's lease lapsed",
            PauseCause.PERSON_LAPSE: f"the operator's commands or lease lapsed: {GO_ON}",
            PauseCause.REBOOT: f"restarted while a person was needed: {GO_ON}",
            PauseCause.CLEARED: f"stop was cleared: {GO_ON}",
        }
        return texts[self._cause] if self._cause is not None else "paused"

    # --- Steps -------------------------------------------------------------------------------------------------------

    def begin_episode(self) -> None:
        """Allow the supervisor its requests anew; what ended the last episode is no reason in this one."""
        self._desk.begin()
        if self.authority.mode is Mode.AUTONOMOUS:
            self.reason = ""

    def end_episode(self, reason: str) -> None:
        """Give a lease of the scripted supervisor back: it never spans two episodes."""
        self._desk.cancel(reason)
        if self.authority.source is Source.SCRIPTED:
            self._release(reason)

    def step(self, wishes: Wishes, wish: SupervisorWish, reason: str, *, now_s: float) -> Authority:
        """Take in everything wanted at this step and return who drives in it.

        `wish` and `reason` come from the supervisor (NONE between episodes). Stop beats a person, a person beats the
        supervisor, and a lapse is noticed before anybody engages.
        """
        self._steps_in_mode += 1
        self._stop_or_clear(wishes)
        self._follow_server(wishes, now_s=now_s)
        self._lapse(now_s=now_s)
        self._pause_or_resume(wishes)
        self._take_reply(wish)
        self._follow_supervisor(wish, reason, now_s=now_s)
        self._engage(now_s=now_s)
        if self._grant is not None and self.authority.source is Source.SCRIPTED:
            self._desk.renew_if_due(self._grant, now_s=now_s)
        return self.authority

    def _stop_or_clear(self, wishes: Wishes) -> None:
        is_new, self._stop_count = wishes.stop_count > self._stop_count, wishes.stop_count
        if is_new or wishes.stop is not None:
            self._halt(wishes.stop)
        elif self.authority.mode is Mode.STOPPED:
            self._apply(AuthorityEvent.CLEAR, reason="stop cleared")
            self._cause = PauseCause.CLEARED

    def _halt(self, stop: StopInfo | None) -> None:
        """Stop; with a newer stop only its reason changes. None: it was cleared before this step."""
        reason = f"stopped by {stop.by}" + (f": {stop.reason}" if stop.reason else "") if stop else "stopped"
        if self.authority.mode is Mode.STOPPED:
            self.reason = reason
            return
        self._desk.cancel("stopped")
        if self._grant is not None and self.authority.source is Source.SCRIPTED:
            self._desk.release(self._grant.holder.epoch, "stopped")
        self._apply(AuthorityEvent.STOP, reason=reason)

    def _pause_or_resume(self, wishes: Wishes) -> None:
        is_withdrawn = self._was_pause_wanted and not wishes.is_paused
        self._was_pause_wanted = wishes.is_paused
        if wishes.is_paused:
            if self.authority.source is Source.SCRIPTED:
                self._release("paused by an operator")
            if self.authority.mode is Mode.AUTONOMOUS:
                self._apply(AuthorityEvent.PAUSE, reason="paused by an operator")
                self._cause = PauseCause.OPERATOR
        elif self.authority.mode is Mode.PAUSED:
            is_scripted = self._cause is PauseCause.SCRIPTED_LAPSE and self._safety.is_scripted_resume
            if is_withdrawn or (is_scripted and self._steps_in_mode > 0):
                self._apply(AuthorityEvent.RESUME, reason="resumed")

    def _follow_server(self, wishes: Wishes, *, now_s: float) -> None:
        """A person's lease, as the server states it: taken when new, prolonged when known, ended when gone.

        One that is gone without having been handed back ran out: nobody decided that the policy shall go on.
        """
        lease, holder = wishes.lease, self.authority.holder
        if wishes.command is not None and holder is not None and wishes.command.epoch == holder.epoch:
            self._command = wishes.command
        if lease is not None and holder is not None and lease.holder.epoch == holder.epoch:
            self._prolong(lease)
        elif lease is not None and lease.holder.source is Source.PERSON:
            is_fresh = lease.holder.epoch > self.authority.newest_epoch and now_s < lease.expires_at_s
            if is_fresh and self.authority.mode is not Mode.STOPPED:
                self._take(lease, reason="taken over at the console")
        elif holder is not None and holder.source is Source.PERSON:
            if wishes.handed_back_epoch >= holder.epoch:
                self._apply(AuthorityEvent.HAND_BACK, reason="handed back", holder=holder)
            else:
                self._end_lapsed()

    def _take_reply(self, wish: SupervisorWish) -> None:
        reply = self._desk.take_reply()
        if isinstance(reply, Refusal):
            logger.info("lease refused: %s %s", reply.code, reply.message)
        if not isinstance(reply, Grant):
            return
        if self.authority.holder is not None and reply.holder.epoch == self.authority.holder.epoch:
            self._prolong(reply)
            return
        is_wanted = wish is SupervisorWish.TAKE and self.authority.mode is Mode.AUTONOMOUS
        if not (is_wanted and self._take(reply, reason=self._desk.reason)):
            self._desk.release(reply.holder.epoch, "no longer wanted")

    def _lapse(self, *, now_s: float) -> None:
        grant, mode = self._grant, self.authority.mode
        if grant is None or mode not in (Mode.HANDOVER, Mode.TELEOP):
            return
        silent_s = now_s - (self._command.sent_s if self._command is not None else self._taken_s)
        is_person = grant.holder.source is Source.PERSON  # the supervisor sits in this process and sends no commands
        if now_s >= grant.expires_at_s or (is_person and silent_s > self._safety.engage_timeout_s):
            self._end_lapsed()
        elif is_person and mode is Mode.TELEOP and silent_s > self._safety.command_timeout_s:
            self._apply(AuthorityEvent.FALTER, reason="commands stopped", holder=grant.holder)

    def _end_lapsed(self) -> None:
        holder = self.authority.holder
        assert holder is not None
        logger.warning("%s lapsed: holding still", holder.name)
        self._apply(AuthorityEvent.LAPSE, reason=f"{holder.source.value} lapsed", holder=holder)
        is_person = holder.source is Source.PERSON
        self._cause = PauseCause.PERSON_LAPSE if is_person else PauseCause.SCRIPTED_LAPSE

    def _follow_supervisor(self, wish: SupervisorWish, reason: str, *, now_s: float) -> None:
        if self.authority.source is Source.SCRIPTED:
            if wish is SupervisorWish.HAND_BACK:
                self._release(reason)
            return
        is_wanted = wish is SupervisorWish.TAKE and self.authority.mode is Mode.AUTONOMOUS
        if is_wanted and self._desk.ask_if_due(reason, now_s=now_s):
            self._take_reply(wish)  # a local desk answers at once

    def _engage(self, *, now_s: float) -> None:
        if self.authority.mode is not Mode.HANDOVER or self._steps_in_mode < self._handover_steps:
            return
        is_fresh = self._command is not None and now_s - self._command.sent_s <= self._safety.command_timeout_s
        if self.authority.source is Source.SCRIPTED or is_fresh:
            self._apply(AuthorityEvent.ENGAGE, reason=self.reason, holder=self.authority.holder)

    # --- Changes -----------------------------------------------------------------------------------------------------

    def _take(self, grant: Grant, *, reason: str) -> bool:
        if not self._apply(AuthorityEvent.TAKE, reason=reason, holder=grant.holder):
            return False
        self._grant = grant
        self._taken_s = grant.received_s
        self._command = None
        return True

    def _prolong(self, grant: Grant) -> None:
        """Every repetition of the state restates the lease: only a real extension counts as a renewal.

        An earlier end counts too: the server's clock was read late before, or it shortened the lease.
        """
        if self._grant is None:
            return
        longer_s = grant.expires_at_s - self._grant.expires_at_s
        if longer_s > CLOCK_JITTER_S:
            self._grant = grant
        elif longer_s < 0:
            self._grant = replace(self._grant, expires_at_s=grant.expires_at_s)

    def _release(self, reason: str) -> None:
        holder = self.authority.holder
        if holder is not None and self._apply(AuthorityEvent.HAND_BACK, reason=reason, holder=holder):
            self._desk.release(holder.epoch, reason)

    def _apply(self, event: AuthorityEvent, *, reason: str, holder: Holder | None = None) -> bool:
        try:
            after = transition(self.authority, event, holder)
        except AuthorityError as error:
            logger.warning("%s refused: %s", event.value, error.message)
            return False
        if after.mode is not self.authority.mode or after.holder != self.authority.holder:
            self._steps_in_mode = 0
        self.authority = after
        self.reason = reason
        if after.holder is None:
            self._grant = None
            self._command = None
        return True


class _Desk:
    """Bounds the supervisor's requests: one at a time, so many an episode, so often at most."""

    def __init__(self, config: SupervisorConfig, leases: LeaseDesk | None) -> None:
        self.reason = ""
        self._config = config
        self._leases = leases
        self._asked_s: float | None = None
        self._next_s = float("-inf")
        self._requests = 0
        self._renewed_s = float("-inf")

    def begin(self) -> None:
        self._requests = 0
        self._next_s = float("-inf")

    def cancel(self, reason: str) -> None:
        """Forget an unanswered request; a lease granted all the same is returned by `take_reply`'s caller."""
        self._asked_s = None
        self._requests = self._config.request_limit
        self.reason = reason

    def ask_if_due(self, reason: str, *, now_s: float) -> bool:
        """Ask for a lease if none is being waited for and the bounds allow it; whether it was asked."""
        if self._asked_s is not None and now_s - self._asked_s > self._config.request_timeout_s:
            self._asked_s = None
        is_allowed = self._requests < self._config.request_limit and now_s >= self._next_s
        if self._leases is None or self._asked_s is not None or not is_allowed:
            return False
        self.reason = reason
        self._next_s = now_s + self._config.request_interval_s
        if not self._leases.request(reason):
            return False
        self._asked_s = now_s
        self._requests += 1
        return True

    def take_reply(self) -> Grant | Refusal | None:
        reply = self._leases.take_reply() if self._leases is not None else None
        if reply is not None:
            self._asked_s = None
        if isinstance(reply, Grant):
            self._renewed_s = reply.received_s
            self._requests = 0
        return reply

    def renew_if_due(self, grant: Grant, *, now_s: float) -> None:
        """Ask for more time when the configured part of the lease has passed; again after that long if unanswered."""
        length_s = grant.expires_at_s - grant.received_s
        if self._leases is None or length_s == float("inf"):
            return
        due_s = max(grant.received_s, self._renewed_s) + self._config.renew_after * length_s
        if now_s >= due_s:
            self._renewed_s = now_s
            self._leases.renew(grant.holder.epoch)

    def release(self, epoch: int, reason: str) -> None:
        if self._leases is not None:
            self._leases.release(epoch, reason)
