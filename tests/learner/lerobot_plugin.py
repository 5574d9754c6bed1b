"""A pytest plugin for lerobot's environment: draccus, which it needs, installs a package `tests` that hides ours."""

from __future__ import annotations

import importlib
from pathlib import Path

path: list[str] = importlib.import_module("tests").__path__
path.insert(0, str(Path(__file__).parents[1]))
