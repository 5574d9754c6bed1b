"""People at browsers, seen from the robot: who may drive, who may stop, what they hear, and what is bounded."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from fleet.daemon.command_gate import speed_cap
from fleet.daemon.config import SafetyConfig, TeleopConfig
from fleet.daemon.inbox import ControlInbox
from fleet.daemon.report import StepReport
from fleet.daemon.state_dir import StateDir
from fleet.daemon.stops import Stops
from fleet.daemon.teleop import Teleop
from fleet.protocol.authority import Mode, Source
from fleet.protocol.messages import CameraInfo, LeaseInfo, PeerAnswer, PeerOffer, RobotMessage
from fleet.protocol.teleop import ClockEcho, ClockProbe, Drive, Feedback, PeerRobotMessage, PeerStop
from tests.fleet.daemon.hand_media import HandMedia
from tests.fleet.daemon.point import PointDriver
from tests.fleet.waiting import until

BROWSER_AHEAD_S = 1000.0  # of the robot's clock


class Robot:
    """A Teleop at a clock that the test sets."""

    def __init__(self, path: Path, **config: Any) -> None:
        self.now_s = 50.0
        self.media = HandMedia()
        self.inbox = ControlInbox()
        self.stops = Stops(self.inbox, StateDir(path))
        self.told: list[RobotMessage] = []
        info = msgspec.structs.replace(PointDriver().info, views=(CameraInfo(name="overview", width=64, height=48),))
        self.teleop = Teleop(
            media=self.media,
            info=info,
            config=TeleopConfig(**config),
            safety=SafetyConfig(),
            inbox=self.inbox,
            stops=self.stops,
            send=lambda message: self.told.append(message) is None,
            now=lambda: self.now_s,
        )

    async def watch(self, peer_id: str = "p1", *, connection: str = "tab 1", user: str = "ana") -> PeerAnswer:
        """Offer, wait for the answer, and tell the robot the browser's clock."""
        count = len(self.told)
        self.teleop.offered(offer(peer_id, connection=connection, user=user))
        await until(lambda: len(self.told) > count)
        answer = self.told[-1]
        assert isinstance(answer, PeerAnswer)
        return answer

    def say(self, peer_id: str, message: Any) -> None:
        self.media.on_text(peer_id, msgspec.json.encode(message).decode())

    async def know_clock(self, peer_id: str = "p1") -> None:
        """Answer the newest probe, as a browser does."""
        await until(lambda: any(to == peer_id and isinstance(m, ClockProbe) for to, m in self.media.sent))
        probe = [m for to, m in self.media.sent if to == peer_id and isinstance(m, ClockProbe)][-1]
        self.say(peer_id, ClockEcho(probe=probe.probe, clock_ms=(self.now_s + BROWSER_AHEAD_S) * 1e3))

    def drive(self, seq: int, *, peer_id: str = "p1", epoch: int = 1, dx: float = 0.0, **changes: Any) -> None:
        values: dict[str, Any] = {
            "epoch": epoch,
            "seq": seq,
            "sent_ms": (self.now_s + BROWSER_AHEAD_S) * 1e3,
            "axes": (dx, 0.5),
            "video_age_ms": 20.0,
        }
        self.say(peer_id, Drive(**(values | changes)))

    def applied(self) -> list[float] | None:
        command = self.inbox.take().command
        return command.action.tolist() if command is not None else None

    def refusals(self, peer_id: str = "p1") -> dict[str, int]:
        return dict(self.teleop._peers[peer_id].gate.refused)


def offer(peer_id: str, *, connection: str = "tab 1", user: str = "ana", sdp: str = "offer") -> PeerOffer:
    return PeerOffer(peer_id=peer_id, connection=connection, user=user, views=("overview",), sdp=sdp, ice_servers=())


def lease(epoch: int = 1, *, connection: str = "tab 1", source: Source = Source.PERSON) -> LeaseInfo:
    return LeaseInfo(epoch=epoch, source=source, operator="ana", expires_ns=1, connection=connection)


@pytest.fixture
async def robot(tmp_path: Path) -> Any:
    made = Robot(tmp_path, probe_hz=100.0)
    running = asyncio.create_task(made.teleop.run())
    yield made
    running.cancel()
    await asyncio.wait((running,))


async def test_the_holders_commands_reach_the_control_loop_after_neutral_input(robot: Robot) -> None:
    robot.teleop.follow(lease())
    assert (await robot.watch()).sdp == "answer"
    robot.drive(1)
    assert robot.refusals() == {"clock_unknown": 1}
    await robot.know_clock()
    robot.drive(2, dx=0.5)
    assert robot.applied() is None
    robot.drive(3)
    robot.drive(4, dx=0.5)
    assert robot.applied() == [0.5, 0.5]
    assert robot.refusals() == {"clock_unknown": 1, "not_neutral": 1}


async def test_a_viewer_drives_nothing_and_may_stop(robot: Robot) -> None:
    robot.teleop.follow(lease())
    await robot.watch("p2", connection="tab 2", user="ben")
    await robot.know_clock("p2")
    robot.drive(1, peer_id="p2")
    assert robot.refusals("p2") == {"not_the_driver": 1}
    stop_id = "00000000-0000-4000-8000-000000000007"
    for _ in range(2):
        robot.say("p2", PeerStop(stop_id=stop_id, reason="smoke"))
    found = robot.inbox.take()
    assert found.stop is not None and (found.stop.stop_id, found.stop.by, found.stop_count) == (stop_id, "ben", 1)
    robot.say("p2", PeerStop(stop_id="not a uuid"))
    assert robot.inbox.take().stop_count == 2, "a stop that is spelt wrong is a stop"


async def test_whoever_lost_the_lease_moves_nothing_from_then_on(robot: Robot) -> None:
    robot.teleop.follow(lease())
    await robot.watch()
    await robot.watch("p2", connection="tab 2", user="ben")
    await robot.know_clock()
    await robot.know_clock("p2")
    robot.drive(1)
    assert robot.applied() is not None
    robot.teleop.follow(lease(2, connection="tab 2"))
    robot.drive(2, dx=0.5)
    robot.drive(3, dx=0.5, epoch=2)
    assert robot.refusals() == {"not_the_driver": 2}
    robot.drive(1, peer_id="p2", epoch=1)
    robot.drive(2, peer_id="p2", epoch=2)
    assert robot.refusals("p2") == {"fenced": 1}
    for nobody in (lease(3, source=Source.SCRIPTED), None):
        robot.teleop.follow(nobody)
        robot.drive(10, peer_id="p2", epoch=3)
    assert robot.refusals("p2") == {"fenced": 1, "not_the_driver": 2}


async def test_commands_of_a_lease_that_the_robot_has_yet_to_hear_of_are_no_refusals(robot: Robot) -> None:
    """The server tells console and robot at once, and the console may be first; nothing of it moves the robot."""
    await robot.watch()
    await robot.know_clock()
    for nobody in (None, lease(3, source=Source.SCRIPTED)):
        robot.teleop.follow(nobody)
        robot.drive(1, epoch=4)
    robot.drive(2, epoch=4, dx=0.5)
    assert robot.applied() is None
    robot.teleop.follow(lease(4))
    robot.drive(3, epoch=4, dx=0.5)
    assert (robot.applied(), robot.refusals()) == (None, {"not_neutral": 1}), "what came early arms nothing"
    robot.drive(4, epoch=4)
    robot.drive(5, epoch=4, dx=0.5)
    assert (robot.applied(), robot.refusals()) == ([0.5, 0.5], {"not_neutral": 1})


async def test_a_new_offer_begins_anew(robot: Robot) -> None:
    """Sequence, clock and neutral input belong to one connection; what a closed peer says counts for nothing."""
    robot.teleop.follow(lease())
    await robot.watch()
    await robot.know_clock()
    robot.drive(9)
    assert robot.applied() is not None
    await robot.watch()
    assert robot.refusals() == {}
    robot.drive(1, dx=0.5)
    assert robot.refusals() == {"clock_unknown": 1}
    robot.teleop.closed("p1", "left")
    await until(lambda: ("p1", "left") in robot.media.closed)
    robot.say("p1", PeerStop(stop_id="00000000-0000-4000-8000-000000000007"))
    assert robot.inbox.take().stop is None


async def test_no_more_than_so_many_watch(robot: Robot) -> None:
    for number in range(3):
        assert (await robot.watch(f"p{number}")).code == ""
    assert (await robot.watch("p3")).code == "too_many_peers"
    assert (await robot.watch("p2")).code == "", "the same peer again replaces itself"
    robot.media.on_closed("p0", "gone")
    assert (await robot.watch("p3")).code == ""


async def test_a_flood_of_offers_is_not_answered(robot: Robot) -> None:
    for number in range(50):
        robot.teleop.offered(offer("p1"))
        await until(lambda wanted=number + 1: len(robot.told) == wanted)
    codes = [message.code for message in robot.told if isinstance(message, PeerAnswer)]
    assert codes == [""] * 12 + ["too_many_peers"] * 38
    robot.now_s += 1.0
    assert (await robot.watch("p1")).code == ""


async def test_a_newer_offer_ends_the_answering_of_the_older(robot: Robot) -> None:
    robot.media.gate.clear()
    robot.teleop.offered(offer("p1"))
    await asyncio.sleep(0)
    robot.teleop.offered(offer("p1"))
    robot.media.gate.set()
    await until(lambda: robot.told)
    await until(lambda: not robot.teleop._answering)
    assert [type(message) for message in robot.told] == [PeerAnswer]


async def test_an_offer_that_does_not_parse_is_answered_with_its_code(robot: Robot) -> None:
    robot.teleop.offered(offer("p1", sdp="nonsense"))
    await until(lambda: robot.told)
    assert robot.told == [PeerAnswer(peer_id="p1", code="malformed_sdp", message="that is no offer")]


@pytest.mark.parametrize(
    ("text", "code"),
    [("", "malformed_frame"), ('{"type": "fly"}', "malformed_frame"), ("x" * 5000, "frame_too_large")],
)
async def test_nonsense_is_counted_and_nothing_else(robot: Robot, text: str, code: str) -> None:
    robot.teleop.follow(lease())
    await robot.watch()
    robot.media.on_text("p1", text)
    assert robot.refusals() == {code: 1}


async def test_a_flood_is_not_read(robot: Robot) -> None:
    """1,000 messages at once: 200 are read, of which 30 as commands; the others are counted."""
    robot.teleop.follow(lease())
    await robot.watch()
    await robot.know_clock()
    for seq in range(1, 1001):
        robot.drive(seq)
    refused = robot.refusals()
    assert refused["flood"] + refused["rate"] == 1000 - 30
    assert refused["flood"] >= 800


async def test_a_browser_that_says_nothing_is_hung_up_on(robot: Robot) -> None:
    await robot.watch()
    await robot.watch("p2")
    robot.now_s += 8.0
    await robot.know_clock("p2")
    robot.now_s += 3.0
    await until(lambda: ("p1", "silent") in robot.media.closed)
    assert list(robot.teleop._peers) == ["p2"]


async def test_an_old_picture_that_is_sent_again_counts_as_old(robot: Robot) -> None:
    robot.teleop.follow(lease())
    await robot.watch()
    await robot.know_clock()
    robot.media.filmed = robot.now_s - 3.0
    robot.drive(1)
    command = robot.inbox.take().command
    assert command is not None and command.video_seen_s == pytest.approx(47.0)


async def test_a_camera_that_never_gave_a_picture_shows_nothing_whatever_the_browser_says(robot: Robot) -> None:
    robot.teleop.follow(lease())
    await robot.watch()
    await robot.know_clock()
    robot.drive(1, video_age_ms=0.0)
    command = robot.inbox.take().command
    assert command is not None
    assert speed_cap(TeleopConfig(), command, now_s=robot.now_s).share == 0.0


async def test_what_is_held_while_a_stop_is_cleared_moves_nothing(robot: Robot) -> None:
    """Also of somebody who took the lease meanwhile: neutral input counts from the clearing on."""
    robot.teleop.follow(lease(2))
    await robot.watch()
    await robot.know_clock()
    stop_id = "00000000-0000-4000-8000-000000000007"
    robot.say("p1", PeerStop(stop_id=stop_id))
    robot.drive(1, epoch=2)
    robot.drive(2, epoch=2, dx=0.5)
    assert robot.refusals() == {"stopped": 2}
    robot.stops.clear_by_signal()
    robot.drive(3, epoch=2, dx=0.5)
    assert robot.applied() is None and robot.refusals() == {"stopped": 2, "not_neutral": 1}
    robot.drive(4, epoch=2)
    robot.drive(5, epoch=2, dx=0.5)
    assert robot.applied() == [0.5, 0.5]


async def test_a_flood_of_stops_stops_once_and_costs_little(robot: Robot) -> None:
    """Each is written to the disk by the event loop, which has leases to follow."""
    await robot.watch()
    for number in range(150):
        robot.say("p1", PeerStop(stop_id=f"00000000-0000-4000-8000-{number:012d}"))
    found = robot.inbox.take()
    assert found.stop is not None and found.stop_count == 11
    assert robot.refusals() == {"flood": 139}
    robot.stops.clear_by_signal()
    robot.say("p1", PeerStop(stop_id="00000000-0000-4000-8000-000000000999"))
    assert robot.inbox.take().stop is not None, "the first stop of a robot that moves always counts"


async def test_who_is_not_offered_anew_after_the_server_was_lost_is_hung_up_on(robot: Robot) -> None:
    """What it said meanwhile of people who may not watch any more was lost, also when it is back long before."""
    await robot.watch()
    await robot.watch("p2")
    robot.teleop.unlinked()
    robot.now_s += 5.0
    robot.teleop.unlinked()  # a server that accepts and leaves again is away all the same
    robot.teleop.follow(None)
    await robot.watch("p2")
    for _ in range(4):
        robot.now_s += 6.0
        for peer_id in ("p1", "p2"):
            await robot.know_clock(peer_id)
    assert set(robot.teleop._peers) == {"p1", "p2"}
    robot.now_s += 2.0
    await until(lambda: ("p1", "unlinked") in robot.media.closed)
    assert set(robot.teleop._peers) == {"p2"}


async def test_an_answer_that_nobody_hears_any_more_is_not_waited_for(robot: Robot) -> None:
    robot.media.gate.clear()
    robot.teleop.offered(offer("p1"))
    await asyncio.sleep(0)
    robot.teleop.unlinked()
    robot.media.gate.set()
    await until(lambda: ("p1", "unlinked") in robot.media.closed)
    assert not robot.teleop._peers and robot.told == []


def driven(**changes: Any) -> StepReport:
    """A step in which Ana drives, slowed by her delay."""
    values: dict[str, Any] = {
        "at_s": 50.0,
        "mode": Mode.TELEOP,
        "source": Source.PERSON,
        "operator": "ana",
        "epoch": 1,
        "asked": np.array([1.0, 0.5], np.float32),
        "applied": np.array([0.3, 0.5], np.float32),
        "proposed": None,
        "share": 0.3,
        "limits": ("delay",),
        "state": np.array([0.123456, 0.0], np.float32),
        "episode_id": "e",
        "step": 4,
        "max_steps": 60,
        "detail": "",
    }
    return StepReport(**(values | changes))


async def test_whom_the_control_loop_does_not_obey_is_not_told_to_drive(robot: Robot) -> None:
    """The server still states the lease, and commands come; by the robot's own clock it is over."""
    robot.teleop.follow(lease())
    await robot.watch()
    await robot.know_clock()
    robot.drive(1)
    robot.media.sent.clear()
    robot.teleop.stepped(driven(mode=Mode.PAUSED, source=Source.POLICY, operator="", epoch=0))
    told = _feedback(robot.media.sent)["p1"]
    assert (told.is_driver, told.is_armed) == (True, False)


async def test_feedback_says_what_was_asked_and_what_was_done(robot: Robot) -> None:
    robot.teleop.follow(lease())
    await robot.watch()
    await robot.watch("p2", connection="tab 2", user="ben")
    await robot.know_clock()
    robot.now_s += 0.03
    robot.drive(1, sent_ms=(robot.now_s - 0.02 + BROWSER_AHEAD_S) * 1e3)
    robot.media.sent.clear()
    report = driven()
    robot.teleop.stepped(report)
    robot.teleop.stepped(report)  # too soon for another
    told = _feedback(robot.media.sent)
    assert list(told) == ["p1", "p2"]
    mine = told["p1"]
    assert (mine.is_driver, mine.is_armed, told["p2"].is_driver) == (True, True, False)
    assert (mine.asked, mine.applied, mine.limits, mine.speed_cap) == ((1.0, 0.5), (0.3, 0.5), ("delay",), 0.3)
    assert mine.command_age_ms == pytest.approx(20.0, abs=0.2)
    assert mine.state == (0.1235, 0.0)
    assert told["p2"].command_age_ms is None


def _feedback(sent: list[tuple[str, PeerRobotMessage]]) -> dict[str, Feedback]:
    found = [(to, message) for to, message in sent if isinstance(message, Feedback)]
    assert len(found) == len(dict(found))
    return dict(found)
