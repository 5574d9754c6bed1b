"""docs/safety.md says what the defaults are."""

from __future__ import annotations

import re
from pathlib import Path

from fleet.daemon.config import DaemonConfig, load_config

PAGE = Path(__file__).parents[3] / "docs" / "safety.md"
ROW = re.compile(r"^\| `(safety|teleop)\.(\w+)` \| ([0-9.]+) \|", re.MULTILINE)


def test_every_timer_on_the_page_is_the_default(tmp_path: Path) -> None:
    config: DaemonConfig = load_config(overrides=(), given={"state_dir": str(tmp_path), "driver": "point"})
    rows = ROW.findall(PAGE.read_text())
    assert len(rows) >= 15
    for section, name, stated in rows:
        value = getattr(getattr(config, section), name)
        assert (value[0] if isinstance(value, tuple) else value) == float(stated), f"{section}.{name}"


def test_the_robot_stands_within_the_promised_time() -> None:
    """Requirement 2: the command timeout leaves room below 300 ms; one control period comes on top."""
    config = load_config(overrides=(), given={"state_dir": "unused", "driver": "point"})
    assert config.safety.command_timeout_s <= 0.3
    assert config.teleop.video_slow_s == 0.3 and config.teleop.video_stop_s == 0.7
