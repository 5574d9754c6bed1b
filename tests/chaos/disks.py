"""Faults of disks and of the object store; see faults.py."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import psycopg

from tests.chaos.breaking import cut, during, frozen_service, full, kill, killed_service, last, lasting, volume
from tests.chaos.catalogue import BUCKET, PHASE_S, Strike, fault
from tests.chaos.site import ROBOTS, Site, moment

fault("store-full", "disk of the object store: full")(lasting(full("store")))


@fault("store-gone", "object store in a folder: its volume is unmounted, mounted again")
def store_gone(site: Site, rng: random.Random) -> str:
    """An empty folder is left in its place, as after a boot without the volume."""
    disk = volume(site, "store")
    site.work_for(moment(rng, PHASE_S))
    disk.detach()
    try:
        seen = last(site)
        strays = [path for path in (site.folder / "objects").rglob("*") if path.is_file()]
        assert not strays, f"{len(strays)} objects were written beside the volume, such as {strays[0]}"
    finally:
        disk.attach()
    return seen


fault("bucket-kill", "S3 server: kill -9", layout=BUCKET)(lasting(killed_service("store")))
fault("bucket-freeze", "S3 server: SIGSTOP, SIGCONT", layout=BUCKET)(lasting(frozen_service("store")))
fault("cut-bucket", "network S3 server - all: nothing passes", layout=BUCKET)(lasting(cut("all-store")))


# --- A robot's -------------------------------------------------------------------------------------------------------

FULL = ROBOTS[1]  # the robot with a disk of its own
STARTED_S = 18.0  # to start, and to close an episode or two for which there is no room
fault("robot-full", "disk of one robot: full")(lasting(full(FULL)))


def _lives(strike: Strike) -> Strike:
    """Strike; the robot must have been started again once, and live on: a full disk is no reason to die in a loop."""

    def strike_it(site: Site, rng: random.Random) -> str:
        before, known = site.child(FULL).restarts, len(site.system.log(FULL))
        seen = strike(site, rng)
        removed = site.system.log(FULL)[known:].count("removed uploaded episode")
        started = site.child(FULL).restarts - before
        assert started == 1, f"{FULL} was started {started} times on a full disk"
        site.pid(FULL)
        return f"{seen}; it removed {removed} registered ones to make room"

    return strike_it


@contextlib.contextmanager
def _killed_then_full(site: Site) -> Iterator[None]:
    """Its supervisor starts it a second later."""
    disk = volume(site, FULL)
    site.kill(FULL)
    with disk.kept_full():
        yield


def _start(site: Site, rng: random.Random) -> str:
    before = site.child(FULL).restarts
    site.wait_for(lambda: site.child(FULL).restarts > before, what=f"{FULL} is started")
    return "started on a full disk"


fault("robot-full-start", "one robot: killed, its disk full before it starts again")(
    _lives(during(_killed_then_full, _start, STARTED_S))
)
fault("robot-full+robot-kill", "disk of one robot: full; that robot: kill -9")(
    _lives(during(full(FULL), kill(FULL, phase_s=2 * PHASE_S), STARTED_S))
)


# --- PostgreSQL's ----------------------------------------------------------------------------------------------------

SEGMENTS = 64  # more than the segments of 16 MiB that were made ahead


@contextlib.contextmanager
def _full_postgres(site: Site) -> Iterator[None]:
    """Neither a table nor the write-ahead log grows: PostgreSQL PANICs when it needs a new segment. If it ended then,
    it is started when there is room again: its recovery would find the same full disk before."""
    service = site.services["postgres"]
    with volume(site, "postgres").kept_full():
        with contextlib.suppress(psycopg.Error):
            for _ in range(SEGMENTS):
                site.rows("SELECT pg_logical_emit_message(false, 'chaos', 'the next segment, please')")
                site.rows("SELECT pg_switch_wal()")
        yield
    if not service.is_running:
        service.stop()
        service.start()


@fault("postgres-full", "disk of PostgreSQL, tables and write-ahead log: full", layout=BUCKET)
def postgres_full(site: Site, rng: random.Random) -> str:
    log, starts = site.plan.postgres.log, site.services["postgres"].starts
    before = log.stat().st_size
    seen = lasting(_full_postgres)(site, rng)
    panic = "PANIC" if b"PANIC" in log.read_bytes()[before:] else "no PANIC"
    return f"{seen}; {panic}, {'ended by itself' if site.services['postgres'].starts > starts else 'lived on'}"
