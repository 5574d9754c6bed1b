"""Whether this process can serve: database, migrations, Redis, object store, each asked for real and in bounded time.

Asked by `/readyz` (fleet/api/health.py), the status page and the metrics. The answer is kept for SOP_READY_CACHE_S,
and each part is asked by one thread at most: who asks a thousand times a second, or while a part hangs, causes no more
work than who asks once. Details go to `/readyz` only for those who may see them.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass

from django.conf import settings
from django.db import connections
from django.db.migrations.loader import MigrationLoader

from fleet import live
from fleet.protocol.errors import SopError
from fleet.selectors.objects import object_store
from fleet.storage import keys

logger = logging.getLogger(__name__)

READY, FAILED, SLOW = "ready", "failed", "timeout"


@dataclass(frozen=True)
class PartState:
    """Of one part. `code`: ready, timeout, failed, or the code of one of our errors. `took_s`: the question took."""

    name: str
    code: str
    took_s: float

    @property
    def is_ready(self) -> bool:
        return self.code == READY


@dataclass(frozen=True)
class Readiness:
    """`checked_at`: Unix seconds."""

    parts: tuple[PartState, ...]
    checked_at: float

    @property
    def is_ready(self) -> bool:
        return all(part.is_ready for part in self.parts)


class MigrationsMissing(SopError):
    """The database is older than this code."""

    code = "migrations_missing"


class Probe:
    """Asks one part, in a thread of its own that is never doubled: a part that hangs holds one thread, not one more at
    every question."""

    def __init__(self, name: str, ask: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._ask = ask
        self._clock = clock
        self._lock = threading.Lock()
        self._running: Future[PartState] | None = None
        self._reported = READY

    def begin(self) -> Future[PartState]:
        """Return the question that runs, or a new one."""
        with self._lock:
            if self._running is None or self._running.done():
                self._running = Future()
                args = (self._running,)
                threading.Thread(target=self._answer, args=args, name=f"ready-{self.name}", daemon=True).start()
            return self._running

    def wait(self, asked: Future[PartState], *, timeout_s: float) -> PartState:
        """Return the answer, or that there is none in time."""
        try:
            state = asked.result(timeout=max(0.0, timeout_s))
        except TimeoutError:
            state = PartState(self.name, SLOW, timeout_s)
        if state.code != self._reported:
            self._reported = state.code
            logger.log(
                logging.INFO if state.is_ready else logging.ERROR,
                "part changed",
                extra={"event": {"part": self.name, "state": state.code, "took_s": round(state.took_s, 3)}},
            )
        return state

    def _answer(self, asked: Future[PartState]) -> None:
        began = self._clock()
        code = READY
        try:
            self._ask()
        except SopError as error:
            code = error.code
        except Exception:  # each part's driver has its own kinds; any means "not ready", and the log tells which
            code = FAILED
            if self._reported != FAILED:
                logger.warning("part fails", extra={"event": {"part": self.name}}, exc_info=True)
        finally:
            connections.close_all()  # this thread's own go back to the pool; asking the store may ask the database
        asked.set_result(PartState(self.name, code, self._clock() - began))


def _ask_database() -> None:
    _query("SELECT 1")


def _ask_migrations() -> None:
    applied = {(app, name) for app, name in _query("SELECT app, name FROM django_migrations")}
    if missing := _known_migrations() - applied:
        raise MigrationsMissing(f"{len(missing)} migrations are not applied: run manage.py migrate")


@functools.cache
def _known_migrations() -> frozenset[tuple[str, str]]:
    return frozenset(MigrationLoader(None).disk_migrations)


def _query(statement: str) -> list[tuple[str, ...]]:
    """Run it on this thread's own connection."""
    with connections["default"].cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def _ask_redis() -> None:
    """Write, not ping: a Redis whose disk is full answers pings and refuses every task."""
    live.connection().set("sop:ready", b"1", px=10_000)


def _ask_store() -> None:
    object_store().put(keys.READY, b"ready")


_PARTS: Mapping[str, Callable[[], None]] = {
    "database": _ask_database,
    "migrations": _ask_migrations,
    "redis": _ask_redis,
    "object_store": _ask_store,
}


class ReadinessReader:
    """Asks all parts at once and keeps the answer for a moment. One a process."""

    def __init__(self, parts: Mapping[str, Callable[[], None]] = _PARTS) -> None:
        self._probes = [Probe(name, ask) for name, ask in parts.items()]
        self._lock = threading.Lock()
        self._newest: tuple[float, Readiness] | None = None

    def read(self, *, timeout_s: float, keep_s: float) -> Readiness:
        """Return the state of all parts, at most `keep_s` old, within `timeout_s`."""
        with self._lock:  # whoever comes meanwhile gets the same answer
            now = time.monotonic()
            if self._newest is not None and now < self._newest[0]:
                return self._newest[1]
            asked = [(probe, probe.begin()) for probe in self._probes]
            until = now + timeout_s
            parts = tuple(probe.wait(each, timeout_s=until - time.monotonic()) for probe, each in asked)
            found = Readiness(parts, time.time())
            self._newest = (time.monotonic() + keep_s, found)
            return found


_reader = ReadinessReader()


def readiness() -> Readiness:
    """Return what this process can reach now: at most SOP_READY_CACHE_S old, within SOP_READY_TIMEOUT_S."""
    return _reader.read(timeout_s=settings.SOP_READY_TIMEOUT_S, keep_s=settings.SOP_READY_CACHE_S)
