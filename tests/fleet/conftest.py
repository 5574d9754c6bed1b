"""Fixtures of the server's tests: an object folder a test, and a real uvicorn over the test's database."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fleet.storage.local import LocalStore

# Imports that need Django stay inside the fixtures: the daemon's and the protocol's tests load this file too.


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mount a disk of so many KiB in memory, whose end is as real as any disk's; needs root."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts a disk")
    mounted: list[Path] = []

    def mount(size_kib: int) -> Path:
        place = tmp_path / f"disk-{len(mounted)}"
        place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_kib}k", "tmpfs", str(place)], check=True)
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def objects(tmp_path: Path, settings: Any) -> LocalStore:
    """The configured object store, empty."""
    from fleet.selectors.objects import object_store
    from fleet.storage.local import LocalStore

    settings.SOP_OBJECT_STORE_URL = f"file://{tmp_path}/objects"
    opened = object_store()
    assert isinstance(opened, LocalStore)
    return opened


@pytest.fixture
def server(transactional_db: None, objects: LocalStore, settings: Any) -> Iterator[str]:
    """A real uvicorn in a thread; yields "127.0.0.1:port". Heartbeats are 0.2 s apart, so silence shows quickly."""
    import uvicorn

    from sop_web.asgi import application

    settings.SOP_HEARTBEAT_S = 0.2
    config = uvicorn.Config(application, port=0, lifespan="off", log_config=None, ws="websockets-sansio")
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, name="uvicorn", daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not running.started:
        assert thread.is_alive() and time.monotonic() < deadline, "uvicorn did not start"
        time.sleep(0.01)
    host, port = running.servers[0].sockets[0].getsockname()[:2]
    yield f"{host}:{port}"
    running.should_exit = True
    thread.join(timeout=10)
    assert not thread.is_alive(), "uvicorn did not stop"
