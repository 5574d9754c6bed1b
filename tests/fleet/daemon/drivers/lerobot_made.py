"""The LeRobot driver on the looped robot, under the real lerobot if SOP_LEROBOT_PYTHON names its interpreter."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "looped"
PYTHON = os.environ.get("SOP_LEROBOT_PYTHON", "")
IS_REAL = bool(PYTHON)


def looped_options(folder: Path, **changes: Any) -> dict[str, Any]:
    """What the TOML of the looped robot says. Faults and events are files in `folder`."""
    options: dict[str, Any] = {
        "python": PYTHON or sys.executable,
        "type": "looped",
        "plugins": ["looped_robot"],
        "plugin_path": [str(HERE), *([] if IS_REAL else [str(HERE / "standin")])],
        "robot": {"port": "/dev/looped", "id": "arm-1", "folder": str(folder), "max_age_s": 60.0},
        "control_rate_hz": 20.0,
        "tasks": ["reach"],
        "axes": [
            {"name": "pan", "feature": "pan.pos", "low": -90, "high": 90, "step": 4, "max_move": 8, "unit": "deg"},
            {"name": "lift", "feature": "lift.pos", "low": -45, "high": 45, "step": 4, "max_move": 8, "unit": "deg"},
            {"name": "gripper", "feature": "gripper.pos", "low": 0, "high": 100, "max_move": 50, "kind": "position"},
        ],
        "sensors": [{"name": "load", "feature": "load"}],
        "cameras": {"front": {"feature": "top", "width": 64, "height": 48, "policy_width": 32, "policy_height": 24}},
        "reply_s": 30.0,  # these machines are busy: what is about time sets its own limits
        "connect_s": 120.0,
        "max_frame_age_s": 60.0,
    }
    return options | changes


def inject(folder: Path, fault: str) -> None:
    """Let something go wrong from now on; "" mends it."""
    written = folder / "faults.new"
    written.write_text(fault)
    written.rename(folder / "faults")


def events(folder: Path) -> list[Any]:
    """What was done to the robot: "connected", "disconnected", and goals by name."""
    path = folder / "events"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def goals(folder: Path) -> list[dict[str, float]]:
    return [event for event in events(folder) if isinstance(event, dict)]
