"""Acceptance tests 1, 2, 5 and 6 (peers.md 9.1): whatever fails, the robot stands in time and nothing resumes alone."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserType

from sop_web.demo.run import wait_until_serving
from sop_web.demo.stack import start_server
from tests.e2e.safety.arena import MOVES_FULLY_ASKED, MOVING_AXES, ROBOT, Arena, Person, now_ns, watch
from tests.e2e.safety.conftest import Measured, Unmoved
from tests.stack.harness import USERNAME
from tests.stack.impair import PRISTINE, PROFILES, Profile

pytestmark = pytest.mark.e2e

WATCHDOG_MS = 300.0
SETTLE_S = 1.5  # how long the robot is watched after it should stand
PATIENCE_S = 2.0  # of a spike or a stopped process
LAST_PICTURE_S = 1.0  # after the video froze: relay's queue, jitter buffer and decoder
CLOCK_MS = 20.0  # the error of a clock that was asked over loopback between busy processes
profiles = pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)


def driving(arena: Arena, browser: Browser, profile: Profile = PRISTINE, *, script: str = "") -> Person:
    """The operator drives on this network: a key is held and the robot moves by it."""
    person = watch(arena, browser, USERNAME, extra_script=script)
    person.wait_until_connected()
    arena.set_profile(profile)
    person.take_over()
    person.page.keyboard.press("3")  # full speed
    person.push()
    return person


def stands(arena: Arena, at_ns: int, measured: Measured, name: str) -> None:
    """Watch on, then check the recording: stood within the watchdog's time plus one period, and stayed so."""
    time.sleep(SETTLE_S)
    driven = arena.driven_at(at_ns)
    took_ms = driven.standstill_ms(at_ns)
    measured(name, took_ms)
    assert took_ms <= driven.bound_ms(WATCHDOG_MS, at_ns)


# --- 1. Whatever dies, the robot stands ------------------------------------------------------------------------------


@pytest.fixture
def mortal(browser_type: BrowserType, browser_type_launch_args: dict[str, Any]) -> Iterator[tuple[Browser, int]]:
    """A Chromium of its own and its process group."""
    marker = f"--sop-safety={time.monotonic_ns()}"
    options = {**browser_type_launch_args, "args": [*browser_type_launch_args["args"], marker]}
    launched = browser_type.launch(**options)
    (pid,) = {os.getpgid(pid) for pid in _processes(marker)}
    yield launched, pid
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(Exception):  # it is dead already, as the test wanted
        launched.close()


def _processes(marker: str) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if marker in entry.read_text(errors="replace") and "--type=" not in entry.read_text(errors="replace"):
                found.append(int(entry.parent.name))
    return found


@profiles
def test_1_the_browser_is_killed(
    arena: Arena, mortal: tuple[Browser, int], measured: Measured, profile: Profile
) -> None:
    launched, group = mortal
    driving(arena, launched, profile)
    at_ns = now_ns()
    os.killpg(group, signal.SIGKILL)
    stands(arena, at_ns, measured, "1 browser killed")


def test_1_the_browser_is_stopped_and_wakes_up(arena: Arena, mortal: tuple[Browser, int], measured: Measured) -> None:
    """A laptop that sleeps: what it sends when it wakes, with the key still held, moves nothing."""
    launched, group = mortal
    driving(arena, launched)
    at_ns = now_ns()
    os.killpg(group, signal.SIGSTOP)
    time.sleep(PATIENCE_S)
    os.killpg(group, signal.SIGCONT)
    stands(arena, at_ns, measured, "1 browser stopped (SIGSTOP), then woken")


@profiles
def test_1_the_cable_is_pulled(arena: Arena, browser: Browser, measured: Measured, profile: Profile) -> None:
    driving(arena, browser, profile)
    at_ns = now_ns()
    arena.path.cut()
    stands(arena, at_ns, measured, "1 cable pulled")


@profiles
def test_1_the_tab_is_hidden(arena: Arena, browser: Browser, measured: Measured, profile: Profile) -> None:
    """A headless Chromium hides no tab by itself, so the page is told what it would be told."""
    person = driving(arena, browser, profile)
    at_ns = now_ns()
    person.page.evaluate(
        """() => {
          Object.defineProperty(document, "visibilityState", { value: "hidden", configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }"""
    )
    stands(arena, at_ns, measured, "1 tab hidden")


def test_1_the_server_is_killed(arena: Arena, browser: Browser, measured: Measured) -> None:
    """Without the server nobody can stop the robot over the websocket: commands wait until it is back."""
    person = driving(arena, browser)
    at_ns = now_ns()
    arena.system.kill("web")
    try:
        time.sleep(SETTLE_S)
    finally:
        start_server(arena.system.processes, arena.system.stack)
        wait_until_serving(arena.system.stack.url, arena.system.processes)
    person.wait_for_feedback("f.is_driver || f.mode === 'paused'", timeout_s=30)
    stands(arena, at_ns, measured, "1 server killed, then back")


def test_1_the_relay_is_killed(arena: Arena, browser: Browser, measured: Measured) -> None:
    """What leads the packets between them is gone, as a TURN server that dies."""
    driving(arena, browser)
    at_ns = now_ns()
    arena.path.kill()
    stands(arena, at_ns, measured, "1 relay killed")


def test_1_the_media_process_is_stopped(arena: Arena, browser: Browser, measured: Measured) -> None:
    driving(arena, browser)
    pid = arena.media_pid()
    at_ns = now_ns()
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(PATIENCE_S)
    finally:
        with contextlib.suppress(ProcessLookupError):  # the daemon may have given it up
            os.kill(pid, signal.SIGCONT)
    stands(arena, at_ns, measured, "1 media process stopped (SIGSTOP)")


def test_1_the_daemon_is_stopped_and_goes_on(arena: Arena, browser: Browser, unmoved: Unmoved) -> None:
    """A robot whose program hung for two seconds does not carry out what was meant for then."""
    driving(arena, browser)
    os.kill(arena.daemon_pid, signal.SIGSTOP)
    time.sleep(PATIENCE_S)
    at_ns = now_ns()
    os.kill(arena.daemon_pid, signal.SIGCONT)
    time.sleep(SETTLE_S)
    driven = arena.driven_at(at_ns)
    after = driven.captured_ns >= at_ns
    assert not driven.is_moving[after].any(), "an old command moved the robot"
    unmoved("1 daemon stopped (SIGSTOP), after it went on")


# --- 2. A lag spike --------------------------------------------------------------------------------------------------


@profiles
def test_2_nothing_that_was_queued_moves_the_robot(
    arena: Arena, browser: Browser, measured: Measured, profile: Profile
) -> None:
    """Two seconds of commands arrive at once, too old, and the key is still held when fresh ones follow."""
    person = driving(arena, browser, profile)
    at_ns = now_ns()
    arena.path.spike(PATIENCE_S)
    time.sleep(PATIENCE_S)
    person.wait_for_feedback("f.refused.late > 5", timeout_s=30)
    stands(arena, at_ns, measured, "2 lag spike of 2 s, then a flush")


# --- 5. A frozen picture ---------------------------------------------------------------------------------------------


@profiles
def test_5_a_frozen_picture_slows_and_then_stops(
    arena: Arena, browser: Browser, measured: Measured, profile: Profile
) -> None:
    """Frames stop and commands go on: slow 300 ms and still 700 ms after the last picture, each plus one period.

    What the browser had received when the video froze it still shows, later on a bad network and a busy machine, so
    time counts from the last picture that it showed. The robot's word for that moment may be off by half a round trip.
    """
    person = driving(arena, browser, profile)
    person.keep_pushing(until=MOVES_FULLY_ASKED)
    at_ns = now_ns()
    arena.path.freeze()
    person.wait_for_feedback("f.limits.includes('video') && f.speed_cap === 0")
    time.sleep(SETTLE_S)
    shown_ns = max(at_ns, person.picture_ns())
    assert shown_ns - at_ns <= LAST_PICTURE_S * 1e9, "the video did not freeze"
    driven = arena.driven_at(at_ns)
    clock_ms = profile.delay_ms + profile.jitter_ms + CLOCK_MS
    took_ms = driven.standstill_ms(at_ns)
    measured("5 frozen picture: still", max(0.0, took_ms - (shown_ns - at_ns) / 1e6))
    assert took_ms <= (shown_ns - at_ns) / 1e6 + driven.bound_ms(700.0, shown_ns) + clock_ms
    slow_after_ns = shown_ns + int((driven.bound_ms(300.0, shown_ns) + clock_ms) * 1e6)
    speed = abs(driven.action[:, :MOVING_AXES]).max(axis=1)
    assert (speed[driven.captured_ns >= slow_after_ns] <= 0.3 + 1e-6).all()
    if profile is not PRISTINE:  # on a bad network commands stop, too, now and then
        return
    still = (driven.captured_ns >= at_ns + int(took_ms * 1e6)) & driven.is_driven()
    assert (abs(driven.asked[still, :MOVING_AXES]).max(axis=1) > 0.9).any(), "commands were to go on"


# --- 6. Leases that end, robots and servers that restart -------------------------------------------------------------


def test_6_a_lease_that_is_not_renewed_ends_in_paused(arena: Arena, browser: Browser, unmoved: Unmoved) -> None:
    person = driving(arena, browser)
    person.page.evaluate("() => window.sop.dropped.push('console renew')")
    told = person.wait_for_feedback("f.mode === 'paused'", timeout_s=15)
    at_ns = now_ns()
    assert "lapsed" in told["detail"]
    time.sleep(SETTLE_S)
    driven = arena.driven_at(at_ns)
    assert not driven.is_moving[driven.captured_ns >= at_ns].any()
    unmoved("6 lease expired, after it was over")


def test_6_a_robot_that_reboots_resumes_nothing(arena: Arena, browser: Browser, unmoved: Unmoved) -> None:
    """The lease still holds and the key is still held: the robot begins paused, and no lease of before moves it."""
    person = driving(arena, browser)
    arena.system.kill(ROBOT)
    arena.start_robot_again()
    person.wait_until_connected()
    person.wait_for_feedback("f.mode === 'paused' && f.detail.includes('restarted')", timeout_s=60)
    person.let_go()
    person.page.keyboard.down("w")
    time.sleep(SETTLE_S)
    told = person.feedback()
    assert told["mode"] == "paused" and not any(told["applied"][:MOVING_AXES])
    person.let_go()
    person.take_over()
    person.push()
    unmoved("6 robot rebooted, after it was back")
