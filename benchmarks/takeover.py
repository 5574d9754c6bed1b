"""How long a takeover takes a person: from the page to the picture, from the click to command, from a key to motion.

    python -m benchmarks.takeover [--rounds 10] [--quick]

The real stack, one simulated robot at 10 Hz in real time, a real Chromium on the same machine, no relay between. All
times are read in the page: `picture_ms` from the navigation to the first frame shown, `armed_ms` from the click on the
button to the robot's word that it takes commands, `motion_ms` from a key going down to the robot's word that it moves
by it (up to one control period of which is waiting). Prints JSON; asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from benchmarks.data_path import machine
from tests.e2e.safety.arena import MOVES, OPTIONS, ROBOT, init_script
from tests.stack.harness import PASSWORD, RUN, USERNAME, System, running_system
from tests.stack.policies import write_random_policy

LIMIT_MS = 30_000
LONG_STEPS = 20_000

CLOCKS = (
    """
(() => {
  const seen = (window.seen = {});
  const note = (name) => (seen[name] ??= performance.now());
  const watch = HTMLVideoElement.prototype.requestVideoFrameCallback;
  HTMLVideoElement.prototype.requestVideoFrameCallback = function (call) {
    return watch.call(this, (...frame) => { note("picture"); call(...frame); });
  };
  addEventListener("click", (event) => event.target.closest("[data-testid=take]") && note("click"), true);
  addEventListener("keydown", (event) => event.code === "KeyW" && note("key"), true);
  let newest = null;
  Object.defineProperty(window.sop, "feedback", {
    get: () => newest,
    set: (f) => {
      newest = f;
      if (f.is_driver && f.is_armed && f.mode === "teleop") note("armed");
      if (seen.key !== undefined && """
    + MOVES
    + """) note("motion");
    },
  });
})();
"""
)


def takeover(system: System, browser: Browser, robot_id: str) -> dict[str, float]:
    """Take over once, move, hand back; return the times in ms."""
    context = browser.new_context(base_url=system.stack.url, viewport={"width": 1280, "height": 720})
    page = context.new_page()
    page.goto("/")
    page.get_by_label("User name").fill(USERNAME)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("article").first.wait_for(timeout=LIMIT_MS)
    context.add_init_script(init_script(None) + CLOCKS)
    page.goto(f"/teleop/{robot_id}")
    cockpit = page.get_by_test_id(f"cockpit-{ROBOT}")
    page.wait_for_function("() => window.seen.picture !== undefined", timeout=LIMIT_MS)
    cockpit.get_by_test_id("take").click(timeout=LIMIT_MS)
    page.wait_for_function("() => window.seen.armed !== undefined", timeout=LIMIT_MS)
    page.keyboard.down("w")
    page.wait_for_function("() => window.seen.motion !== undefined", timeout=LIMIT_MS)
    page.keyboard.up("w")
    seen: dict[str, float] = page.evaluate("() => window.seen")
    cockpit.get_by_test_id("hand-back").click()
    page.wait_for_function("() => window.sop.feedback.mode === 'autonomous'", timeout=LIMIT_MS)
    context.close()
    return {
        "picture_ms": seen["picture"],
        "armed_ms": seen["armed"] - seen["click"],
        "motion_ms": seen["motion"] - seen["key"],
    }


def measure(rounds: int, folder: Path) -> list[dict[str, float]]:
    """Run the stack and take over `rounds` times."""
    with running_system(folder / "system", speed=1.0) as system, sync_playwright() as playwright:
        system.rows("UPDATE fleet_task SET max_steps = %s", LONG_STEPS)
        system.manage("policy_import", str(write_random_policy(folder / "policy", seed=1)), "--run", RUN)
        system.start_robot(ROBOT, *OPTIONS)
        robot_id = system.robot_id(ROBOT)
        assert robot_id is not None
        found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        path = os.environ.get("SOP_CHROMIUM") or found
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        times = [takeover(system, browser, robot_id) for _ in range(rounds)]
        browser.close()
        return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="once: does it run?")
    given = parser.parse_args()
    before = machine()
    with tempfile.TemporaryDirectory(prefix="sop-bench-") as name:
        Path(name).chmod(0o711)  # PostgreSQL runs as another user under root
        times = measure(1 if given.quick else given.rounds, Path(name))
    summary = {
        name: {"p50": round(statistics.median(values)), "worst": round(max(values)), "n": len(values)}
        for name in times[0]
        for values in [[each[name] for each in times]]
    }
    print(json.dumps({"machine": before, **summary}, indent=1))


if __name__ == "__main__":
    main()
