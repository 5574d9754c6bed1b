"""Configuration: from TOML and the command line, unknown keys and impossible values refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet.daemon.config import ConfigError, load_config

GIVEN: dict[str, Any] = {"state_dir": "/tmp/robot", "driver": "point"}


def test_file_then_command_line_then_overrides(tmp_path: Path) -> None:
    file = tmp_path / "robot.toml"
    file.write_text('seed = 4\nname = "a"\n[control]\ncontrol_rate_hz = 30\n[driver_options]\ncamera = "egl"\n')
    config = load_config(path=file, given=GIVEN | {"name": "b"}, overrides=("control.speed_factor=2", "seed=5"))
    assert (config.seed, config.name, config.state_dir) == (5, "b", Path("/tmp/robot"))
    assert (config.control.control_rate_hz, config.control.speed_factor) == (30, 2)
    assert config.driver_options == {"camera": "egl"}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("control.speed=2", "unknown key 'control.speed'"),
        ("spede=2", "unknown key 'spede'"),
        ("control.speed_factor=-1", "speed_factor"),
        ("control.speed_factor=fast", "speed_factor"),
        ("control=3", "section"),
        ("driver", "key=value"),
        ("server=ftp://x", "http"),
        ("seed=-1", "seed"),
        ("thumbnail.period_s=0.1", "one picture a second"),
        ("safety.low=[-1, 1.5, x]", "low"),
    ],
)
def test_bad_settings_are_refused_with_their_name(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(given=GIVEN, overrides=(override,))


def test_missing_and_broken_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("seed = = 1")
    for name in ("absent.toml", "broken.toml"):
        with pytest.raises(ConfigError, match=name):
            load_config(path=tmp_path / name, given=GIVEN)
