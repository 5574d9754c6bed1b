"""Reports and versions in a real browser: which version is best at a task and how sure that is, in three clicks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.accessibility import violations
from tests.e2e.pages import sign_in
from tests.stack.harness import RUN, System

pytestmark = pytest.mark.e2e

TASK, OTHER_RUN = "e2e-lid", "e2e-rival"
N = 40  # episodes of each version
WINS = (12, 36)  # of the version that is there, and of its rival
WAIT_MS = 20_000  # the machine may be busy
LAST_SEQ = 1_000_000  # the first one written: robots count on from it, the others lie below
_UUIDS = "SELECT gen_random_uuid()::text FROM generate_series(1, %s)"


def _copy(running: System, table: str, row: str, **changes: Any) -> None:
    """Insert a copy of the row with this id, with other values in some columns."""
    listed = ", ".join(f"'{name}', to_jsonb(%s::text)" for name in changes)
    generated = "" if table != "fleet_episode" else " - 'human_share'"
    columns = ", ".join(
        name
        for (name,) in running.rows(
            "SELECT column_name FROM information_schema.columns "
            "WHERE table_name = %s AND is_generated = 'NEVER' ORDER BY ordinal_position",
            table,
        )
    )
    query = (
        f"INSERT INTO {table} ({columns}) SELECT {columns} FROM jsonb_populate_record(NULL::{table}, "
        f"(SELECT to_jsonb(r){generated} FROM {table} r WHERE id::text = %s) || jsonb_build_object({listed}))"
    )
    running.rows(query, row, *(str(value) for value in changes.values()))


@pytest.fixture(scope="module")
def rivals(running: System) -> Iterator[System]:
    """A task of its own at which the version of another run does much better than the one that the robots have."""
    (version, run), = running.rows(
        "SELECT v.id::text, r.id::text FROM fleet_policyversion v JOIN fleet_trainingrun r ON r.id = v.run_id "
        "WHERE r.name = %s ORDER BY v.number LIMIT 1", RUN
    )  # fmt: skip
    ((task, episode),) = running.rows(
        "SELECT e.task_id::text, e.id::text FROM fleet_episode e WHERE e.policy_version_id = %s "
        "AND e.human_steps = 0 ORDER BY e.index_seq LIMIT 1", version
    )  # fmt: skip
    ids = dict(zip(("task", "run", "version"), running.rows(_UUIDS, 3), strict=True))
    new = {name: row[0] for name, row in ids.items()}
    _copy(running, "fleet_task", task, id=new["task"], slug=TASK)
    _copy(running, "fleet_trainingrun", run, id=new["run"], name=OTHER_RUN, state="stopped")
    _copy(running, "fleet_policyversion", version, id=new["version"], run_id=new["run"], number=7)
    for place, (of, wins) in enumerate(zip((version, new["version"]), WINS, strict=True)):
        for index, (row,) in enumerate(running.rows(_UUIDS, N)):
            outcome = "success" if index < wins else "failure"
            seq = LAST_SEQ - place * N - index
            said = {"outcome": outcome, "environment_outcome": "", "outcome_source": "environment"}
            _copy(
                running,
                "fleet_episode",
                episode,
                id=row,
                index_seq=seq,
                task_id=new["task"],
                policy_version_id=of,
                **said,
            )
    running.manage("rollups_rebuild")
    yield running
    running.rows("DELETE FROM fleet_episode WHERE task_id = %s", new["task"])
    running.manage("rollups_rebuild")
    for table, key in (("policyversion", "version"), ("trainingrun", "run"), ("task", "task")):
        running.rows(f"DELETE FROM fleet_{table} WHERE id = %s", new[key])


def test_which_version_is_best_at_a_task_in_three_clicks(page: Page, rivals: System) -> None:
    """Reports, the task, and there it stands: the version, how sure that is, n; the third click shows its episodes."""
    sign_in(page, "manager")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Reports").click()
    page.get_by_role("link", name=f"Best version at {TASK}").click(timeout=WAIT_MS)
    answer = page.get_by_role("status").filter(has_text=f"v7 of {OTHER_RUN}: {WINS[1]} of n = {N} succeeded")
    expect(answer).to_contain_text("It is the best of 2 versions with", timeout=WAIT_MS)
    expect(answer).to_contain_text(re.compile(r"with (more than )?9\d(\.\d)? % probability"))
    expect(answer).to_contain_text(f"(n = {N} and {N})")
    assert violations(page) == []
    page.get_by_role("tab", name="Table").first.click()
    page.get_by_role("link", name=f"Show the episodes of v7 of {OTHER_RUN}").click()
    expect(page.get_by_role("status").filter(has_text="found")).to_have_text(f"{N} found", timeout=WAIT_MS)


def test_the_answer_is_in_the_address(page: Page, rivals: System) -> None:
    """Whoever is sent the address sees the same."""
    sign_in(page, "manager")
    page.goto(f"/reports?view=versions&task={TASK}")
    expect(page.get_by_role("heading", name=f"Best version at {TASK}")).to_be_visible()
    expect(page.get_by_text("It is the best of 2 versions with")).to_be_visible(timeout=WAIT_MS)


def test_two_periods_are_compared(page: Page, rivals: System) -> None:
    """This week against the one before it, in which nothing was: said in words, with the episodes of both."""
    sign_in(page, "manager")
    page.goto(f"/reports?task={TASK}")
    page.get_by_role("link", name="Compare two periods").click()
    expect(page.get_by_role("heading", name="Two periods", exact=True)).to_be_visible()
    table = page.get_by_role("table", name="Two periods compared")
    expect(table).to_contain_text("n = 0", timeout=WAIT_MS)
    expect(page.get_by_role("status").filter(has_text="They cannot be compared")).to_be_visible()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as CSV").click()
    assert saved.value.suggested_filename == "two-periods.csv"
    assert violations(page) == []


def test_versions_lead_to_one_and_what_it_was_compared_with(page: Page, rivals: System) -> None:
    """The list, one version, and back; who may not release sees its buttons disabled."""
    sign_in(page)
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Versions").click()
    page.get_by_role("combobox", name="Training run").select_option(label=OTHER_RUN)
    rows = page.get_by_role("table", name="Versions").get_by_role("row")
    expect(rows.filter(has_text="v7")).to_contain_text(f"n = {N}", timeout=WAIT_MS)
    rows.get_by_role("link", name="v7", exact=True).click()
    expect(page.get_by_role("table", name="Rates by task")).to_contain_text(TASK, timeout=WAIT_MS)
    expect(page.get_by_role("button", name="Promote")).to_be_disabled()
    expect(page.get_by_role("button", name="Download")).to_be_disabled()
    assert violations(page) == []
