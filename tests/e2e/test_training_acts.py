"""A manager pauses, resumes and stops a training run in the browser while a real learner works at it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.accessibility import violations
from tests.e2e.pages import sign_in
from tests.stack.harness import TASK, System, start_learner, write_demonstrations
from tests.stack.policies import write_random_policy

pytestmark = pytest.mark.e2e

NAME = "e2e-live"
OBEYED_MS = 60_000  # a round of ten steps, on a busy machine
CREATE = f"""
from fleet.services.training import training_run_create
run = training_run_create(
    name="{NAME}", algorithm="hg_dagger", config={{"round": {{"steps": 10, "publish_steps": 1000}}}}, seed=3,
    task_slugs=["{TASK}"], target_steps=100000,
)
print(run.id)
"""
START = "from fleet.services.training import training_run_start; training_run_start(run_id={run!r})"
RUN = "SELECT state, asked, step FROM fleet_trainingrun WHERE id = %s"
COMMITTED = "SELECT max(end_step) FROM fleet_traininground WHERE run_id = %s AND committed_at IS NOT NULL"


@pytest.fixture(scope="module")
def live(running: System, make_open_folder: Callable[[str], Path]) -> Iterator[str]:
    """The id of a run at which a learner works: a small policy, three demonstrations."""
    folder = make_open_folder("live")
    running.manage("import_episodes", str(write_demonstrations(folder / "demonstrations", count=3)))
    run = running.manage("shell", "--no-imports", "-c", CREATE).split()[-1]
    running.manage("policy_import", str(write_random_policy(folder / "policy", seed=4)), "--run", NAME)
    start_learner(running.processes, running.stack)
    running.manage("shell", "--no-imports", "-c", START.format(run=run))
    running.wait_for(lambda: _step(running, run) > 0, what="a round of the run", timeout_s=120)
    yield run
    running.processes.stop("learner")


def _step(running: System, run: str) -> int:
    return int(running.rows(RUN, run)[0][2])


def test_a_live_run_is_paused_resumed_and_stopped(page: Page, running: System, live: str) -> None:
    """Each is obeyed at the end of a round, so that no step is lost, and the page says so without being loaded anew."""
    sign_in(page, "manager")
    page.goto(f"/training/{live}")
    expect(page.get_by_role("heading", name=NAME, exact=True)).to_be_visible()
    acts = page.get_by_role("group", name="Act on this run")

    acts.get_by_role("button", name="Pause").click()
    expect(acts.get_by_role("button", name="Resume")).to_be_visible(timeout=OBEYED_MS)
    expect(page.get_by_role("main")).to_contain_text("Paused")
    state, asked, rested = running.rows(RUN, live)[0]
    assert (state, asked, rested) == ("paused", "", running.rows(COMMITTED, live)[0][0])
    assert violations(page) == []

    acts.get_by_role("button", name="Resume").click()
    expect(acts.get_by_role("button", name="Pause")).to_be_visible(timeout=OBEYED_MS)
    running.wait_for(lambda: _step(running, live) > rested, what="a round after the pause", timeout_s=60)

    acts.get_by_role("button", name="Stop").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop the run").click()
    expect(acts.get_by_role("button", name=re.compile("Pause|Resume|Go on|Stop"))).to_have_count(0, timeout=OBEYED_MS)
    expect(page.get_by_role("main")).to_contain_text("Stopped")
    state, asked, ended = running.rows(RUN, live)[0]
    assert (state, asked, ended) == ("stopped", "", running.rows(COMMITTED, live)[0][0])
    assert ended > rested
