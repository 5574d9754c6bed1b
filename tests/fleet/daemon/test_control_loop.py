"""The control loop with a fake clock: rate and overruns, who drives, what is recorded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fleet.daemon.clock import Pacer, VirtualClock
from fleet.daemon.config import ControlConfig, SafetyConfig, SupervisorConfig, ThumbnailConfig
from fleet.daemon.control_loop import EpisodeRunner
from fleet.daemon.drivers.base import DriverError
from fleet.daemon.episode import EpisodeRecording, EpisodeSpec
from fleet.daemon.inbox import Command, ControlInbox, Grant, LocalLeases, Refusal
from fleet.daemon.report import StepReport
from fleet.daemon.status import StatusBoard
from fleet.protocol.authority import MODE_CODES, SOURCE_CODES, Holder, Mode, Source
from fleet.protocol.messages import EpisodeOrder, OrderKind, StopInfo
from fleet.protocol.policy import ActionChunk, Observation
from fleet.protocol.recording import Origin, Outcome, OutcomeSource
from tests.fleet.daemon.point import ConstantPolicy, PointDriver, ScriptedSupervisor


def spec(**changes: Any) -> EpisodeSpec:
    values: dict[str, Any] = {
        "episode_id": "00000000-0000-4000-8000-000000000001",
        "origin": Origin.ONLINE,
        "task_id": None,
        "task_slug": "reach",
        "instruction": "reach the wall",
        "driver_task": "reach",
        "max_steps": 60,
        "seed": 3,
        "policy_version_id": None,
        "robot_id": None,
        "robot_name": "point",
    }
    return EpisodeSpec(**(values | changes))


def runner(driver: PointDriver | None = None, **parts: Any) -> EpisodeRunner:
    control = parts.pop("control", ControlConfig())
    safety = parts.pop("safety", SafetyConfig())
    parts.setdefault("clock", VirtualClock())
    return EpisodeRunner(driver=driver or PointDriver(), control=control, safety=safety, **parts)


def modes(recording: EpisodeRecording) -> list[tuple[Mode, Source, int]]:
    return [(segment.mode, segment.source, segment.end - segment.start) for segment in recording.segments]


def person(epoch: int, *, expires_at_s: float = 1e9) -> Grant:
    return Grant(Holder(source=Source.PERSON, name="ana", epoch=epoch), received_s=0.0, expires_at_s=expires_at_s)


class Scripted(ControlInbox):
    """An inbox in which things happen at given steps."""

    def __init__(self, events: dict[int, Any]) -> None:
        super().__init__()
        self.events = events
        self.step = -1

    def take(self) -> Any:
        self.step += 1
        event = self.events.get(self.step)
        if event is not None:
            event(self)
        return super().take()


class SlowClock(VirtualClock):
    """A clock that also passes while work is done: `work_s` at the given reads of `wall_ns` (one a step)."""

    def __init__(self, work_s: dict[int, float]) -> None:
        super().__init__()
        self.work_s = work_s
        self.reads = -1

    def wall_ns(self) -> int:
        self.reads += 1
        self._now_s += self.work_s.get(self.reads, 0.0)
        return super().wall_ns()


# --- Rate ------------------------------------------------------------------------------------------------------------


def test_steps_begin_on_absolute_deadlines() -> None:
    """Work of 30 ms in every step does not stretch a period of 100 ms."""
    clock = SlowClock(dict.fromkeys(range(1, 100), 0.03))
    recording = runner(clock=clock).run(spec(), ConstantPolicy())
    assert np.allclose(np.diff(recording.arrays["timestamp_s"]), 0.1)
    assert recording.arrays["period_ms"][0] == 0
    assert np.allclose(recording.arrays["period_ms"][1:], 100, atol=0.01)


def test_an_overrun_is_counted_once_and_not_caught_up() -> None:
    """One step of 250 ms: one overrun, the next period is a whole one, the worst period is reported."""
    clock = SlowClock({3: 0.25})
    loop = runner(clock=clock)
    recording = loop.run(spec(), ConstantPolicy())
    stats = loop.pacer.stats()
    assert stats.overruns == 1
    assert stats.worst_period_ms == pytest.approx(250)
    periods = np.diff(recording.arrays["timestamp_s"])
    assert periods.min() == pytest.approx(0.1) and periods.max() == pytest.approx(0.25)


def test_speed_factor_scales_the_period_and_zero_does_not_wait() -> None:
    assert ControlConfig(control_rate_hz=10, speed_factor=4).period_s == pytest.approx(0.025)
    clock = VirtualClock()
    pacer = Pacer(clock, period_s=ControlConfig(speed_factor=0).period_s)
    pacer.start()
    for _ in range(5):
        pacer.wait()
    assert clock.monotonic() == 0.0
    assert pacer.stats().overruns == 0


# --- Policy ----------------------------------------------------------------------------------------------------------


def test_chunks_are_executed_with_a_receding_horizon() -> None:
    """Three of six actions are executed before the policy is asked again; instruction and seed reach it."""
    policy = ConstantPolicy()
    recording = runner().run(spec(seed=11), policy)
    assert policy.resets == [("reach the wall", 11)]
    assert policy.inferences == -(-recording.steps // 3)
    assert recording.outcome is Outcome.SUCCESS
    assert recording.arrays["proposed"].all()


def test_equal_seeds_give_equal_recordings() -> None:
    first, second = (runner().run(spec(seed=5), ConstantPolicy()) for _ in range(2))
    for name, values in first.arrays.items():
        if name != "inference_ms":  # measured, not simulated
            assert np.array_equal(values, second.arrays[name]), name


def test_a_policy_that_answers_nan_holds_and_then_aborts() -> None:
    """Nothing non-finite reaches driver or recording; after the limit the episode is aborted."""
    policy = ConstantPolicy()
    policy.action = np.array([np.nan, 0.0], np.float32)
    driver = PointDriver()
    recording = runner(driver, control=ControlConfig(nonfinite_limit=4)).run(spec(), policy)
    assert recording.outcome is Outcome.ABORTED
    assert recording.steps == 4
    assert not recording.arrays["proposed"].any()
    assert all(not action.any() for action in driver.applied)


def test_a_policy_that_raises_does_not_end_the_loop() -> None:
    class Broken(ConstantPolicy):
        def infer(self, observation: Observation) -> ActionChunk:
            if self.inferences == 1:
                self.inferences += 1
                raise RuntimeError("out of memory")
            return super().infer(observation)

    recording = runner().run(spec(), Broken())
    assert recording.outcome is Outcome.SUCCESS
    assert (~recording.arrays["proposed"]).sum() == 1


def test_running_out_of_steps_is_a_timeout() -> None:
    recording = runner().run(spec(max_steps=7), ConstantPolicy(dx=0.0))
    assert (recording.outcome, recording.steps) == (Outcome.TIMEOUT, 7)


def test_a_failing_driver_aborts_with_what_was_recorded() -> None:
    driver = PointDriver(fail_at=6)
    recording = runner(driver).run(spec(), ConstantPolicy())
    assert recording.outcome is Outcome.ABORTED
    assert recording.steps == 5
    assert "fell off" in recording.outcome_reason


def test_a_camera_for_people_that_fails_costs_no_episode() -> None:
    class Blind(PointDriver):
        asked = 0

        def snapshot(self, width: int, height: int) -> Any:
            self.asked += 1
            raise DriverError("no light")

    driver = Blind()
    loop = runner(driver, board=StatusBoard(), thumbnail=ThumbnailConfig(period_s=1.0))
    assert loop.run(spec(), ConstantPolicy(dx=0.8)).outcome is Outcome.SUCCESS
    assert driver.asked == 1  # and it is not asked at every step from then on


def test_a_driver_that_fails_at_the_first_step_raises() -> None:
    with pytest.raises(DriverError, match="fell off"):
        runner(PointDriver(fail_at=1)).run(spec(), ConstantPolicy())


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


def driven_by_ana(steps: range, *, dx: float, until: int, **command: Any) -> Scripted:
    """Ana takes over at steps[0], asks for dx at each of them, and hands back at `until`."""

    def drive(inbox: Scripted) -> None:
        action = np.array([dx, 0.5], np.float32)
        inbox.put_command(Command(1, action, received_s=inbox.step / 10, **command))

    def take(inbox: Scripted) -> None:
        inbox.put_state(is_paused=False, lease=person(1))
        drive(inbox)

    events: dict[int, Any] = dict.fromkeys(steps, drive)
    events[steps[0]] = take
    events[until] = lambda inbox: inbox.put_state(is_paused=False, lease=None, handed_back_epoch=1)
    return Scripted(events)


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


# --- Orders ----------------------------------------------------------------------------------------------------------


class Heard:
    """ControlEvents that remembers."""

    def __init__(self) -> None:
        self.answers: list[tuple[str, str]] = []
        self.needs: list[int | None] = []
        self.reports: list[StepReport] = []

    def stepped(self, report: StepReport) -> None:
        self.reports.append(report)

    def ordered(self, order_id: str, code: str, message: str) -> None:
        self.answers.append((order_id, code))

    def attended(self, epoch: int | None) -> None:
        self.needs.append(epoch)


def order(kind: OrderKind, *, order_id: str = "1", epoch: int = 1, episode_id: str | None = None) -> EpisodeOrder:
    return EpisodeOrder(
        order_id=order_id, epoch=epoch, kind=kind, episode_id=episode_id or spec().episode_id, by="ana", reason=""
    )


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        (OrderKind.SUCCESS, Outcome.SUCCESS),
        (OrderKind.FAILURE, Outcome.FAILURE),
        (OrderKind.RESTART, Outcome.ABORTED),
        (OrderKind.END, Outcome.ABORTED),
    ],
)
def test_the_operators_word_ends_the_episode(kind: OrderKind, outcome: Outcome) -> None:
    inbox, heard = driven_by_ana(range(3, 30), dx=0.1, until=10**6), Heard()
    inbox.events[12] = lambda inbox: inbox.put_order(order(kind))
    loop = runner(inbox=inbox, events=heard)
    recording = loop.run(spec(), ConstantPolicy(dx=0.0))
    assert (recording.outcome, recording.outcome_source, recording.steps) == (outcome, OutcomeSource.PERSON, 13)
    assert recording.environment_outcome is None
    assert recording.outcome_reason == f"{kind.value} by ana"
    assert heard.answers == [("1", "")]
    assert loop.is_restart_wanted is (kind is OrderKind.RESTART)


def test_the_operators_word_wins_over_the_environments_and_both_are_kept() -> None:
    """The point arrives in the very step in which ana calls it a failure."""
    free = runner(inbox=driven_by_ana(range(3, 60), dx=1.0, until=10**6)).run(spec(), ConstantPolicy(dx=0.0))
    assert free.outcome is Outcome.SUCCESS
    inbox = driven_by_ana(range(3, 60), dx=1.0, until=10**6)
    drive = inbox.events[free.steps - 1]
    inbox.events[free.steps - 1] = lambda box: (drive(box), box.put_order(order(OrderKind.FAILURE)))
    labelled = runner(inbox=inbox).run(spec(), ConstantPolicy(dx=0.0))
    assert (labelled.outcome, labelled.environment_outcome) == (Outcome.FAILURE, Outcome.SUCCESS)


def test_orders_of_a_former_driver_or_about_another_episode_are_refused() -> None:
    inbox, heard = driven_by_ana(range(3, 30), dx=0.1, until=12), Heard()
    other = "00000000-0000-4000-8000-00000000000f"
    inbox.events[6] = lambda inbox: inbox.put_order(order(OrderKind.END, order_id="other", episode_id=other))
    inbox.events[7] = lambda inbox: inbox.put_order(order(OrderKind.END, order_id="old", epoch=0))
    inbox.events[15] = lambda inbox: inbox.put_order(order(OrderKind.END, order_id="gone"))
    loop = runner(inbox=inbox, events=heard)
    assert loop.run(spec(max_steps=20), ConstantPolicy(dx=0.0)).outcome is Outcome.TIMEOUT
    inbox.put_order(order(OrderKind.END, order_id="idle"))
    loop.idle_step()
    assert heard.answers == [
        ("other", "episode_over"),
        ("old", "lease_fenced"),
        ("gone", "lease_fenced"),
        ("idle", "no_episode"),
    ]


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
