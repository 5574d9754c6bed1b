"""A dataset's way into the library in a real browser on the real stack: upload, check, mapping, run, link, axe."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from sop_web.demo.stack import start_data_worker
from tests.e2e.accessibility import violations
from tests.e2e.pages import sign_in
from tests.fleet.imports.made import data_of, export, record, set_nan
from tests.stack.harness import System

pytestmark = pytest.mark.e2e

WAIT_MS = 60_000  # the machine may be busy


@pytest.fixture
def worker(running: System) -> Iterator[None]:
    """The worker of the queue `data`."""
    start_data_worker(running.processes, running.stack)
    yield
    running.processes.stop("data")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An export of three episodes, the second with a NaN in an action."""
    root = export("lerobot-v2.1", record(tmp_path / "recorded"), tmp_path / "squares")
    set_nan(data_of(root, 1))
    with tarfile.open(tmp_path / "squares.tar.gz", "w:gz") as packed:
        packed.add(root, "squares")
    return tmp_path / "squares.tar.gz"


def test_an_archive_goes_in_without_its_broken_episode(
    page: Page, running: System, worker: None, archive: Path
) -> None:
    """The check names the NaN; left out, the two others show in the library under the import's tag, all at once."""
    sign_in(page, "manager")
    page.goto("/datasets/imports")
    page.get_by_label("Archive", exact=True).set_input_files(archive)
    page.get_by_role("button", name="Send and check").click()
    expect(page).to_have_url(re.compile("/datasets/imports/[0-9a-f-]{36}$"), timeout=WAIT_MS)
    expect(page.get_by_role("heading", name="What becomes what")).to_be_visible(timeout=WAIT_MS)
    problem = page.get_by_role("region", name=re.compile("kind of problems")).get_by_role("group")
    problem.click()
    expect(page.get_by_text(re.compile(r"episode\s1, frame\s4"))).to_be_visible()
    run = page.get_by_role("button", name=re.compile("^Import"))
    expect(run).to_be_disabled()
    assert violations(page) == []

    page.get_by_role("checkbox", name=re.compile("^Leave out")).check()
    page.get_by_label(re.compile("^task of push the cube")).fill("Squares!")
    expect(page.get_by_text("name a task: lower-case letters")).to_be_visible(timeout=WAIT_MS)
    page.get_by_label(re.compile("^task of push the cube")).fill("squares")
    expect(run).to_be_enabled(timeout=WAIT_MS)
    assert running.rows("SELECT count(*) FROM fleet_task WHERE slug = 'squares'") == [(0,)]
    run.click()

    expect(page.get_by_text(re.compile(r"^2\snew episodes$"))).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_text("1 left out")).to_be_visible()
    page.get_by_role("link", name="See them in the library").click()
    expect(page.get_by_role("table", name="Episodes").get_by_role("link", name=re.compile("^Open "))).to_have_count(
        2, timeout=WAIT_MS
    )
    page.goto("/datasets/imports")
    expect(page.get_by_role("link", name="squares.tar.gz")).to_be_visible(timeout=WAIT_MS)
    assert violations(page) == []
    page.set_viewport_size({"width": 1280, "height": 900})
    running.wait_for(lambda: not list(running.stack.data_dir.glob("objects/imports/*/*")), what="the archive removed")
