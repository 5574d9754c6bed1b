"""A pytest plugin for lerobot's environment.

draccus, which lerobot needs, installs a package `tests` that hides ours. The hub is offline; its cache goes with the
process.
"""

from __future__ import annotations

import importlib
import os
import tempfile
from pathlib import Path

HUB = tempfile.TemporaryDirectory()
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HOME": HUB.name}
path: list[str] = importlib.import_module("tests").__path__
path.insert(0, str(Path(__file__).parents[1]))
