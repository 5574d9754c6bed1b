"""Where the safety tests happen: the real stack with one robot in real time, people at real Chromiums, a bad network.

The path between browser and robot leads through an `Impairment` (this kernel has no netem): a script in the page puts
the relay's addresses into offer and answer, so that neither end knows another way. How long the robot took to stand is
read from the steps that it recorded itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Locator, Page, expect
from playwright.sync_api import Error as PlaywrightError

from fleet.protocol.authority import MODE_CODES, Mode
from fleet.protocol.steps import decode_steps
from fleet.storage.keys import episode_object
from tests.stack.harness import PASSWORD, System
from tests.stack.impair import PRISTINE, Impairment, Profile

ROBOT = "arm-one"
MOVING_AXES = 3  # of the simulator's actions; the fourth is the gripper, which keeps its value
OPTIONS = tuple(
    part
    for option in ("control.max_hold_steps=20000", "supervisor.is_enabled=false", "help.is_enabled=false")
    for part in ("--set", option)
)
SCRIPT = (Path(__file__).parent / "page.js").read_text()
CONNECT_MS = 20_000
FRESH_MS = 500  # an older word does not say what the robot does now: a full queue on the path delays it
IS_FRESH = f"f.offset_ms !== null && performance.now() - f.step_ms - f.offset_ms < {FRESH_MS}"
MOVES = f"{IS_FRESH} && f.applied.slice(0, {MOVING_AXES}).some((axis) => Math.abs(axis) > 0.01)"
MOVES_FULLY_ASKED = f"{MOVES} && f.asked.slice(0, {MOVING_AXES}).some((axis) => Math.abs(axis) > 0.9)"


@dataclass(frozen=True)
class Driven:
    """Recorded steps of one episode: `captured_ns` int64 [T], `action` and `asked` float32 [T, A], `mode` int8 [T]."""

    captured_ns: np.ndarray[Any, Any]
    action: np.ndarray[Any, Any]
    asked: np.ndarray[Any, Any]
    mode: np.ndarray[Any, Any]
    epoch: np.ndarray[Any, Any]
    period_ms: np.ndarray[Any, Any]

    @property
    def is_moving(self) -> np.ndarray[Any, Any]:
        moving: np.ndarray[Any, Any] = (np.abs(self.action[:, :MOVING_AXES]) > 1e-6).any(axis=1)
        return moving

    def standstill_ms(self, at_ns: int) -> float:
        """Return the time from `at_ns` to the first step from which on nothing moved any more.

        Raises: AssertionError if the robot did not move before `at_ns`, or never stood afterwards.
        """
        before = self.captured_ns < at_ns
        last_second = before & (self.captured_ns > at_ns - 1_000_000_000)
        assert self.is_moving[last_second].any(), "the robot did not move when it happened"
        assert not self.is_moving[-1], "the robot never stood still"
        last = int(np.flatnonzero(self.is_moving)[-1])
        return max(0.0, (int(self.captured_ns[last + 1]) - at_ns) / 1e6)

    def bound_ms(self, watchdog_ms: float, at_ns: int) -> float:
        """Return the watchdog's time plus one control period: the longest that was measured around it."""
        near = np.abs(self.captured_ns - at_ns) < 1_500_000_000
        return watchdog_ms + max(100.0, float(self.period_ms[near].max()))

    def is_driven(self) -> np.ndarray[Any, Any]:
        driven: np.ndarray[Any, Any] = self.mode == MODE_CODES[Mode.TELEOP]
        return driven


@dataclass
class Arena:
    """The running system, its robot, and what is to be tidied up after a test."""

    system: System
    path: Impairment
    robot_id: str
    people: list[Person] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    @property
    def daemon_pid(self) -> int:
        process = self.system.processes.get(ROBOT).process
        assert process is not None
        return process.pid

    def media_pid(self) -> int:
        """Return the process that carries video and commands: the daemon's child."""
        children = Path(f"/proc/{self.daemon_pid}/task/{self.daemon_pid}/children").read_text().split()
        found = [int(pid) for pid in children if "media" in Path(f"/proc/{pid}/cmdline").read_text()]
        found += [int(pid) for pid in children if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]
        assert found, "the media process is not running"
        return found[0]

    def stop_by_hand(self) -> None:
        """Stop the robot as somebody who stands beside it, which ends and delivers the episode."""
        if not self._is_stopped():
            os.kill(self.daemon_pid, signal.SIGUSR1)
            # A signal that follows at once could be taken before this one.
            self.system.wait_for(self._is_stopped, what="the robot stopped")

    def release_by_hand(self) -> None:
        os.kill(self.daemon_pid, signal.SIGUSR2)
        self.system.wait_for(lambda: not self._is_stopped(), what="the stop cleared")

    def _is_stopped(self) -> bool:
        path = self.system.robot_state(ROBOT) / "stops.json"
        return path.exists() and bool(json.loads(path.read_bytes())["stops"])

    def driven_at(self, at_ns: int) -> Driven:
        """End the episode and return what the robot recorded of the one that ran at `at_ns`."""
        self.stop_by_hand()
        found: list[Driven] = []

        def is_delivered() -> bool:
            for episode_id in self.known() - self.seen:
                driven = self.steps(episode_id)
                self.seen.add(episode_id)
                if driven.captured_ns[0] <= at_ns <= driven.captured_ns[-1] + 1_000_000_000:
                    found.append(driven)
            return bool(found)

        self.system.wait_for(is_delivered, what="the episode's delivery")
        return found[0]

    def steps(self, episode_id: str) -> Driven:
        path = self.system.stack.data_dir / "objects" / episode_object(episode_id, "steps.parquet")
        columns = decode_steps(path.read_bytes())
        return Driven(
            captured_ns=columns["captured_ns"],
            action=columns["action"],
            asked=columns["action.asked"],
            mode=columns["mode"],
            epoch=columns["lease_epoch"],
            period_ms=columns["period_ms"],
        )

    def known(self) -> set[str]:
        return set(self.system.registered(ROBOT))

    def set_profile(self, profile: Profile) -> None:
        self.path.set_profile(profile)

    def start_robot_again(self) -> None:
        self.system.start_robot(ROBOT, *OPTIONS)

    def tidy(self) -> None:
        """Send everybody home, stop, deliver, clear: the robot waits for a person."""
        for person in self.people:
            with contextlib.suppress(PlaywrightError):  # a browser that was killed has nothing left to close
                person.page.context.close()
        self.people.clear()
        self.path.mend()
        self.path.set_profile(PRISTINE)
        self.stop_by_hand()
        self.system.rows("UPDATE fleet_lease SET released_at = now(), end_reason = 'tidy' WHERE released_at IS NULL")
        self.system.rows("UPDATE fleet_robot SET state_revision = state_revision + 1")
        self.release_by_hand()


@dataclass
class Person:
    """Somebody at a browser of their own, watching the robot."""

    arena: Arena
    page: Page
    name: str

    def cockpit(self) -> Locator:
        return self.page.get_by_test_id(f"cockpit-{ROBOT}")

    def feedback(self) -> dict[str, Any]:
        """Return what the robot last told this browser over the data channel."""
        found: dict[str, Any] | None = self.page.evaluate("() => window.sop.feedback")
        return found or {}

    def picture_ns(self) -> int:
        """Return when this browser last showed a fresh picture, as its commands tell the robot (Unix time)."""
        return int(self.page.evaluate("() => window.sop.pictureMs") * 1e6)

    def wait_for_feedback(self, condition: str, *, timeout_s: float = 20.0) -> dict[str, Any]:
        """Wait until the JavaScript `condition` holds of the feedback `f`."""
        try:
            self.page.wait_for_function(
                f"() => {{ const f = window.sop.feedback; return f !== null && ({condition}); }}",
                timeout=timeout_s * 1000,
                polling=50,
            )
        except PlaywrightError:
            raise AssertionError(f"not within {timeout_s} s: {condition}; the robot says {self.feedback()}") from None
        return self.feedback()

    def wait_until_connected(self) -> None:
        phase = self.cockpit().get_by_test_id("peer")
        try:
            expect(phase).to_have_attribute("data-phase", "connected", timeout=CONNECT_MS)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.arena.system.log(ROBOT)[-4000:]}") from None

    def take_over(self) -> None:
        """Press the button once the console's own checks pass; the robot then takes this browser's commands."""
        take = self.cockpit().get_by_test_id("take")
        try:
            expect(take).to_be_enabled(timeout=CONNECT_MS)
        except AssertionError:
            raise AssertionError(self.cockpit().get_by_test_id("checks").inner_text()) from None
        take.click()
        self.wait_for_feedback("f.is_driver && f.is_armed && f.mode === 'teleop'")

    def push(self, key: str = "w", *, until: str = MOVES) -> None:
        """Hold a drive key until the robot moves by it, or more: `until` of the feedback `f`.

        On a bad network, or a machine busy with another browser, the robot lets go now and then, as it should: then the
        key is lifted, the robot taken over anew if it waits for that, and the key held again.
        """
        for _ in range(8):
            self.page.keyboard.down(key)
            if self._moves(until, within_s=3):
                return
            self._rest(key)
            if self.feedback()["mode"] == "paused":
                self.take_over()
        raise AssertionError(f"the robot does not move; it says {self.feedback()}")

    def keep_pushing(self, *, until: str = MOVES) -> None:
        """Push again if the robot let go meanwhile."""
        if not self._moves(until, within_s=1):
            self._rest("w")
            self.push(until=until)

    def _moves(self, condition: str, *, within_s: float) -> bool:
        with contextlib.suppress(AssertionError):
            self.wait_for_feedback(f"f.mode === 'teleop' && {condition}", timeout_s=within_s)
            return True
        return False

    def _rest(self, key: str) -> None:
        """Lift the key for as long as a hand does: the console must see it at rest before it counts again."""
        self.let_go(key)
        sent = self.page.evaluate("() => window.sop.drive?.seq ?? 0")
        with contextlib.suppress(PlaywrightError):  # nothing is sent any more: the robot was given back
            self.page.wait_for_function(f"() => window.sop.drive?.seq > {sent} + 2", timeout=1000, polling=50)

    def let_go(self, key: str = "w") -> None:
        self.page.keyboard.up(key)


def init_script(path: Impairment | None) -> str:
    """Return the page's script with the relay's addresses filled in."""
    sides = {"browser": path.browser_side, "robot": path.robot_side} if path is not None else None
    return f"window.sopPath = {json.dumps(sides)};\n{SCRIPT}"


def watch(arena: Arena, browser: Browser, name: str, *, extra_script: str = "") -> Person:
    """Sign `name` in at a browser context of their own and open the robot's cockpit."""
    context = browser.new_context(base_url=arena.system.stack.url, viewport={"width": 1280, "height": 720})
    path = None if arena.people else arena.path  # it leads one browser; who comes later has a way of their own
    context.add_init_script(init_script(path) + extra_script)
    page = context.new_page()
    page.goto("/")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("status", name="Live link")).to_contain_text("Connected")
    page.goto(f"/teleop/{arena.robot_id}")
    person = Person(arena, page, name)
    arena.people.append(person)
    return person


def now_ns() -> int:
    return time.time_ns()
