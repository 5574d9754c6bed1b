"""As lerobot.robots: the base class, its configuration, and the factory."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from draccus import ChoiceRegistry


@dataclass(kw_only=True)
class RobotConfig(ChoiceRegistry):
    _choices: ClassVar[dict[str, type]] = {}
    id: str | None = None
    calibration_dir: Path | None = None


class Robot:
    def __init__(self, config: RobotConfig) -> None:
        self.id = config.id
        self.calibration: dict[str, Any] = {}


def make_robot_from_config(config: RobotConfig) -> Any:
    module = importlib.import_module(type(config).__module__)
    return getattr(module, type(config).__name__.removesuffix("Config"))(config)
