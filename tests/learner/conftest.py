"""Fixtures of the learner's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture
def cold_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin and end without a warm trainer. No heartbeats: their thread cannot see the test's transaction."""
    import torch

    from learner import tasks

    monkeypatch.setattr(tasks, "HEARTBEAT_S", 3600.0)
    threads = torch.get_num_threads()
    tasks._process.warm = None
    yield
    tasks._process.warm = None
    torch.set_num_threads(threads)
