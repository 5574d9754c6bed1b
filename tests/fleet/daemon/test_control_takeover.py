"""The control loop with a fake clock: who drives, what a takeover, a stop and an order do, what is recorded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fleet.daemon.clock import VirtualClock
from fleet.daemon.config import ControlConfig, SafetyConfig, SupervisorConfig
from fleet.daemon.inbox import Command, ControlInbox, Grant, LocalLeases, Refusal
from fleet.protocol.authority import MODE_CODES, SOURCE_CODES, Mode, Source
from fleet.protocol.messages import StopInfo
from fleet.protocol.policy import ActionChunk, Observation
from fleet.protocol.recording import Origin, Outcome
from tests.fleet.daemon.loop_made import Heard, Scripted, driven_by_ana, modes, person, runner, spec
from tests.fleet.daemon.point import ConstantPolicy, PointDriver, ScriptedSupervisor

# --- Takeover --------------------------------------------------------------------------------------------------------


def test_a_scripted_takeover_is_recorded_with_its_handover() -> None:
    """TAKE at step 4: two steps of handover, then the supervisor drives until step 9, then the policy again."""
    supervisor = ScriptedSupervisor(take_at=4, hand_back_at=9)
    driver = PointDriver()
    recording = runner(driver, supervisor=supervisor, leases=LocalLeases()).run(spec(), ConstantPolicy(dx=0.2))
    assert modes(recording)[:4] == [
        (Mode.AUTONOMOUS, Source.POLICY, 4),
        (Mode.HANDOVER, Source.SCRIPTED, 2),
        (Mode.TELEOP, Source.SCRIPTED, 3),
        (Mode.AUTONOMOUS, Source.POLICY, recording.steps - 9),
    ]
    teleop = recording.segments[2]
    assert (teleop.operator, teleop.reason, teleop.lease_epoch) == ("scripted", "no progress", 1)
    assert recording.segments[3].reason == "done"
    assert recording.human_steps == 3
    assert driver.holds == 2


def test_the_policy_proposes_while_somebody_else_drives() -> None:
    supervisor = ScriptedSupervisor(take_at=2, hand_back_at=8)
    recording = runner(supervisor=supervisor, leases=LocalLeases()).run(spec(), ConstantPolicy(dx=0.2))
    teleop = recording.arrays["mode"] == MODE_CODES[Mode.TELEOP]
    assert recording.arrays["proposed"].all()
    assert np.allclose(recording.arrays["action.proposed"][:, 0], 0.2)
    assert np.allclose(recording.arrays["action"][teleop], [1.0, -1.0])
    assert (recording.arrays["source"][teleop] == SOURCE_CODES[Source.SCRIPTED]).all()


def test_holding_keeps_the_gripper_closed() -> None:
    """While handing over the arm stands still and the gripper keeps its last command."""
    supervisor = ScriptedSupervisor(take_at=4, hand_back_at=9)
    recording = runner(supervisor=supervisor, leases=LocalLeases()).run(spec(), ConstantPolicy(dx=0.2, gripper=0.5))
    handover = recording.arrays["mode"] == MODE_CODES[Mode.HANDOVER]
    assert np.allclose(recording.arrays["action"][handover], [0.0, 0.5])


def test_after_a_hand_back_the_policy_plans_anew() -> None:
    """The first autonomous step after a takeover executes the first action of a fresh chunk."""
    policy = ConstantPolicy(dx=0.2)
    supervisor = ScriptedSupervisor(take_at=2, hand_back_at=7)
    recording = runner(supervisor=supervisor, leases=LocalLeases()).run(spec(max_steps=10), policy)
    asked_at = np.flatnonzero(recording.arrays["inference_ms"] > 0).tolist()
    assert asked_at == [0, 3, 6, 7, 10]


def test_without_handover_steps_a_demonstration_is_driven_from_the_first_step() -> None:
    recording = runner(
        control=ControlConfig(handover_steps=0), supervisor=ScriptedSupervisor(0, 10**6), leases=LocalLeases()
    ).run(spec(origin=Origin.DEMONSTRATION), None)
    assert modes(recording) == [(Mode.TELEOP, Source.SCRIPTED, recording.steps)]
    assert recording.outcome is Outcome.SUCCESS
    assert not recording.arrays["proposed"].any()


def test_a_refused_or_absent_lease_leaves_the_policy_driving_with_bounded_requests() -> None:
    class Refusing(LocalLeases):
        requests = 0

        def request(self, reason: str) -> bool:
            self.requests += 1
            self._reply = Refusal("lease_refused", "a person is at the console")  # type: ignore[assignment]
            return True

    leases = Refusing()
    recording = runner(
        supervisor=ScriptedSupervisor(0, 10**6),
        leases=leases,
        supervision=SupervisorConfig(request_limit=3, request_interval_s=0.5),
    ).run(spec(max_steps=50), ConstantPolicy(dx=0.0))
    assert leases.requests == 3
    assert modes(recording) == [(Mode.AUTONOMOUS, Source.POLICY, 50)]


def test_a_person_takes_over_from_the_supervisor_and_is_never_taken_from() -> None:
    """A person's newer lease ends the scripted one; the supervisor's wish is ignored until the person leaves."""

    def command(inbox: Scripted) -> None:
        inbox.put_command(Command(5, np.array([0.4, 0.1], np.float32), received_s=inbox.step / 10))

    events: dict[int, Any] = dict.fromkeys(range(11, 20), command)
    events[10] = lambda inbox: inbox.put_state(is_paused=False, lease=person(5))
    events[20] = lambda inbox: inbox.put_state(is_paused=False, lease=None, handed_back_epoch=5)
    supervisor = ScriptedSupervisor(take_at=2, hand_back_at=10**6)
    recording = runner(supervisor=supervisor, leases=LocalLeases(), inbox=Scripted(events)).run(
        spec(max_steps=30), ConstantPolicy(dx=0.0)
    )
    found = modes(recording)
    assert found[2] == (Mode.TELEOP, Source.SCRIPTED, 6)
    assert found[3] == (Mode.HANDOVER, Source.PERSON, 2)
    assert found[4] == (Mode.TELEOP, Source.PERSON, 8)
    assert recording.segments[4].operator == "ana"
    driven = recording.arrays["action"][recording.segments[4].start : recording.segments[4].end]
    assert np.allclose(driven[3:], [0.4, 0.1])  # the gripper comes from -1


def test_a_person_whose_commands_stop_is_held_until_somebody_resumes() -> None:
    """Deadman: 0.25 s without a command and the robot stands, 10 s and nobody drives; it never starts by itself."""
    events: dict[int, Any] = {
        3: lambda inbox: inbox.put_state(is_paused=False, lease=person(1)),
        5: lambda inbox: inbox.put_command(Command(1, np.array([0.1, 0.0], np.float32), received_s=0.5)),
        130: lambda inbox: inbox.put_state(is_paused=True, lease=None),
        133: lambda inbox: inbox.put_state(is_paused=False, lease=None),
    }
    recording = runner(inbox=Scripted(events)).run(spec(max_steps=20), ConstantPolicy(dx=0.0))
    assert modes(recording)[:5] == [
        (Mode.AUTONOMOUS, Source.POLICY, 3),
        (Mode.HANDOVER, Source.PERSON, 2),
        (Mode.TELEOP, Source.PERSON, 3),  # 0.5 s to 0.7 s, both included
        (Mode.HANDOVER, Source.PERSON, 98),  # until 10 s after the last command
        (Mode.PAUSED, Source.POLICY, 27),
    ]
    assert modes(recording)[5][0] is Mode.AUTONOMOUS
    assert recording.segments[3].reason == "commands stopped"
    still = recording.arrays["action"][8:133]
    assert not still[:, 0].any()


def test_silence_counts_from_when_the_newest_command_was_sent() -> None:
    """What was 0.15 s on its way keeps the robot moving for 0.1 s less: a slow path does not put off standing still."""
    late = Command(1, np.array([0.1, 0.0], np.float32), received_s=0.5, delay_s=0.15)
    events: dict[int, Any] = {
        3: lambda inbox: inbox.put_state(is_paused=False, lease=person(1)),
        5: lambda inbox: inbox.put_command(late),
    }
    recording = runner(inbox=Scripted(events)).run(spec(max_steps=20), ConstantPolicy(dx=0.0))
    assert modes(recording)[2:4] == [
        (Mode.TELEOP, Source.PERSON, 2),  # 0.5 s and 0.6 s: sent at 0.35 s
        (Mode.HANDOVER, Source.PERSON, 97),  # until 10 s after it was sent
    ]


def test_a_person_who_commands_again_drives_again() -> None:
    """Commands that stop for 0.4 s cost the handover anew, and no new lease."""

    def command(inbox: Scripted) -> None:
        inbox.put_command(Command(1, np.array([0.1, 0.0], np.float32), received_s=inbox.step / 10))

    events: dict[int, Any] = dict.fromkeys((*range(4, 8), *range(12, 30)), command)
    events[3] = lambda inbox: inbox.put_state(is_paused=False, lease=person(1))
    recording = runner(inbox=Scripted(events)).run(spec(max_steps=16), ConstantPolicy(dx=0.0))
    assert modes(recording)[1:5] == [
        (Mode.HANDOVER, Source.PERSON, 2),
        (Mode.TELEOP, Source.PERSON, 5),
        (Mode.HANDOVER, Source.PERSON, 2),
        (Mode.TELEOP, Source.PERSON, recording.steps - 12),
    ]
    assert {segment.lease_epoch for segment in recording.segments[1:]} == {1}


# --- Handover --------------------------------------------------------------------------------------------------------


def test_a_takeover_is_smooth_in_both_directions() -> None:
    """From the policy's full speed to a person's full reverse and back: no step changes the command by over 0.4."""
    safety = SafetyConfig(handover_change_per_step=(0.4,), handover_ramp_steps=6)
    inbox = driven_by_ana(range(3, 20), dx=-1.0, until=20)
    recording = runner(inbox=inbox, safety=safety).run(spec(max_steps=40), ConstantPolicy(dx=1.0))
    action = recording.arrays["action"][1:, 0]
    assert action.min() == -1.0 and action.max() == 1.0
    assert np.abs(np.diff(action)).max() <= 0.4 + 1e-6
    assert np.allclose(recording.arrays["action.asked"][8:20, 0], -1.0)


def test_a_pause_and_a_faltering_driver_brake_at_once() -> None:
    inbox = driven_by_ana(range(3, 12), dx=1.0, until=10**6)
    recording = runner(inbox=inbox).run(spec(max_steps=14), ConstantPolicy(dx=0.0))
    faltered = recording.segments[3]
    assert faltered.mode is Mode.HANDOVER
    assert recording.arrays["action"][faltered.start - 1, 0] == 1.0
    assert recording.arrays["action"][faltered.start, 0] == 0.0


def test_standing_still_takes_none_of_the_episodes_time() -> None:
    heard = Heard()
    inbox = Scripted({
        5: lambda inbox: inbox.put_state(is_paused=True, lease=None),
        12: lambda inbox: inbox.put_state(is_paused=False, lease=None),
    })  # fmt: skip
    recording = runner(inbox=inbox, events=heard).run(spec(max_steps=20), ConstantPolicy(dx=0.0))
    reports = [report for report in heard.reports if report.episode_id is not None]
    assert (recording.outcome, recording.steps, len(reports)) == (Outcome.TIMEOUT, 27, 27)
    left = [report.steps_left for report in reports]
    assert left == [*range(19, 14, -1), *[15] * 7, *range(14, -1, -1)]


def test_delay_slows_a_person_and_an_old_picture_stops_them() -> None:
    """Asked is recorded as asked; what was applied is what the delay allowed. The gripper is no speed."""
    late = driven_by_ana(range(3, 30), dx=1.0, until=10**6, delay_s=0.15)
    recording = runner(inbox=late).run(spec(max_steps=20), ConstantPolicy(dx=0.0))
    assert np.allclose(recording.arrays["action.asked"][10:20, 0], 1.0)
    assert np.allclose(recording.arrays["action"][10:20], [0.65, 0.5])
    blind = driven_by_ana(range(3, 30), dx=1.0, until=10**6, video_seen_s=0.0)
    recording = runner(inbox=blind).run(spec(max_steps=20), ConstantPolicy(dx=0.0))
    assert not recording.arrays["action"][8:20, 0].any()
    assert np.allclose(recording.arrays["action.asked"][8:20, 0], 1.0)


def test_only_a_person_lets_a_robot_drive_that_was_left_to_one() -> None:
    """A daemon that ended during a takeover begins paused, whatever the server says, until it is paused and resumed."""
    inbox, heard = driven_by_ana(range(3, 30), dx=0.1, until=12), Heard()
    runner(inbox=inbox, events=heard).run(spec(max_steps=20), ConstantPolicy(dx=0.0))
    assert heard.needs == [1, None]
    loop = runner(left_epoch=1)
    for _ in range(5):
        loop.idle_step()
    assert loop.pilot.authority.mode is Mode.PAUSED
    assert "restarted" in loop.pilot.pause_text
    for is_paused in (True, False):
        loop._inbox.put_state(is_paused=is_paused, lease=None)
        loop.idle_step()
    assert loop.pilot.authority.mode is Mode.AUTONOMOUS


class Driven(Scripted):
    """Ana's commands of epoch 1 at every step."""

    def take(self) -> Any:
        command = np.array([0.1, 0.0], np.float32)
        self.put_command(Command(1, command, received_s=(self.step + 1) * 0.1))
        return super().take()


@pytest.mark.parametrize(("handed_back", "then"), [(0, Mode.PAUSED), (1, Mode.AUTONOMOUS), (2, Mode.AUTONOMOUS)])
def test_only_a_lease_that_was_handed_back_lets_the_policy_go_on(handed_back: int, then: Mode) -> None:
    """A lease that ran out may be gone long before the robot's own deadline, which is late by one way of the network:
    nobody handed back, so nobody drives. Whoever took it from ana and handed back (2) speaks for her, too."""
    events: dict[int, Any] = {
        3: lambda inbox: inbox.put_state(is_paused=False, lease=person(1, expires_at_s=30.0)),
        8: lambda inbox: inbox.put_state(is_paused=False, lease=None, handed_back_epoch=handed_back),
    }
    recording = runner(inbox=Driven(events)).run(spec(max_steps=20), ConstantPolicy(dx=0.0))
    found = modes(recording)
    assert found[2] == (Mode.TELEOP, Source.PERSON, 3)
    assert found[3][0] is then


def test_a_lease_ends_as_the_server_said_last_also_when_that_is_earlier() -> None:
    events: dict[int, Any] = {
        3: lambda inbox: inbox.put_state(is_paused=False, lease=person(1, expires_at_s=30.0)),
        8: lambda inbox: inbox.put_state(is_paused=False, lease=person(1, expires_at_s=1.25)),
    }
    recording = runner(inbox=Driven(events)).run(spec(max_steps=20), ConstantPolicy(dx=0.0))
    assert [row[:2] for row in modes(recording)[2:]] == [(Mode.TELEOP, Source.PERSON), (Mode.PAUSED, Source.POLICY)]
    assert modes(recording)[2][2] == 8


def test_a_slow_policy_makes_no_command_younger() -> None:
    """What a person commands is as old as when it moves the robot, not as when the policy began to think."""
    clock = VirtualClock()

    class Slow(ConstantPolicy):
        def infer(self, observation: Observation) -> ActionChunk:
            if clock.monotonic() > 0.75:
                clock.sleep_until(clock.monotonic() + 0.3)
            return super().infer(observation)

    inbox = Driven({3: lambda inbox: inbox.put_state(is_paused=False, lease=person(1))})
    recording = runner(inbox=inbox, clock=clock).run(spec(max_steps=20), Slow(dx=0.0))
    found = modes(recording)
    assert found[2] == (Mode.TELEOP, Source.PERSON, 4), "the policy is asked at every third step, slowly at the tenth"
    assert found[3][0] is Mode.HANDOVER


def test_a_lapsed_scripted_lease_holds_and_goes_on_by_itself() -> None:
    """The lease ends on the robot's own clock though nobody says so; one held step, then the policy."""

    class Short(LocalLeases):
        def request(self, reason: str) -> bool:
            super().request(reason)
            assert self._reply is not None
            self._reply = Grant(self._reply.holder, received_s=0.2, expires_at_s=0.95)
            return True

    recording = runner(
        supervisor=ScriptedSupervisor(take_at=2, hand_back_at=12),
        leases=Short(),
        supervision=SupervisorConfig(request_limit=1, request_interval_s=60),
    ).run(spec(max_steps=20), ConstantPolicy(dx=0.0))
    assert modes(recording) == [
        (Mode.AUTONOMOUS, Source.POLICY, 2),
        (Mode.HANDOVER, Source.SCRIPTED, 2),
        (Mode.TELEOP, Source.SCRIPTED, 6),
        (Mode.PAUSED, Source.POLICY, 1),
        (Mode.AUTONOMOUS, Source.POLICY, recording.steps - 11),
    ]


def stop_info(reason: str) -> StopInfo:
    return StopInfo(stop_id="7", by="ben", reason=reason, at_ns=1)


def test_a_stop_that_was_cleared_before_its_step_still_stops() -> None:
    inbox = Scripted({5: lambda inbox: inbox.put_stop(None, count=1)})
    recording = runner(inbox=inbox).run(spec(), ConstantPolicy(dx=0.1))
    assert (recording.outcome, recording.outcome_reason, recording.steps) == (Outcome.ABORTED, "stopped", 6)


def test_a_stop_latches_and_ends_the_episode() -> None:
    """STOP beats the person who drives; only CLEAR releases it, into PAUSED, and only a person resumes."""
    events: dict[int, Any] = {
        2: lambda inbox: inbox.put_state(is_paused=False, lease=person(1)),
        4: lambda inbox: inbox.put_stop(stop_info("button"), count=1),
    }
    inbox = Scripted(events)
    loop = runner(inbox=inbox)
    recording = loop.run(spec(), ConstantPolicy())
    assert recording.outcome is Outcome.ABORTED
    assert modes(recording)[-1][0] is Mode.STOPPED
    inbox.put_state(is_paused=False, lease=None)
    loop.idle_step()
    assert loop.pilot.authority.mode is Mode.STOPPED
    inbox.put_stop(None, count=1)
    loop.idle_step()
    loop.idle_step()
    assert loop.pilot.authority.mode is Mode.PAUSED
    inbox.put_state(is_paused=True, lease=None)
    loop.idle_step()
    inbox.put_state(is_paused=False, lease=None)
    loop.idle_step()
    assert loop.pilot.authority.mode is Mode.AUTONOMOUS


def test_no_reason_that_a_person_gives_costs_the_episode() -> None:
    """The server would refuse it for good: PostgreSQL holds no zero characters."""
    inbox = Scripted({4: lambda inbox: inbox.put_stop(stop_info("smo\x00ke"), count=1)})
    recording = runner(inbox=inbox).run(spec(), ConstantPolicy())
    assert recording.outcome_reason == recording.segments[-1].reason == "stopped by ben: smoke"


def test_holding_for_too_long_aborts() -> None:
    inbox = ControlInbox()
    inbox.put_state(is_paused=True, lease=None)
    recording = runner(control=ControlConfig(max_hold_steps=12), inbox=inbox).run(spec(), ConstantPolicy())
    assert (recording.outcome, recording.steps) == (Outcome.ABORTED, 12)


def test_an_abort_closes_the_episode_with_its_steps() -> None:
    events = {5: lambda inbox: inbox.abort("the daemon stopped")}
    recording = runner(inbox=Scripted(events)).run(spec(), ConstantPolicy(dx=0.1))
    assert (recording.outcome, recording.outcome_reason, recording.steps) == (
        Outcome.ABORTED,
        "the daemon stopped",
        6,
    )
