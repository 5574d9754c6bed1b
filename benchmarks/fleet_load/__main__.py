"""What a fleet's links cost on this machine, and how long things take under them.

    python -m benchmarks.fleet_load --robots 2000 --consoles 100 --stalled 20 --seconds 120 --report load.json

Real are: robots' and consoles' protocol, keys and sessions, nginx, the web processes, PostgreSQL with fsync, Redis.
Left out: TLS, cameras, downloads of weights, workers and learner. Beside it, in the same run and through the same
nginx, a bare websocket echo with as many sockets and messages: ratios to it say more than times on a shared machine.
The load itself takes a share of the same cores, which the report names: what it takes, the site does not have.

Phases: echo; connect; steady (delay of cards, CPU, memory); publishes; restart of all web processes at once; episodes.
Prints the report as JSON; asserts nothing. Needs nginx. Sockets are two files each at nginx: see `ulimit -n`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil

from benchmarks.fleet_load import rows
from benchmarks.fleet_load.child import Child, raise_file_limit
from benchmarks.fleet_load.consoles import Consoles
from benchmarks.fleet_load.delays import Delays
from benchmarks.fleet_load.echo import Echoes
from benchmarks.fleet_load.ingest import ingest
from benchmarks.fleet_load.robots import Robots
from benchmarks.fleet_load.site import Site, bucket, running_site, wait_listening
from benchmarks.fleet_load.usage import Parts, Usage
from sop_web.demo.rows import setup_django
from sop_web.demo.stack import manage

PHASES = ("echo", "steady", "publish", "restart", "ingest")
OPEN_S = 180.0  # for all sockets to open
SETTLE_S = 5.0


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Loads:
    """The load's processes, by name."""

    def __init__(self, children: dict[str, tuple[Child, int]]) -> None:
        self._children = children  # with how many sockets each shall have open

    def parts(self) -> Parts:
        return {name: [psutil.Process(child.pid)] for name, (child, _) in self._children.items()}

    def start(self) -> None:
        for child, _ in self._children.values():
            child.ask("start")

    def wait_open(self, began_s: float, most_s: float = OPEN_S) -> dict[str, Any]:
        """Wait until all sockets are open; return when the last of each kind was, in seconds after `began_s`."""
        deadline = time.monotonic() + most_s
        found: dict[str, Any] = {}
        while len(found) < len(self._children) and time.monotonic() < deadline:
            for name, (child, wanted) in self._children.items():
                count, last_s = child.ask("open")
                if name not in found and count >= wanted:
                    found[name] = round(last_s - began_s, 2)
            time.sleep(0.1)
        for name, (child, wanted) in self._children.items():
            found.setdefault(name, f"{child.ask('open')[0]} of {wanted} after {most_s:.0f} s")
        return found

    def opened(self, began_s: float) -> dict[str, list[float]]:
        """Return when a tenth, two tenths ... of what is open had opened, in seconds after `began_s`."""
        found = {}
        for name, (child, _) in self._children.items():
            times = child.ask("opened")
            found[name] = [round(times[(len(times) * tenth - 1) // 10] - began_s, 2) for tenth in range(1, 11) if times]
        return found

    def take(self) -> dict[str, Any]:
        return {name: child.ask("take") for name, (child, _) in self._children.items()}

    def end(self) -> None:
        for child, _ in self._children.values():
            child.end()


def echo(site: Site, given: argparse.Namespace) -> dict[str, Any]:
    site.start_echo()
    url = f"ws://127.0.0.1:{site.echo_port}/"
    loads = Loads({"echo-load": (Child("echo-load", Echoes, url, given.robots, given.heartbeat_s), given.robots)})
    began_s = time.monotonic()
    loads.start()
    opened = loads.wait_open(began_s)
    time.sleep(SETTLE_S)
    loads.take()
    with Usage(lambda: {**site.parts(), **loads.parts()}) as usage:
        time.sleep(given.echo_seconds)
    delays: Delays = loads.take()["echo-load"]
    loads.end()
    site.stop_echo()
    return {
        "connect_s": opened["echo-load"],
        "round_trip": delays.summary(),
        "messages_s": round(delays.n / usage.seconds, 1),
        "cores": usage.cores(),
        "memory": usage.memory(),
    }


def steady(site: Site, loads: Loads, given: argparse.Namespace) -> dict[str, Any]:
    loads.take()
    database, redis = rows.statements(), rows.redis_commands()
    with Usage(lambda: {**site.parts(), **loads.parts()}) as usage:
        time.sleep(given.seconds)
    taken = loads.take()
    robots, consoles = taken["robots"], taken["consoles"]
    return {
        "seconds": round(usage.seconds, 1),
        "beats_s": round(robots.beats / usage.seconds, 1),
        "ack": robots.acks.summary(),
        "shown": consoles.shown.summary(),
        "aged": consoles.aged.summary(),
        "console_frames_s": round(consoles.frames / usage.seconds, 1),
        "console_mb_s": round(consoles.bytes / usage.seconds / 1e6, 3),
        "closes": {**robots.closes, **consoles.closes},
        "cores": usage.cores(),
        "memory": usage.memory(),
        "database_s": _rates(database, rows.statements(), usage.seconds),
        "redis_s": _rates(redis, rows.redis_commands(), usage.seconds),
    }


def _times(ours: dict[str, Any], bare: dict[str, Any]) -> dict[str, float | None]:
    """Return the web processes' share of the cores and the median answer as multiples of the bare echo's."""
    web, echo = (
        sum(cores for name, cores in each["cores"].items() if name.removeprefix(kind).isdigit())
        for each, kind in ((ours, "web-"), (bare, "echo-"))
    )
    answered, echoed = ours["ack"]["p50_ms"], bare["round_trip"]["p50_ms"]
    return {"cores": round(web / echo, 2) if echo else None, "ack_p50": round(answered / echoed, 2) if echoed else None}


def _rates(before: dict[str, int], after: dict[str, int], seconds: float) -> dict[str, float]:
    return {name: round((after[name] - before[name]) / seconds, 1) for name in before}


def publishes(site: Site, loads: Loads, given: argparse.Namespace, run_id: str) -> dict[str, Any]:
    """Publish versions; each must reach every robot."""
    found = []
    for step in range(1, given.publishes + 1):
        loads.take()
        began_s = time.monotonic()
        with Usage(lambda: {**site.parts(), **loads.parts()}) as usage:
            version = rows.publish(run_id, step)
            published_s = time.monotonic() - began_s
            delays, shown, size, states = Delays(), Delays(), 0, 0
            while delays.n < given.robots and time.monotonic() - began_s < given.publish_seconds:
                time.sleep(0.5)
                taken = loads.take()
                delays.merge(taken["robots"].announced.get(version, Delays()))
                shown.merge(taken["consoles"].shown)
                states, size = states + taken["robots"].states, size + taken["robots"].state_bytes
        reached = {"robots": delays.n, **delays.summary(), "state_bytes": round(size / max(1, states))}
        found.append({"call_s": round(published_s, 3), **reached, "shown": shown.summary(), "cores": usage.cores()})
        time.sleep(SETTLE_S)
    return {"each": found}


def restart(site: Site, loads: Loads) -> dict[str, Any]:
    """End all web processes at once by SIGTERM, start them anew at once; seconds from the SIGTERM on."""
    loads.take()
    began_s = time.monotonic()
    site.stop_web()
    stopped_s = time.monotonic() - began_s
    site.start_web()
    wait_listening(site.web)
    listening_s = time.monotonic() - began_s
    with Usage(lambda: {**site.parts(), **loads.parts()}) as usage:
        opened = loads.wait_open(began_s)
    taken = loads.take()
    robots, consoles = taken["robots"], taken["consoles"]
    time.sleep(SETTLE_S)
    late = loads.take()
    return {
        "stopped_s": round(stopped_s, 2),
        "listening_s": round(listening_s, 2),
        "all_open_s": opened,
        "tenths_open_s": loads.opened(began_s),
        "cores_since_listening": usage.cores(),
        "closes": {**robots.closes, **consoles.closes},
        "closes_in_the_5_s_after": {**late["robots"].closes, **late["consoles"].closes},
    }


def run(site: Site, given: argparse.Namespace, report: dict[str, Any]) -> None:
    """Go through the phases; the report has what was measured also if one of them fails."""
    report |= {"machine": machine(), "given": {name: str(value) for name, value in vars(given).items()}}
    setup_django(site.stack.environment(SOP_PUBLIC_URL=site.origin))
    manage(site.stack, "migrate", "--noinput", "--verbosity", "0")
    manage(site.stack, "signing_key")
    keys, cookies, run_id = rows.seed(given.robots)
    if "echo" in given.phases:
        say("echo ...")
        report["echo"] = echo(site, given)
    site.start_web()
    wait_listening(site.web)
    rows.publish(run_id, 0)
    kinds = ["stalled"] * given.stalled + ["observer"] * given.observers
    kinds += ["reader"] * (given.consoles - len(kinds))
    loads = Loads({
        "robots": (Child("robots", Robots, f"{site.url}/ws/robot", keys, given.seed), given.robots),
        "consoles": (
            Child("consoles", Consoles, f"{site.url}/ws/console", site.origin, cookies, kinds),
            given.consoles - given.stalled,
        ),
    })  # fmt: skip
    with ExitStack() as exits:
        exits.callback(loads.end)
        say("connect ...")
        began_s = time.monotonic()
        with Usage(lambda: {**site.parts(), **loads.parts()}) as usage:
            loads.start()
            report["connect"] = {"all_open_s": loads.wait_open(began_s)}
        report["connect"] |= {"cores": usage.cores(), "seconds": round(usage.seconds, 1)}
        time.sleep(SETTLE_S)
        if "steady" in given.phases:
            say("steady ...")
            report["steady"] = steady(site, loads, given)
            if "echo" in report:
                report["steady"]["times_the_echo"] = _times(report["steady"], report["echo"])
        if "publish" in given.phases:
            say("publish ...")
            report["publish"] = publishes(site, loads, given, run_id)
        if "restart" in given.phases:
            say("restart ...")
            report["restart"] = restart(site, loads)
    if "ingest" in given.phases:
        say("ingest ...")
        report["ingest"] = ingest(site, keys, given)
    report["load_after"] = os.getloadavg()


def machine() -> dict[str, Any]:
    return {
        "machine": platform.machine(), "cores": os.cpu_count(), "load_before": os.getloadavg(),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "files": raise_file_limit(),
        "scheduled_idle": os.sched_getscheduler(0) == os.SCHED_IDLE,
    }  # fmt: skip


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    numbers = {
        "robots": (200, "links of robots"), "consoles": (20, "sockets of consoles, of all kinds"),
        "stalled": (4, "of them: read nothing after the first frame"),
        "observers": (2, "of them: parse every card for its delay"), "web": (2, "web processes"),
        "seconds": (30, "of the steady phase"), "echo-seconds": (15, "of the echo's"), "publishes": (3, "versions"),
        "publish-seconds": (60, "to wait for each"), "episodes": (100, "uploaded"),
        "episode-kb": (500, "of an episode's video"), "uploaders": (8, "robots that upload at once"), "seed": (1, ""),
    }  # fmt: skip
    for name, (default, text) in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{text} (default {default})")
    parser.add_argument("--heartbeat-s", type=float, default=1.0, help="of each robot (default 1)")
    parser.add_argument("--phases", nargs="+", default=list(PHASES), choices=PHASES)
    parser.add_argument("--bucket", action="store_true", help="keep objects in an S3 server's bucket, not in a folder")
    parser.add_argument("--folder", type=Path, help="where to work, empty; a temporary one by default")
    parser.add_argument("--report", type=Path, help="also write the report here")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    raise_file_limit()
    report: dict[str, Any] = {}
    try:
        with ExitStack() as exits:
            # On a real disk: PostgreSQL's fsync and the episodes' cost nothing in memory.
            folder = given.folder or Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="fleet-load-")))
            if given.bucket:
                exits.enter_context(bucket(folder / "bucket"))
            site = exits.enter_context(running_site(folder, web=given.web, heartbeat_s=given.heartbeat_s))
            run(site, given, report)
    finally:
        text = json.dumps(report, indent=1)
        print(text)
        if given.report:
            given.report.write_text(text + "\n")


if __name__ == "__main__":
    main()
