"""One arena for all safety tests, and a line for each at the end. A pytest run of its own (`make safety`)."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.safety.arena import OPTIONS, ROBOT, Arena
from tests.stack.harness import RUN, TASK, System, running_system
from tests.stack.impair import Impairment, own_address
from tests.stack.policies import write_random_policy

LONG_STEPS = 20_000  # of an episode: none ends by itself here
DRAWER = "drawer-open"
Measured = Callable[[str, float], None]
Unmoved = Callable[[str], None]

_results: dict[str, list[float]] = defaultdict(list)
_unmoved: dict[str, int] = defaultdict(int)


@pytest.fixture(scope="session")
def running(make_open_folder: Callable[[str], Path]) -> Iterator[System]:
    """One robot in real time with a random policy, and nobody who helps it."""
    folder = make_open_folder("safety")
    with running_system(folder / "system", speed=1.0, tasks=(TASK, DRAWER)) as system:
        system.rows("UPDATE fleet_task SET max_steps = %s", LONG_STEPS)
        system.manage("policy_import", str(write_random_policy(folder / "policy", seed=1)), "--run", RUN)
        system.start_robot(ROBOT, *OPTIONS)
        yield system


@pytest.fixture(scope="session")
def base_url(running: System) -> str:
    return running.stack.url


@pytest.fixture
def arena(running: System) -> Iterator[Arena]:
    robot_id = running.robot_id(ROBOT)
    assert robot_id is not None
    with Impairment(own_address()) as path:
        made = Arena(running, path, robot_id, seen=set(running.registered(ROBOT)))
        yield made
        made.tidy()


@pytest.fixture
def measured() -> Measured:
    """Note a time to standstill in ms under the name of its acceptance test."""
    return lambda name, milliseconds: _results[name].append(milliseconds)


@pytest.fixture
def unmoved() -> Unmoved:
    """Note that nothing moved, where there is no time to take: the robot was to stand all the while, and did."""

    def note(name: str) -> None:
        _unmoved[name] += 1

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _results and not _unmoved:
        return
    terminalreporter.section("safety: time to standstill, from the robot's own recording")
    for name, found in sorted(_results.items()):
        worst, median = max(found), statistics.median(found)
        terminalreporter.write_line(f"{name:<58} worst {worst:5.0f} ms   median {median:5.0f} ms   n = {len(found)}")
    for name, count in sorted(_unmoved.items()):
        terminalreporter.write_line(f"{name:<58} nothing moved   n = {count}")
