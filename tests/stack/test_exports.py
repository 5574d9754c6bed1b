"""Exports on the running stack: asked for over HTTP, made by a worker that is killed, downloaded, unpacked, checked."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sop_web.demo.stack import start_data_worker
from tests.stack.harness import PASSWORD, System


@pytest.fixture
def manager(running: System, demonstrations: Path) -> Iterator[httpx.Client]:
    """A manager's session over three demonstrations."""
    running.manage("import_episodes", str(demonstrations))
    with httpx.Client(base_url=f"{running.stack.url}/api/v1/", timeout=20) as http:
        http.get("session")
        headers = {"X-CSRFToken": http.cookies["csrftoken"], "Referer": running.stack.url}
        http.post("session", json={"username": "manager", "password": PASSWORD}, headers=headers).raise_for_status()
        http.headers.update({"X-CSRFToken": http.cookies["csrftoken"], "Referer": running.stack.url})
        yield http


def _ask(manager: httpx.Client, **changes: Any) -> str:
    answer = manager.post(
        "exports", json={"filter": {"origin": ["demonstration"]}, "format": "lerobot-v3.0", **changes}
    )
    assert answer.status_code == 202, answer.text
    found: str = answer.json()["id"]
    return found


def _state(manager: httpx.Client, export_id: str) -> Any:
    return manager.get(f"exports/{export_id}").json()


def _checked(manager: httpx.Client, export_id: str, folder: Path) -> str:
    """Download, unpack and check it; return the SHA-256 of SHA256SUMS as the server states it."""
    folder.mkdir()
    with manager.stream("GET", f"exports/{export_id}/download") as stream, (folder / "x.tar").open("wb") as out:
        for piece in stream.iter_bytes():
            out.write(piece)
    subprocess.run(["tar", "-xf", "x.tar"], cwd=folder, check=True, timeout=30)
    (made,) = (path for path in folder.iterdir() if path.is_dir())
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=made, check=True, timeout=30)
    row = _state(manager, export_id)
    found = subprocess.run(
        ["sha256sum", "SHA256SUMS"], cwd=made, check=True, timeout=30, capture_output=True, text=True
    )
    assert found.stdout.split()[0] == row["sha256"]
    sha256: str = row["sha256"]
    return sha256


def _killed(manager: httpx.Client, running: System) -> str:
    """Kill the worker once it has claimed an export; return the export, done by the next worker."""
    export_id = _ask(manager)
    claimed = "SELECT 1 FROM fleet_export WHERE id = %s AND state <> 'queued'"
    running.wait_for(lambda: running.rows(claimed, export_id), what="claimed")
    running.kill("data")
    start_data_worker(running.processes, running.stack)
    running.wait_for(lambda: _state(manager, export_id)["state"] == "done", what="taken up again", timeout_s=90)
    return export_id


def test_exports_survive_their_worker(manager: httpx.Client, running: System, tmp_path: Path) -> None:
    """SIGKILL while it is claimed: the reaper gives it to the next worker, and the bytes are the same."""
    start_data_worker(running.processes, running.stack)
    whole = _ask(manager)
    running.wait_for(lambda: _state(manager, whole)["state"] == "done", what="an undisturbed export")
    expected = _checked(manager, whole, tmp_path / "whole")
    # The moment of death is chance: until one falls into the work.
    hit = next(each for each in (_killed(manager, running) for _ in range(5)) if _state(manager, each)["attempts"] > 1)
    assert _checked(manager, hit, tmp_path / "hit") == expected
    running.processes.stop("data")
