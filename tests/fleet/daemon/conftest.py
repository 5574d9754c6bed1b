"""Fixtures of the daemon's tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.fleet.daemon import point_policy
from tests.fleet.daemon.peer import Peer


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    """A server on loopback; the daemon's policy host loads the tests' point policies."""
    monkeypatch.setitem(sys.modules, "learner.policies.registry", point_policy)
    with Peer() as server:
        yield server
