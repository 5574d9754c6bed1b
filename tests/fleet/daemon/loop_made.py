"""Episodes of the point robot in virtual time, and what happens in them at given steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from fleet.daemon.clock import VirtualClock
from fleet.daemon.config import ControlConfig, SafetyConfig
from fleet.daemon.control_loop import EpisodeRunner
from fleet.daemon.episode import EpisodeRecording, EpisodeSpec
from fleet.daemon.inbox import Command, ControlInbox, Grant
from fleet.daemon.report import StepReport
from fleet.protocol.authority import Holder, Mode, Source
from fleet.protocol.recording import Origin
from tests.fleet.daemon.point import PointDriver


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
