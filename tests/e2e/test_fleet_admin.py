"""An admin's walk: define a task, enrol a robot by a one-time code, approve it, assign it, and see it work."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from sop_web.demo.stack import robot_command
from tests.e2e.accessibility import violations
from tests.e2e.conftest import QUIET
from tests.e2e.pages import sign_in
from tests.stack.harness import System

pytestmark = pytest.mark.e2e

NEWCOMER, TASK = "arm-new", "open-drawer"
SHOWN_MS = 60_000  # a daemon starts, loads its simulator and fetches its policy


def test_an_admin_enrols_a_robot_that_then_works_at_a_new_task(page: Page, running: System) -> None:
    page.set_viewport_size({"width": 1280, "height": 800})
    sign_in(page, "admin")
    _define_task(page)
    code = _make_code(page)
    _start(running, code)
    try:
        _approve(page)
        _assign(page)
        page.goto("/")
        card = page.get_by_role("article", name=NEWCOMER)
        expect(card).to_contain_text(TASK, timeout=SHOWN_MS)
        running.wait_for(lambda: _episodes(running), what=f"an episode of {TASK}", timeout_s=90)
        _retire(page)
        page.goto("/")
        expect(page.get_by_role("article").first).to_be_visible()
        expect(card).to_have_count(0)
    finally:
        running.processes.stop(NEWCOMER)


def _define_task(page: Page) -> None:
    page.goto("/settings/tasks")
    page.get_by_role("button", name="Define a task").click()
    page.get_by_label("Short name").fill(TASK)
    page.get_by_label("Instruction for the policy").fill("open the drawer")
    page.get_by_label("The driver's name of it").fill("drawer-open")
    page.get_by_label("Time limit, control steps").fill("30")
    assert violations(page) == []
    page.get_by_role("button", name="Define", exact=True).click()
    expect(page.get_by_role("row").filter(has_text=TASK)).to_contain_text("80")
    assert violations(page) == []


def _make_code(page: Page) -> str:
    page.goto("/settings/robots")
    page.get_by_role("button", name="Enrol a robot").click()
    page.get_by_label("What it is for").fill("the new arm")
    page.get_by_role("button", name="Make a code").click()
    shown = page.get_by_text(re.compile(r"^sop-\S+$"))
    expect(shown).to_be_visible()
    picture = page.get_by_role("img", name="The code as a QR picture")
    expect(picture).to_be_visible()
    expect(picture).to_have_css("background-color", "rgb(255, 255, 255)")  # cameras read dark on light, in both themes
    assert violations(page) == []
    code = shown.inner_text()
    page.get_by_role("button", name="Done").click()
    return code


def _start(running: System, code: str) -> None:
    state = running.robot_state(NEWCOMER)
    state.mkdir(parents=True)
    command = robot_command(running.stack, name=NEWCOMER, state=state, seed=9, token=code)
    environment = running.stack.robot_environment(OMP_NUM_THREADS="1")
    running.processes.start(NEWCOMER, [*command, *QUIET], env=environment, stop_timeout_s=20)


def _approve(page: Page) -> None:
    waiting = page.get_by_role("region", name=re.compile("waiting for approval"))
    expect(waiting).to_contain_text(NEWCOMER, timeout=SHOWN_MS)
    waiting.get_by_role("button", name="Approve").click()
    expect(page.get_by_role("row").filter(has_text=NEWCOMER)).to_be_visible()
    assert violations(page) == []


def _assign(page: Page) -> None:
    page.goto("/settings/assignments")
    cell = page.get_by_role("button", name=re.compile(rf"^{NEWCOMER}, {TASK}"))
    expect(cell).to_be_visible(timeout=SHOWN_MS)
    assert violations(page) == []
    cell.focus()
    page.keyboard.press("Enter")
    page.get_by_label("Priority", exact=True).select_option("5")  # above what the run gave it
    page.get_by_role("button", name="Assign", exact=True).click()
    expect(cell).to_have_accessible_name(re.compile("works at it, 100"))


def _episodes(running: System) -> int:
    query = "SELECT count(*) FROM fleet_episode e JOIN fleet_task t ON t.id = e.task_id WHERE t.slug = %s"
    return int(running.rows(query, TASK)[0][0])


def _retire(page: Page) -> None:
    page.goto("/settings/robots")
    page.get_by_role("button", name=f"Retire {NEWCOMER}").click()
    page.get_by_role("button", name="Retire", exact=True).click()
    expect(page.get_by_role("row").filter(has_text=NEWCOMER)).to_have_count(0)
