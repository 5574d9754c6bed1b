"""What is installed on a robot: the unit, the example of its configuration, and the daemon alone."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.daemon.config import load_config

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "deploy" / "sop-robot.service"
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that is here."""
    program = "/opt/sop-robot/venv/bin/python"
    assert program in UNIT.read_text()
    text = UNIT.read_text().replace(program, sys.executable)
    path = tmp_path / UNIT.name
    path.write_text(text)
    return path


@needs_systemd
def test_systemd_understands_the_unit(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60
    )
    about = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert (done.returncode, about) == (0, []), done.stderr


@needs_systemd
def test_a_broken_unit_would_be_noticed(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("KillMode=mixed", "KillMode=sometimes"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60
    )
    assert "KillMode" in done.stderr or "kill mode" in done.stderr


@needs_systemd
def test_little_is_open_to_the_daemon(unit: Path) -> None:
    """systemd's own measure of exposure, 0 to 100: devices and the network must stay open, so it is not 0."""
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=35", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[-500:]


def test_the_unit_says_what_the_daemon_understands() -> None:
    """Its options are the daemon's own, and it is stopped in the way that closes an episode."""
    text = UNIT.read_text()
    (options,) = re.findall(r"^ExecStart=\S+ -m fleet\.daemon (.*)$", text, re.MULTILINE)
    said = subprocess.run(
        [sys.executable, "-m", "fleet.daemon", "--help"], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert said.returncode == 0
    for option in re.findall(r"--\w+", options):
        assert f"{option} " in said.stdout
    assert "KillSignal=SIGTERM" in text and "Restart=always" in text


def test_the_example_is_a_configuration() -> None:
    config = load_config(path=ROOT / "deploy" / "robot.toml.example")
    assert (config.server, config.driver, config.name, config.token) == (
        "https://fleet.lab.example", "metaworld", "arm-1", None,
    )  # fmt: skip
    assert config.state_dir == Path("/var/lib/sop-robot")


def test_the_daemon_runs_from_what_the_guide_copies(tmp_path: Path) -> None:
    """deploy/robot-files copies the daemon alone; from there its help runs with no other folder of ours in reach."""
    target = tmp_path / "robot"
    subprocess.run([str(ROOT / "deploy" / "robot-files"), str(target)], check=True, timeout=60)
    assert {path.name for path in (target / "fleet").iterdir()} == {"__init__.py", "protocol", "daemon"}
    assert {path.name for path in (target / "learner").iterdir()} == {"__init__.py", "policies"}
    command = [sys.executable, "-m", "fleet.daemon", "--help"]
    done = subprocess.run(
        command, cwd=target, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0 and "Run one robot" in done.stdout
