"""A pytest plugin for lerobot's environment.

draccus, which lerobot needs, installs a package `tests` that hides ours. The hub is offline; its cache goes with the
process.
"""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

HUB = tempfile.TemporaryDirectory()
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HOME": HUB.name}
path: list[str] = importlib.import_module("tests").__path__
path.insert(0, str(Path(__file__).parents[1]))


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """Results depend on the number of threads, and a command sets it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
