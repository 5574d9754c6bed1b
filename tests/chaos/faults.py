"""The faults of processes, services, the network and clocks, a line or a function each; breaking.py has what they are
made of, disks.py and pairs.py the rest. The runner measures what comes after.

A fault returns what it saw while it lasted, for the table; whatever it broke is whole again when it returns.
"""

from __future__ import annotations

import random
import time

import httpx

from tests.chaos.breaking import (
    cut,
    frozen,
    frozen_service,
    kill,
    killed_service,
    last,
    lasting,
    lost_redis,
    restart,
    restart_service,
)
from tests.chaos.catalogue import CLOCKS, FROZEN_LEARNER_S, OUTAGE_S, PHASE_S, Skipped, Strike, fault
from tests.chaos.parts import Namespace
from tests.chaos.site import LEARNERS, ROBOTS, Site, moment
from tests.stack.harness import PASSWORD, RUN

# --- Processes of the server -----------------------------------------------------------------------------------------

for _part, _says in (
    ("web", "web process"),
    ("worker", "worker of the queue `fleet`"),
    ("beat", "beat"),
    ("hooks", "worker of the queue `hooks`"),
):
    fault(f"{_part}-kill", f"{_says}: kill -9", is_quick=_part == "web")(kill(_part))
    fault(f"{_part}-freeze", f"{_says}: SIGSTOP, SIGCONT")(lasting(frozen(_part)))


def _ask_export(site: Site) -> None:
    """Ask, as a manager at the console does, for an export of all that the robots did."""
    with httpx.Client(base_url=f"{site.stack.url}/api/v1/", timeout=20) as http:
        http.get("session")
        for path, body in (
            ("session", {"username": "manager", "password": PASSWORD}),
            ("exports", {"filter": {"origin": ["online"]}, "format": "lerobot-v3.0"}),
        ):
            headers = {"X-CSRFToken": http.cookies["csrftoken"], "Referer": site.stack.url}
            http.post(path, json=body, headers=headers).raise_for_status()


def _in_an_export(strike: Strike) -> Strike:
    """Strike while the worker of `data` makes an export; that it is finished afterwards is one of the promises."""

    def strike_it(site: Site, rng: random.Random) -> str:
        _ask_export(site)
        newest = "SELECT state FROM fleet_export ORDER BY created_at DESC LIMIT 1"
        site.wait_for(lambda: site.value(newest) != "queued", what="an export is made")
        state = site.value(newest)
        return f"an export was {state}; {strike(site, rng)}"

    return strike_it


fault("data-kill", "worker of the queue `data`: kill -9 in an export")(_in_an_export(kill("data", phase_s=0.0)))
fault("data-freeze", "worker of the queue `data`: SIGSTOP, SIGCONT in an export")(
    _in_an_export(lasting(frozen("data")))
)
fault("web-restart", "web process: restart")(restart("web"))
fault("worker-restart", "worker of the queue `fleet`: restart")(restart("worker"))


# --- The learner -----------------------------------------------------------------------------------------------------


def in_a_round(site: Site) -> None:
    """Wait, bounded, until a round is open."""
    query = (
        "SELECT count(*) FROM fleet_traininground r JOIN fleet_trainingrun t ON t.id = r.run_id "
        "WHERE t.name = %s AND r.committed_at IS NULL AND t.holder <> ''"
    )
    site.wait_for(lambda: site.value(query, RUN) == 1, what="a round is open")


@fault("learner-kill-round", "learner: kill -9 in the middle of a round")
def learner_kill_round(site: Site, rng: random.Random) -> str:
    site.work_for(moment(rng, PHASE_S))
    in_a_round(site)
    site.kill(site.holder())
    return "a round was open"


@fault("learner-kill-publish", "learner: kill -9 in the middle of a publication")
def learner_kill_publish(site: Site, rng: random.Random) -> str:
    """Strike when a blob is stored that no row names yet."""
    holder, blobs = site.holder(), site.folder / "objects" / "policies" / "blobs"
    known = set(blobs.iterdir())
    deadline = time.monotonic() + 120
    while set(blobs.iterdir()) <= known:
        assert time.monotonic() < deadline, "nothing was published within two minutes"
        time.sleep(0.001)
    site.kill(holder)
    new = {path.name.partition(".")[0] for path in set(blobs.iterdir()) - known}
    named = site.value("SELECT count(*) FROM fleet_policyversion WHERE blobs ?| %s", list(new))
    return "its blobs stored, no row yet" if not named else "its row written, the round open"


@fault("learner-freeze", f"learner: SIGSTOP for {FROZEN_LEARNER_S:.0f} s in a round, SIGCONT")
def learner_freeze(site: Site, rng: random.Random) -> str:
    """The successor must have the run for itself when the frozen one wakes up."""
    in_a_round(site)
    frozen, successor = site.holder(), LEARNERS[1]
    epoch = "SELECT epoch FROM fleet_trainingrun WHERE name = %s"
    before = site.value(epoch, RUN)
    site.freeze(frozen)
    try:
        site.start_learner(successor)
        site.work_for(FROZEN_LEARNER_S)
        site.wait_for(lambda: site.holder() == successor, what="the successor holds the run")
        site.wait_for(lambda: _has_committed_since(site, before), what="the successor committed a round")
    finally:
        site.thaw(frozen)
    site.work_for(OUTAGE_S)  # both work; the one of the old epoch must not write
    site.processes.stop(successor)
    return f"epoch {before} -> {site.value(epoch, RUN)}; its successor committed, then it woke up"


def _has_committed_since(site: Site, epoch: int) -> bool:
    """Whether a round was committed under a newer epoch; a checkpoint's key ends in the epoch that wrote it."""
    keys = site.rows("SELECT checkpoint_key FROM fleet_traininground WHERE committed_at IS NOT NULL")
    return any(int(key.rpartition("-")[2].partition(".")[0]) > epoch for (key,) in keys)


fault("learner-restart", "learner: restart")(restart(LEARNERS[0]))


# --- Redis and PostgreSQL --------------------------------------------------------------------------------------------


fault("redis-kill", "Redis with its append-only file: kill -9", is_quick=True)(lasting(killed_service("redis")))
fault("redis-freeze", "Redis: SIGSTOP, SIGCONT")(lasting(frozen_service("redis")))
fault("redis-restart", "Redis: restart")(restart_service("redis"))
fault("postgres-kill", "PostgreSQL: kill -9 of the postmaster")(lasting(killed_service("postgres")))
fault("postgres-freeze", "PostgreSQL: SIGSTOP, SIGCONT")(lasting(frozen_service("postgres")))
fault("postgres-restart", "PostgreSQL: restart")(restart_service("postgres"))
fault("redis-lost", "Redis without persistence: kill -9, all state lost")(lasting(lost_redis))


# --- Robots ----------------------------------------------------------------------------------------------------------

fault("robot-kill", "one robot: kill -9")(kill(ROBOTS[0]))
fault("robot-freeze", "one robot: SIGSTOP, SIGCONT")(lasting(frozen(ROBOTS[0])))
fault("robot-restart", "one robot: restart")(restart(ROBOTS[0]))


@fault("robots-kill", "all robots: kill -9")
def robots_kill(site: Site, rng: random.Random) -> str:
    before = {name: site.child(name).restarts for name in ROBOTS}
    for name in ROBOTS:
        site.work_for(moment(rng, PHASE_S / 4))
        site.kill(name)
    site.wait_for(lambda: all(site.child(n).restarts > before[n] for n in ROBOTS), what="robots started again")
    return "started again by their supervisors"


fault("robots-freeze", "all robots: SIGSTOP, SIGCONT")(lasting(frozen(*ROBOTS)))


# --- The network -----------------------------------------------------------------------------------------------------


def _sever(*links: str) -> Strike:
    def strike(site: Site, rng: random.Random) -> str:
        for _ in range(3):
            site.work_for(moment(rng, PHASE_S))
            for link in links:
                site.links[link].sever()
        return "every connection ended three times"

    return strike


for _near, _far in (("web", "postgres"), ("web", "redis"), ("worker", "postgres"), ("worker", "redis"),
                    ("learner", "postgres"), ("learner", "redis")):  # fmt: skip
    fault(f"cut-{_near}-{_far}", f"network {_near} - {_far}: nothing passes")(lasting(cut(f"{_near}-{_far}")))
fault("cut-robot-web", "network one robot - web: nothing passes")(lasting(cut(f"{ROBOTS[0]}-web")))
fault("cut-robots-web", "network all robots - web: nothing passes")(lasting(cut(*(f"{name}-web" for name in ROBOTS))))
fault("sever-robots-web", "network all robots - web: connections end")(_sever(*(f"{name}-web" for name in ROBOTS)))


def _namespace(site: Site) -> Namespace:
    if site.namespace is None:
        raise Skipped(site.lacks.get("namespace", "this site has no namespace"))
    return site.namespace


@fault("unplug-robot", "network namespace of one robot: cable pulled, plugged in")
def unplug_robot(site: Site, rng: random.Random) -> str:
    namespace = _namespace(site)
    site.work_for(moment(rng, PHASE_S))
    namespace.unplug()
    try:
        return last(site)
    finally:
        namespace.plug()


@fault("netem-robot", "network namespace of one robot: 200 ms, 10 % loss by netem")
def netem_robot(site: Site, rng: random.Random) -> str:
    namespace = _namespace(site)
    if not namespace.impair("delay", "200ms", "50ms", "loss", "10%"):
        raise Skipped("this kernel has no sch_netem")
    try:
        return last(site)
    finally:
        namespace.mend()


# --- Clocks ----------------------------------------------------------------------------------------------------------


def _jump(machines: tuple[str, ...], offset_s: int) -> Strike:
    """Jump, work on so, and jump back: two jumps, one each way."""

    def strike(site: Site, rng: random.Random) -> str:
        for machine in machines:
            site.clocks[machine].set(offset_s)
        try:
            return last(site, 15.0)
        finally:
            for machine in machines:
                site.clocks[machine].set(0)

    return strike


HOUR_S = 3600
for _sign, _word in ((1, "ahead"), (-1, "back")):
    fault(f"clock-robot-{_word}", f"one robot's wall clock: an hour {_word}, and right again", layout=CLOCKS)(
        _jump((ROBOTS[0],), _sign * HOUR_S)
    )
    fault(f"clock-server-{_word}", f"the server's wall clock: an hour {_word}, and right again", layout=CLOCKS)(
        _jump(("server",), _sign * HOUR_S)
    )
