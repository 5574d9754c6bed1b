"""A robot with cameras, its media process, and what the daemon heard from it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest_asyncio

from fleet.daemon.config import MediaConfig
from fleet.daemon.drivers.base import Driver
from fleet.daemon.media.host import MediaHost, create_media
from tests.fleet.daemon.media.watcher import FilmedPoint, Watcher


@dataclass
class Studio:
    """A running media host. `heard` and `closed` hold what it told the daemon."""

    media: MediaHost
    driver: Any
    running: asyncio.Task[None]
    heard: list[tuple[str, str]] = field(default_factory=list)
    closed: list[tuple[str, str]] = field(default_factory=list)
    watchers: list[Watcher] = field(default_factory=list)

    @property
    def pid(self) -> int:
        """The media process."""
        assert self.media._child is not None
        return int(self.media._child.process.pid)

    async def join(self, **how: Any) -> Watcher:
        watcher = Watcher(**how)
        self.watchers.append(watcher)
        return await watcher.join(self.media)


@asynccontextmanager
async def studio_of(driver: Driver, config: MediaConfig, **how: Any) -> AsyncIterator[Studio]:
    media = create_media(driver, config, **how)
    assert isinstance(media, MediaHost)
    studio = Studio(media, driver, asyncio.create_task(media.run()))
    media.start(lambda *said: studio.heard.append(said), lambda *gone: studio.closed.append(gone))
    try:
        yield studio
    finally:
        for watcher in studio.watchers:
            await watcher.leave()
        studio.running.cancel()
        await asyncio.gather(studio.running, return_exceptions=True)


@pytest_asyncio.fixture
async def studio() -> AsyncIterator[Studio]:
    async with studio_of(FilmedPoint(), MediaConfig()) as running:
        yield running
