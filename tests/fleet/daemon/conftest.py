"""Fixtures of the daemon's tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from fleet.daemon import shadow_process
from tests.fleet.daemon import point_policy, point_shadow
from tests.fleet.daemon.peer import Peer


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    """A server on loopback; the daemon's policy host and its shadow process load the tests' point policies."""
    monkeypatch.setitem(sys.modules, "learner.policies.registry", point_policy)
    monkeypatch.setattr(shadow_process, "COMMAND", point_shadow.COMMAND)
    with Peer() as server:
        yield server
