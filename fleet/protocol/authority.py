"""Who drives the robot: modes, events and the one table of legal transitions.

Pure. The daemon's control loop owns one `Authority` value and replaces it by `transition()`; nobody else decides.
A lease (granted by the server, fenced by its epoch) is what lets a person or the scripted supervisor drive; the
robot itself refuses an epoch older than the newest it has seen.
"""

from __future__ import annotations

import enum

import msgspec

from fleet.protocol.errors import IllegalTransition, LeaseFenced


class Mode(enum.StrEnum):
    """State of the robot's authority. `MODE_CODES` gives the int8 written in every recorded step."""

    AUTONOMOUS = "autonomous"
    HANDOVER = "handover"
    TELEOP = "teleop"
    PAUSED = "paused"
    STOPPED = "stopped"


MODE_CODES: dict[Mode, int] = {mode: index for index, mode in enumerate(Mode)}


class Source(enum.StrEnum):
    """Who produced an executed action. `SOURCE_CODES` gives the int8 written in every recorded step."""

    POLICY = "policy"
    PERSON = "person"
    SCRIPTED = "scripted"


SOURCE_CODES: dict[Source, int] = {source: index for index, source in enumerate(Source)}


class AuthorityEvent(enum.StrEnum):
    TAKE = "take"  # a lease was granted to a person or to the scripted supervisor
    ENGAGE = "engage"  # the new driver's first valid command arrived
    HAND_BACK = "hand_back"  # the lease holder returned control
    FALTER = "falter"  # a person's commands stopped: hold still, the lease goes on
    LAPSE = "lapse"  # the lease expired, or nobody engaged for too long: hold still
    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"  # latches until CLEAR
    CLEAR = "clear"


class Holder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Holder of a lease: `source` is PERSON or SCRIPTED, `epoch` >= 1 fences earlier holders."""

    source: Source
    name: str
    epoch: int


class Authority(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Mode, current holder (None unless HANDOVER or TELEOP) and the newest epoch ever seen."""

    mode: Mode = Mode.AUTONOMOUS
    holder: Holder | None = None
    newest_epoch: int = 0

    @property
    def source(self) -> Source:
        """Who drives now: the holder in HANDOVER and TELEOP, else the policy."""
        return self.holder.source if self.holder is not None else Source.POLICY


TRANSITIONS: dict[tuple[Mode, AuthorityEvent], Mode] = {
    (Mode.AUTONOMOUS, AuthorityEvent.TAKE): Mode.HANDOVER,
    (Mode.HANDOVER, AuthorityEvent.TAKE): Mode.HANDOVER,
    (Mode.TELEOP, AuthorityEvent.TAKE): Mode.HANDOVER,
    (Mode.PAUSED, AuthorityEvent.TAKE): Mode.HANDOVER,
    (Mode.HANDOVER, AuthorityEvent.ENGAGE): Mode.TELEOP,
    (Mode.HANDOVER, AuthorityEvent.HAND_BACK): Mode.AUTONOMOUS,
    (Mode.TELEOP, AuthorityEvent.HAND_BACK): Mode.AUTONOMOUS,
    (Mode.TELEOP, AuthorityEvent.FALTER): Mode.HANDOVER,
    (Mode.HANDOVER, AuthorityEvent.LAPSE): Mode.PAUSED,
    (Mode.TELEOP, AuthorityEvent.LAPSE): Mode.PAUSED,
    (Mode.AUTONOMOUS, AuthorityEvent.PAUSE): Mode.PAUSED,
    (Mode.PAUSED, AuthorityEvent.RESUME): Mode.AUTONOMOUS,
    **{(mode, AuthorityEvent.STOP): Mode.STOPPED for mode in Mode},
    (Mode.STOPPED, AuthorityEvent.CLEAR): Mode.PAUSED,
}


def transition(authority: Authority, event: AuthorityEvent, holder: Holder | None = None) -> Authority:
    """Return the authority after `event`.

    `holder` names who acts and is required for TAKE; for ENGAGE, HAND_BACK, FALTER and LAPSE it fences: when given, its
    epoch must be that of the current holder.
    Raises: IllegalTransition if the table has no row for it; LeaseFenced if the epoch is not newer (TAKE) or not
    the current one (the others), or if the scripted supervisor would take from a person.
    """
    mode = TRANSITIONS.get((authority.mode, event))
    if mode is None:
        raise IllegalTransition(f"'{event}' is not possible in mode '{authority.mode}'", mode=authority.mode)
    newest = authority.newest_epoch
    if event is AuthorityEvent.TAKE:
        _check_take(authority, holder)
        assert holder is not None
        return Authority(mode=mode, holder=holder, newest_epoch=holder.epoch)
    if holder is not None and (authority.holder is None or holder.epoch != authority.holder.epoch):
        raise LeaseFenced("this lease is not the current one", epoch=holder.epoch, newest_epoch=newest)
    keeps_holder = mode in (Mode.HANDOVER, Mode.TELEOP)
    return Authority(mode=mode, holder=authority.holder if keeps_holder else None, newest_epoch=newest)


def _check_take(authority: Authority, holder: Holder | None) -> None:
    if holder is None or holder.source is Source.POLICY:
        raise IllegalTransition("taking over needs the holder of a lease")
    if holder.epoch <= authority.newest_epoch:
        raise LeaseFenced("a newer lease was seen", epoch=holder.epoch, newest_epoch=authority.newest_epoch)
    if authority.source is Source.PERSON and holder.source is Source.SCRIPTED:
        raise LeaseFenced("a person drives; the scripted supervisor never takes from a person", epoch=holder.epoch)
