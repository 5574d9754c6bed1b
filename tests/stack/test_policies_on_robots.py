"""Distribution on the running system: a version reaches the robot, a damaged or unknown one is refused."""

from __future__ import annotations

import json
import shutil
import uuid
from pathlib import Path

from tests.stack.harness import RUN, System

NEWEST = "SELECT id, number FROM fleet_policyversion ORDER BY number DESC LIMIT 1"


def _deployment(running: System, version: str) -> tuple[bool, str] | None:
    """Return (is applied, refusal code) of a version on the module's robot."""
    found = running.rows(
        "SELECT applied_at IS NOT NULL, refused_code FROM fleet_policydeployment d "
        "JOIN fleet_robot r ON r.id = d.robot_id WHERE r.name = 'host' AND d.version_id = %s",
        version,
    )
    return (bool(found[0][0]), str(found[0][1])) if found else None


def _episodes_of(running: System, version: str) -> int:
    return int(running.rows("SELECT count(*) FROM fleet_episode WHERE policy_version_id = %s", version)[0][0])


def _import(running: System, folder: Path) -> str:
    running.manage("policy_import", str(folder), "--run", RUN)
    return str(running.rows(NEWEST)[0][0])


def _changed(source: Path, target: Path, **changes: object) -> Path:
    """Copy a policy directory with another version id and other manifest fields."""
    shutil.copytree(source, target)
    manifest = json.loads((target / "manifest.json").read_text())
    manifest |= {"version_id": str(uuid.uuid4()), **changes}
    (target / "manifest.json").write_text(json.dumps(manifest))
    return target


def test_bad_versions_are_refused_and_the_old_policy_goes_on(
    running: System, other_policy: Path, random_policy: Path, tmp_path: Path
) -> None:
    """Corrupted bytes and an unknown architecture are refused with their code; a good version then applies."""
    base = str(running.rows(NEWEST)[0][0])
    running.start_robot("host")
    running.wait_for(lambda: _episodes_of(running, base) >= 1, what="an episode of version 0")
    running.processes.stop("host")

    corrupted = _import(running, other_policy)
    head = max(
        (running.stack.data_dir / "objects" / "policies" / "blobs").iterdir(), key=lambda p: p.stat().st_mtime_ns
    )
    damaged = bytearray(head.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    head.write_bytes(damaged)
    shutil.rmtree(running.stack.data_dir / "objects" / "policies" / "patches")  # or the sound difference would do
    running.start_robot("host")
    running.wait_for(lambda: (_deployment(running, corrupted) or (False, ""))[1], what="the corrupted one refused")
    assert _deployment(running, corrupted) == (False, "artifact_mismatch")
    count = _episodes_of(running, base)
    running.wait_for(lambda: _episodes_of(running, base) > count, what="the old policy goes on")

    unknown = _import(running, _changed(random_policy, tmp_path / "unknown", architecture="not-invented"))
    running.wait_for(lambda: (_deployment(running, unknown) or (False, ""))[1], what="the unknown one refused")
    assert _deployment(running, unknown) == (False, "unknown_architecture")
    count = _episodes_of(running, base)
    running.wait_for(lambda: _episodes_of(running, base) > count, what="the old policy still goes on")
    assert _episodes_of(running, corrupted) == _episodes_of(running, unknown) == 0

    good = _import(running, _changed(random_policy, tmp_path / "good"))
    running.wait_for(lambda: _episodes_of(running, good) >= 1, what="an episode of the good version")
    assert _deployment(running, good) == (True, "")
    running.processes.stop("host")
