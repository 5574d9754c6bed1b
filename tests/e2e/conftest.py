"""The running system with two robots, and a Chromium of the system. A pytest run of its own (`make test-e2e`)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.pages import ROBOTS
from tests.stack.harness import RUN, System, running_system
from tests.stack.policies import write_random_policy

# A random policy is unsure and gets nowhere: of itself it would ask for help all the time.
QUIET = tuple(
    part
    for setting in ("is_doubt_measured=false", "stalled_s=3600", "late_share=1", "limits_share=1")
    for part in ("--set", f"help.{setting}")
)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Prefer the system's Chromium; Playwright's own is the fallback of scripts/ensure-chromium."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("SOP_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    arguments = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    chosen = {"executable_path": found} if found else {}
    return {**browser_type_launch_args, **chosen, "args": arguments}


@pytest.fixture(scope="session")
def running(make_open_folder: Callable[[str], Path]) -> Iterator[System]:
    """Two robots at twice real time with a random policy."""
    folder = make_open_folder("e2e")
    with running_system(folder / "system", speed=2.0) as system:
        system.manage("policy_import", str(write_random_policy(folder / "policy", seed=1)), "--run", RUN)
        for seed, name in enumerate(ROBOTS):
            system.start_robot(name, *QUIET, seed=seed)
        system.wait_for(lambda: all(system.registered(name) for name in ROBOTS), what="an episode of each robot")
        yield system


@pytest.fixture(scope="session")
def base_url(running: System) -> str:
    return running.stack.url
