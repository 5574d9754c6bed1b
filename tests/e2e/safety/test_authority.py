"""Acceptance tests 3, 4, 7 and 8 (peers.md 9.1): who may drive, who may stop, and from what input."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import psutil
import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.safety.arena import MOVES, MOVING_AXES, ROBOT, Arena, now_ns, watch
from tests.e2e.safety.conftest import Measured, Unmoved
from tests.e2e.safety.test_standing import SETTLE_S, driving, stands
from tests.stack.harness import PASSWORD, USERNAME, System

pytestmark = pytest.mark.e2e

REVOKED_MS = 5000.0  # a role or session that ends, ends driving within this
SECOND = "ben"


@pytest.fixture(scope="session", autouse=True)
def second_operator(running: System) -> None:
    """Ben, who may drive and may not take from others."""
    roles = "from fleet.permissions import Role; from fleet.services.person import person_roles_set as give"
    users = "from django.contrib.auth import get_user_model as u"
    make = f"u().objects.create_user({SECOND!r}, password={PASSWORD!r})"
    give = f"give(user=u().objects.get(username={SECOND!r}), roles=(Role.OPERATOR,))"
    running.manage("shell", "-c", f"{users}; {roles}; {make}; {give}")


# --- 3. A second operator --------------------------------------------------------------------------------------------

ROGUE = """(epochs) => new Promise((resolve) => {
  let count = 0;
  const timer = setInterval(() => {
    for (const epoch of epochs) {
      const fresh = { epoch, seq: 1_000_000 + count, sent_ms: performance.now(), video_age_ms: 20 };
      const drive = { ...window.sop.drive, ...fresh };
      drive.axes = drive.axes.map((value, index) => (index < 3 ? 1 : value));
      window.sop.channels.drive.send(JSON.stringify(drive));
      count += 1;
    }
    if (count >= 80) { clearInterval(timer); resolve(count); }
  }, 25);
})"""


def test_3_who_lost_the_robot_moves_nothing(arena: Arena, browser: Browser, measured: Measured) -> None:
    """The second operator is told who drives and may not take; a manager confirms whom they take from; whatever the
    first browser goes on sending, with its old epoch or the new one, the robot refuses."""
    first = driving(arena, browser)
    epoch = first.feedback()["epoch"]
    second = watch(arena, browser, SECOND)
    second.wait_until_connected()
    expect(second.cockpit().get_by_test_id("take")).to_have_text(f"Take from {USERNAME} T")
    expect(second.cockpit().get_by_test_id("take")).to_be_disabled()
    expect(second.cockpit().get_by_test_id("lease-note")).to_contain_text("needs the role of manager")

    manager = watch(arena, browser, "manager")
    manager.wait_until_connected()
    take = manager.cockpit().get_by_test_id("take")
    expect(take).to_be_enabled()
    first.keep_pushing()
    take.click()
    dialog = manager.page.get_by_role("dialog", name=f"Take {ROBOT} from {USERNAME}")
    at_ns = now_ns()
    dialog.get_by_role("button", name=f"Take from {USERNAME}").click()
    manager.wait_for_feedback(f"f.is_driver && f.epoch > {epoch}")
    expect(first.cockpit().get_by_test_id("lease-note")).to_contain_text("You do not drive any more")

    before = first.feedback()["refused"].get("not_the_driver", 0)
    first.page.evaluate(ROGUE, [epoch, manager.feedback()["epoch"]])
    first.wait_for_feedback(f"(f.refused.not_the_driver || 0) >= {before + 60}")
    driven = arena.driven_at(at_ns)
    took_ms = driven.standstill_ms(at_ns)
    measured("3 taken by a manager, from the click", took_ms)
    assert not driven.is_moving[driven.captured_ns > at_ns + int(took_ms * 1e6)].any()
    assert took_ms <= 1000.0


# --- 4. Stop ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("way", "dropped"),
    [("both ways", []), ("the websocket alone", ["peer stop"]), ("the data channel alone", ["console stop"])],
    ids=["both", "websocket", "channel"],
)
def test_4_a_viewer_stops_and_only_the_driver_clears(
    arena: Arena, browser: Browser, measured: Measured, way: str, dropped: list[str]
) -> None:
    first = driving(arena, browser)
    viewer = watch(arena, browser, SECOND)
    viewer.wait_until_connected()
    first.keep_pushing()
    viewer.page.evaluate("(types) => window.sop.dropped.push(...types)", dropped)
    at_ns = now_ns()
    viewer.page.keyboard.press(".")
    stopped = first.wait_for_feedback("f.mode === 'stopped'")
    assert stopped["stop"]["by"] == SECOND
    driven = arena.driven_at(at_ns)
    took_ms = driven.standstill_ms(at_ns)
    measured(f"4 stopped by a viewer, over {way}", took_ms)
    assert took_ms <= driven.bound_ms(300.0, at_ns)

    expect(viewer.cockpit().get_by_role("button", name="Clear stop")).to_be_visible()
    viewer.cockpit().get_by_role("button", name="Clear stop").click()
    expect(viewer.page.get_by_text("The stop was not cleared.")).to_be_visible()
    assert first.feedback()["mode"] == "stopped"


def test_4_clearing_needs_neutral_input_and_then_a_new_lease(arena: Arena, browser: Browser, unmoved: Unmoved) -> None:
    """While a key is held nothing is cleared. Then the stop goes, and the robot stays still until it is taken anew."""
    person = driving(arena, browser)
    person.page.keyboard.press(".")
    person.wait_for_feedback("f.mode === 'stopped'")
    person.let_go()
    person.page.keyboard.down("w")
    person.page.keyboard.press("c")
    expect(person.page.get_by_text("Let go of keys, pads and sticks first.")).to_be_visible()
    assert person.feedback()["mode"] == "stopped"
    person.let_go()
    person.page.keyboard.press("c")
    person.wait_for_feedback("f.mode === 'paused' && f.stop === null")
    person.page.keyboard.down("w")
    time.sleep(SETTLE_S)
    assert not any(person.feedback()["applied"][:MOVING_AXES])
    person.let_go()
    person.take_over()
    person.push()
    unmoved("4 cleared: still until taken over anew")


# --- 7. A gamepad ----------------------------------------------------------------------------------------------------

PADS = """
window.pads = [];
navigator.getGamepads = () => window.pads;
window.plug = (axes) => {
  const buttons = Array.from({ length: 17 }, () => ({ pressed: false, touched: false, value: 0 }));
  window.pads = [{ id: "test pad", index: 0, connected: true, mapping: "standard", axes, buttons, timestamp: 0 }];
};
"""


def test_7_a_stuck_stick_does_not_arm(arena: Arena, browser: Browser, unmoved: Unmoved) -> None:
    person = watch(arena, browser, USERNAME, extra_script=PADS + "window.plug([0.8, 0, 0, 0]);")
    person.wait_until_connected()
    expect(person.cockpit().get_by_test_id("check-input")).to_have_attribute("data-ok", "false")
    expect(person.cockpit().get_by_test_id("take")).to_be_disabled()
    person.page.evaluate("() => window.plug([0, 0, 0, 0])")
    person.take_over()
    person.page.evaluate("() => window.plug([0, 0.9, 0, 0])")
    person.wait_for_feedback(MOVES)
    unmoved("7 stuck stick: not armed")


@pytest.mark.parametrize("is_told", [True, False], ids=["with the event", "silently"])
def test_7_a_gamepad_that_is_unplugged_lets_go(
    arena: Arena, browser: Browser, measured: Measured, is_told: bool
) -> None:
    person = watch(arena, browser, USERNAME, extra_script=PADS + "window.plug([0, 0, 0, 0]);")
    person.wait_until_connected()
    person.take_over()
    person.page.evaluate("() => window.plug([0, 0.9, 0, 0])")
    person.wait_for_feedback(MOVES)
    at_ns = now_ns()
    event = "window.dispatchEvent(new Event('gamepaddisconnected'))" if is_told else "0"
    person.page.evaluate(f"() => {{ window.pads = []; {event}; }}")
    stands(arena, at_ns, measured, "7 gamepad unplugged")


# --- 8. Rights that end ----------------------------------------------------------------------------------------------


def test_8_a_person_who_may_no_more_is_out_within_five_seconds(
    arena: Arena, browser: Browser, measured: Measured
) -> None:
    person = driving(arena, browser)
    at_ns = now_ns()
    arena.system.rows("UPDATE auth_user SET is_active = false WHERE username = %s", USERNAME)
    try:
        person.page.get_by_label("User name").wait_for(timeout=20_000)  # the console shows the sign-in page
    finally:
        arena.system.rows("UPDATE auth_user SET is_active = true WHERE username = %s", USERNAME)
    driven = arena.driven_at(at_ns)
    took_ms = driven.standstill_ms(at_ns)
    measured("8 role revoked", took_ms)
    assert took_ms <= driven.bound_ms(REVOKED_MS, at_ns)


def test_8_rights_that_cannot_be_checked_count_as_ended(arena: Arena, browser: Browser, measured: Measured) -> None:
    """The database hangs: no lease is renewed, so the robot stands when it runs out."""
    driving(arena, browser)
    processes = _postgres(arena)
    at_ns = now_ns()
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        time.sleep(REVOKED_MS / 1e3 + 2.0)
    finally:
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)
    driven = arena.driven_at(at_ns)
    took_ms = driven.standstill_ms(at_ns)
    measured("8 database hangs", took_ms)
    assert took_ms <= driven.bound_ms(REVOKED_MS, at_ns)


def _postgres(arena: Arena) -> list[psutil.Process]:
    """Return the arena's own PostgreSQL, children first, so that no parent reaps a stopped child's absence."""
    folder = str(arena.system.stack.data_dir)
    mains = [
        process
        for process in psutil.process_iter(["cmdline"])
        if "postgres" in " ".join(process.info["cmdline"] or []) and folder in " ".join(process.info["cmdline"] or [])
    ]
    assert mains and os.getpid() not in {process.pid for process in mains}
    return [child for main in mains for child in main.children(recursive=True)] + mains
