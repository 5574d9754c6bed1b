"""The transition table: only what it names is legal, epochs fence, a person outranks the script."""

import itertools

import pytest

from fleet.protocol.authority import TRANSITIONS, Authority, AuthorityEvent, Holder, Mode, Source, transition
from fleet.protocol.errors import IllegalTransition, LeaseFenced


def holder(epoch: int, source: Source = Source.PERSON) -> Holder:
    return Holder(source=source, name="someone", epoch=epoch)


def test_takeover_and_hand_back() -> None:
    authority = transition(Authority(), AuthorityEvent.TAKE, holder(1))
    assert (authority.mode, authority.source) == (Mode.HANDOVER, Source.PERSON)
    authority = transition(authority, AuthorityEvent.ENGAGE)
    assert authority.mode is Mode.TELEOP
    authority = transition(authority, AuthorityEvent.HAND_BACK, holder(1))
    assert authority == Authority(mode=Mode.AUTONOMOUS, holder=None, newest_epoch=1)
    assert authority.source is Source.POLICY


@pytest.mark.parametrize(("mode", "event"), list(itertools.product(Mode, AuthorityEvent)))
def test_whatever_the_table_does_not_name_raises(mode: Mode, event: AuthorityEvent) -> None:
    has_holder = mode in (Mode.HANDOVER, Mode.TELEOP)
    authority = Authority(mode=mode, holder=holder(1) if has_holder else None, newest_epoch=1)
    acting = holder(2) if event is AuthorityEvent.TAKE else None
    if (mode, event) in TRANSITIONS:
        assert transition(authority, event, acting).mode is TRANSITIONS[mode, event]
    else:
        with pytest.raises(IllegalTransition):
            transition(authority, event, acting)


def test_stop_is_reachable_from_everywhere_and_latches() -> None:
    for mode in Mode:
        assert TRANSITIONS[mode, AuthorityEvent.STOP] is Mode.STOPPED
    leaving = {event for (mode, event), to in TRANSITIONS.items() if mode is Mode.STOPPED and to is not Mode.STOPPED}
    assert leaving == {AuthorityEvent.CLEAR}


@pytest.mark.parametrize("epoch", [0, 3, 4])
def test_old_epoch_cannot_take(epoch: int) -> None:
    with pytest.raises(LeaseFenced):
        transition(Authority(newest_epoch=4), AuthorityEvent.TAKE, holder(epoch))


def test_scripted_supervisor_never_takes_from_a_person() -> None:
    driving = Authority(mode=Mode.TELEOP, holder=holder(1), newest_epoch=1)
    with pytest.raises(LeaseFenced):
        transition(driving, AuthorityEvent.TAKE, holder(2, Source.SCRIPTED))
    scripted = Authority(mode=Mode.TELEOP, holder=holder(1, Source.SCRIPTED), newest_epoch=1)
    assert transition(scripted, AuthorityEvent.TAKE, holder(2)).source is Source.PERSON


def test_former_holder_cannot_hand_back_for_the_new_one() -> None:
    driving = Authority(mode=Mode.TELEOP, holder=holder(2), newest_epoch=2)
    with pytest.raises(LeaseFenced):
        transition(driving, AuthorityEvent.HAND_BACK, holder(1))


def test_policy_cannot_hold_a_lease() -> None:
    with pytest.raises(IllegalTransition):
        transition(Authority(), AuthorityEvent.TAKE, holder(1, Source.POLICY))
    with pytest.raises(IllegalTransition):
        transition(Authority(), AuthorityEvent.TAKE)
