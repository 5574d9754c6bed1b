"""An export in a real browser on the real stack: chosen in the library, asked for, followed, downloaded, unpacked."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from sop_web.demo.stack import start_data_worker
from tests.e2e.accessibility import violations
from tests.e2e.pages import ROBOTS, sign_in
from tests.stack.harness import System

pytestmark = pytest.mark.e2e

WAIT_MS = 30_000  # the machine may be busy


@pytest.fixture(autouse=True)
def data_worker(running: System) -> Iterator[None]:
    start_data_worker(running.processes, running.stack)
    yield
    running.processes.stop("data")


def test_ticked_episodes_leave_as_lerobot_files(page: Page, running: System, tmp_path: Path) -> None:
    sign_in(page, "manager")
    page.get_by_role("link", name="Episodes", exact=True).click()
    page.get_by_role("checkbox", name=re.compile(f"^Tick .*, {ROBOTS[0]}")).first.check(timeout=WAIT_MS)
    page.get_by_role("link", name="Export", exact=True).click()
    dialog = page.get_by_role("dialog", name="Export")
    expect(dialog.get_by_text("Nothing stands in its way.")).to_be_visible(timeout=WAIT_MS)
    assert violations(page) == []
    dialog.get_by_label("Name of the dataset").fill("by hand")
    dialog.get_by_role("button", name="Start the export").click()
    row = page.get_by_role("row").filter(has_text="by hand")
    expect(row.get_by_text("Done", exact=True)).to_be_visible(timeout=WAIT_MS)
    assert violations(page) == []
    with page.expect_download() as started:
        row.get_by_role("link", name="Download by hand").click()
    started.value.save_as(tmp_path / "x.tar")
    subprocess.run(["tar", "-xf", "x.tar"], cwd=tmp_path, check=True, timeout=30)
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert started.value.suggested_filename == f"{folder.name}.tar"
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=folder, check=True, timeout=30)
    assert (folder / "meta" / "info.json").is_file()
    left = "SELECT count(*) FROM fleet_export WHERE folder = %s AND (deleted_at IS NULL OR cleanup_at IS NULL)"
    assert running.rows(left, folder.name) == [(1,)]
    row.get_by_role("button", name="Delete by hand").click()
    expect(row).to_have_count(0, timeout=WAIT_MS)
    assert running.rows(left, folder.name) == [(0,)]
