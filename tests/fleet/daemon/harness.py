"""Runs the daemon's real composition root inside a test's event loop, with the point robot, against a Peer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from fleet.daemon import app
from fleet.daemon.app import Daemon
from fleet.daemon.config import load_config
from fleet.daemon.enrolment import identity_of
from fleet.daemon.state_dir import StateDir
from tests.fleet.daemon.peer import Peer
from tests.fleet.daemon.point import PointDriver, ScriptedSupervisor

FAST = (
    "control.speed_factor=40",
    "control.reset_s=0.4",
    "link.backoff_min_s=0.05",
    "link.backoff_max_s=0.2",
    "upload.backoff_min_s=0.05",
    "upload.backoff_max_s=0.2",
    "policy.backoff_min_s=0.05",
    "policy.backoff_max_s=0.2",
    "policy.unsigned=always",  # the Peer has no key; test_trust.py is about signatures
)


def make_supervisor(driver: Any, options: dict[str, Any]) -> ScriptedSupervisor | None:
    return ScriptedSupervisor(**options) if options else None


@asynccontextmanager
async def running(
    peer: Peer | str, state: Path, monkeypatch: pytest.MonkeyPatch, *settings: str, driver: PointDriver | None = None
) -> AsyncIterator[Daemon]:
    """Start a daemon, stop it cleanly at the end. `peer` may be a URL at which nobody answers."""
    monkeypatch.setattr(app, "create_supervisor", make_supervisor)
    server = peer if isinstance(peer, str) else peer.url
    given = {"server": server, "state_dir": str(state), "driver": "point", "token": "one-time", "name": "point-1"}
    config = load_config(overrides=(*FAST, *settings), given=given)
    state_dir = StateDir(config.state_dir)
    stopping = asyncio.Event()
    try:
        async with httpx.AsyncClient(base_url=server, timeout=5.0) as client:
            identity = await identity_of(config, client)
            daemon = Daemon(
                config, state_dir=state_dir, driver=driver or PointDriver(), client=client, identity=identity
            )
            task = asyncio.create_task(daemon.run(stopping))
            try:
                yield daemon
            finally:
                stopping.set()
                await asyncio.wait_for(task, 20)
    finally:
        state_dir.close()


def closed_ids(state: Path) -> list[str]:
    """Return what the robot counts as closed."""
    log = state / "spool" / "closed.log"
    return log.read_text().split() if log.exists() else []
