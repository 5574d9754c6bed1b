"""What faults are made of: something that is broken while a block runs, and strikes, alone or while it is.

faults.py, disks.py and pairs.py give them names. Whatever was broken is whole again when a strike returns.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from tests.chaos.catalogue import OUTAGE_S, PHASE_S, Skipped, Strike
from tests.chaos.parts import Volume
from tests.chaos.site import ROBOTS, Site, moment

Broken = Callable[[Site], AbstractContextManager[None]]


def closed(site: Site) -> int:
    """Return how many episodes robots have closed."""
    return sum(len(site.system.closed(name)) for name in ROBOTS)


def last(site: Site, seconds: float = OUTAGE_S) -> str:
    """Let the fault last; return how many episodes robots closed meanwhile."""
    before = closed(site)
    site.work_for(seconds)
    return f"{closed(site) - before} episodes closed in {seconds:.0f} s of it"


# --- Strikes ---------------------------------------------------------------------------------------------------------


def lasting(broken: Broken, seconds: float = OUTAGE_S) -> Strike:
    """Break it and let that last."""

    def strike(site: Site, rng: random.Random) -> str:
        site.work_for(moment(rng, PHASE_S))
        with broken(site):
            return last(site, seconds)

    return strike


def during(broken: Broken, also: Strike, seconds: float = OUTAGE_S) -> Strike:
    """Two at once: strike while something else is broken, which lasts on after it."""

    def strike(site: Site, rng: random.Random) -> str:
        with broken(site):
            seen = also(site, rng)
            return f"{seen}; {last(site, seconds)}"

    return strike


def kill(part: str, *, phase_s: float = PHASE_S) -> Strike:
    def strike(site: Site, rng: random.Random) -> str:
        site.work_for(moment(rng, phase_s))
        before = site.child(part).restarts
        site.kill(part)
        site.wait_for(lambda: site.child(part).restarts > before, what=f"{part} is started again")
        return "started again by its supervisor"

    return strike


def restart(part: str) -> Strike:
    def strike(site: Site, rng: random.Random) -> str:
        site.work_for(moment(rng, PHASE_S))
        before, began = site.child(part).restarts, time.monotonic()
        site.restart(part)
        site.wait_for(lambda: site.child(part).restarts > before, what=f"{part} is started again")
        return f"ended and started again after {time.monotonic() - began:.1f} s"

    return strike


def restart_service(part: str) -> Strike:
    def strike(site: Site, rng: random.Random) -> str:
        site.work_for(moment(rng, PHASE_S))
        began = time.monotonic()
        site.services[part].stop()
        site.services[part].start()
        return f"away for {time.monotonic() - began:.1f} s"

    return strike


# --- What is broken --------------------------------------------------------------------------------------------------


def frozen(*parts: str) -> Broken:
    """Processes that a supervisor watches: SIGSTOP, SIGCONT."""

    @contextlib.contextmanager
    def broken(site: Site) -> Iterator[None]:
        for part in parts:
            site.freeze(part)
        try:
            yield
        finally:
            for part in parts:
                site.thaw(part)

    return broken


def killed_service(part: str) -> Broken:
    @contextlib.contextmanager
    def broken(site: Site) -> Iterator[None]:
        site.services[part].kill()
        try:
            yield
        finally:
            site.services[part].start()

    return broken


def frozen_service(part: str) -> Broken:
    @contextlib.contextmanager
    def broken(site: Site) -> Iterator[None]:
        site.services[part].freeze()
        try:
            yield
        finally:
            site.services[part].thaw()

    return broken


@contextlib.contextmanager
def lost_redis(site: Site) -> Iterator[None]:
    """Redis without persistence: queues, presence and caches are gone when it comes back."""
    with killed_service("redis")(site):
        yield
        for path in (site.plan.redis.folder / "appendonlydir").iterdir():
            path.unlink()


def cut(*links: str) -> Broken:
    """Nothing passes and no connection ends: what a dead path looks like from both ends."""

    @contextlib.contextmanager
    def broken(site: Site) -> Iterator[None]:
        for link in links:
            site.links[link].cut()
        try:
            yield
        finally:
            for link in links:
                site.links[link].mend()

    return broken


def full(name: str) -> Broken:
    """A disk that stays full, whatever others remove."""

    @contextlib.contextmanager
    def broken(site: Site) -> Iterator[None]:
        with volume(site, name).kept_full():
            yield

    return broken


def volume(site: Site, name: str) -> Volume:
    """Return a disk of this site. Raises: Skipped if it has none."""
    if name not in site.volumes:
        raise Skipped(site.lacks.get(name, "this site has no such volume"))
    return site.volumes[name]
