"""What the manager's charts cost with many episodes, and whether every number in them is right.

    python -m sop_web.embedded bash -c 'python manage.py migrate -v 0 && python -m benchmarks.dashboard > it.json'

Seeds episodes with their segments, versions, deployments, leases, calls for help and robots' states (rows only, no
objects), starts a uvicorn of its own, compares every number of every chart with one computed from the rows
(dashboard_charts.py), then asks each request of the console's charts again and again over HTTP. Prints JSON: how many
numbers were equal by chart, p50 and p95 of each request, and the machine. Ends with an error at the first number that
is wrong. `--quick` is for the test that it runs. Needs DATABASE_URL and REDIS_URL of servers to scribble on (a migrated
database); what it seeded it removes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sop_web.settings.dev")
django.setup()

import httpx  # noqa: E402
from django.contrib.auth import get_user_model  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.utils import timezone  # noqa: E402

from benchmarks import dashboard_rows  # noqa: E402
from benchmarks.dashboard_charts import compare_all  # noqa: E402
from benchmarks.dashboard_checked import iso  # noqa: E402
from benchmarks.dashboard_truth import Asked  # noqa: E402
from benchmarks.episode_list import timed  # noqa: E402
from benchmarks.fleet_page import wait_until_serving  # noqa: E402
from fleet.permissions import Role  # noqa: E402
from fleet.services.person import person_roles_set  # noqa: E402
from fleet.services.rollup import rollups_rebuild  # noqa: E402

PORT = 8799  # fleet_page's, which waits for it
DAY_S = 86_400
RANGES = {"last 24 h": DAY_S, "last 7 d": 7 * DAY_S, "last year": 366 * DAY_S}
# What the views of /reports ask (frontend/src/features/reports/components).
SUCCESS = ["success", "unaided", "autonomous", "assisted"]
THROUGHPUT = ["throughput_sop", "throughput_recap", "throughput_total"]
PEOPLE = ["human_share", "interventions", "time_between", "rohe"]


@contextmanager
def server() -> Iterator[str]:
    """Run a web process over the seeded database; yield its address."""
    command = [sys.executable, "-m", "uvicorn", "sop_web.asgi:application", "--port", str(PORT), "--log-level", "error"]
    limits = {"SOP_RATE_USER_PER_MIN": "1000000"}
    environment = {**os.environ, **limits}
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen([*command, "--no-access-log"], stdout=log, stderr=log, env=environment) as process,
    ):
        try:
            wait_until_serving(process)
            yield f"http://127.0.0.1:{PORT}"
        except httpx.TransportError as error:
            log.seek(0)
            raise RuntimeError(f"the server: {process.poll()}, {log.read().decode()[-2000:]}") from error
        finally:
            process.terminate()


def manager() -> httpx.Cookies:
    user = get_user_model().objects.create_user(dashboard_rows.MARK)
    person_roles_set(user=user, roles=[Role.MANAGER])
    client = Client()
    client.force_login(user)
    return httpx.Cookies({"sessionid": client.cookies["sessionid"].value})


def filters(size: dashboard_rows.Size, end: datetime, fleet: dashboard_rows.Fleet) -> list[tuple[Asked, str, str]]:
    """Everything by hour, and parts of it as people choose them, in zones whose days begin at odd times."""
    since, until = _quarter(end - size.span - timedelta(hours=1)), _quarter(end + timedelta(minutes=15))
    halfway = _quarter(end - size.span / 2)
    robots = tuple(str(robot.id) for robot in fleet.robots[:3])
    versions = tuple(str(version.id) for version in fleet.versions[len(fleet.versions) // 2 :][:5])
    return [
        (Asked(since=since, until=until), "UTC", "auto"),
        (Asked(since=since, until=until, tasks=(fleet.tasks[3].slug,), archived="no"), "Asia/Kathmandu", "day"),
        (Asked(since=halfway, until=until, robots=robots, run=str(fleet.run.id)), "America/St_Johns", "day"),
        (Asked(since=since, until=until, versions=versions), "Europe/Berlin", "week"),
    ]


def _quarter(at: datetime) -> int:
    return int(at.timestamp()) // 900 * 900_000


def requests(fleet: dashboard_rows.Fleet, end: datetime) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return every request of the console's charts by name: the path and its query."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for label, seconds in RANGES.items():
        query = {"last_s": seconds, "tz": "Europe/Berlin"}
        for name, measures in (("success", SUCCESS), ("throughput", THROUGHPUT), ("people", PEOPLE)):
            found[f"{name} over time, {label}"] = ("metrics/over-time", {**query, "measure": measures})
        for group in ("task", "robot", "version"):
            found[f"success by {group}, {label}"] = (f"metrics/by-{group}", {**query, "measure": SUCCESS})
        for chart in ("best-version", "loop", "operators", "robot-states"):
            found[f"{chart}, {label}"] = (f"metrics/{chart}", query)
    task = {"task": fleet.tasks[3].slug}
    year = {"last_s": RANGES["last year"], "tz": "Europe/Berlin"}
    found["one task over time, last year"] = ("metrics/over-time", {**year, **task, "measure": SUCCESS})
    found["one task by version, last year"] = ("metrics/by-version", {**year, **task, "measure": SUCCESS})
    found["best version at one task, last year"] = ("metrics/best-version", {**year, **task})
    first, second = (str(version.id) for version in fleet.versions[-2:])
    found["two versions"] = ("metrics/compare", {**year, "first": first, "second": second})
    week, now = 7 * DAY_S * 1000, _quarter(end)
    ends = zip(("first_since", "first_until", "second_since", "second_until"),
               (now - 2 * week, now - week, now - week, now), strict=True)  # fmt: skip
    found["two periods"] = ("metrics/compare", {**year, **{name: iso(at) for name, at in ends}})
    run = str(fleet.run.id)
    found["time to target"] = ("metrics/time-to-target", {"run": run})
    found["live success"] = ("metrics/success", {"window_s": 3600})
    found["training runs"] = ("training-runs", {})
    found["lineage"] = (f"training-runs/{run}/lineage", {})
    found["version"] = (f"policy-versions/{second}/report", {})
    found["version compared"] = (f"policy-versions/{second}/compare/{first}", {})
    return found


def machine() -> dict[str, Any]:
    with Path("/proc/meminfo").open() as lines:
        memory_kb = int(next(lines).split()[1])
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        (database,) = cursor.fetchone()
    return {
        "cores": os.cpu_count(), "memory_gb": round(memory_kb / 1e6, 1), "python": platform.python_version(),
        "postgresql": database, "load_1min": [round(os.getloadavg()[0], 1)],
    }  # fmt: skip


def measure(size: dashboard_rows.Size, times: int) -> dict[str, Any]:
    end = timezone.now().replace(microsecond=0) - timedelta(minutes=30)  # no range of `filters` lasts until now
    begun = time.monotonic()
    fleet = dashboard_rows.make(size=size, end=end, seed=7)
    seeded = time.monotonic()
    keys = rollups_rebuild()
    rebuilt = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    stated, cookies = machine(), manager()
    with server() as url, httpx.Client(base_url=f"{url}/api/v1/", cookies=cookies, timeout=60) as client:

        def get(path: str, query: dict[str, Any]) -> Any:
            answer = client.get(path.removeprefix("/api/v1/"), params=query)
            assert answer.status_code == 200, f"{path}: {answer.text}"
            return answer.json()

        equal = compare_all(get, run=str(fleet.run.id), asked=filters(size, end, fleet))
        compared = time.monotonic()
        asked = requests(fleet, end)
        figures = {name: timed(lambda asked=asked[name]: get(*asked), times) for name in asked}
    stated["load_1min"].append(round(os.getloadavg()[0], 1))
    return {
        "episodes": size.episodes,
        "machine": stated,
        "seed_s": round(seeded - begun, 1),
        "rollups": {"keys": keys, "rebuild_s": round(rebuilt - seeded, 1)},
        "equal": {"numbers": sum(equal.values()), "s": round(compared - rebuilt, 1), "by_chart": equal},
        "asked": times,
        "slowest": max(figures.items(), key=lambda each: each[1]["p95_ms"]),
        "requests": figures,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=40, help="each request is asked")
    parser.add_argument("--quick", action="store_true", help="600 episodes, each request twice")
    given = parser.parse_args()
    quick = dashboard_rows.Size(episodes=600, tasks=4, robots=4, versions=12, operators=3, every_s=30)
    size, times = (quick, 2) if given.quick else (dashboard_rows.Size(episodes=given.rows), given.times)
    dashboard_rows.remove()
    try:
        print(json.dumps(measure(size, times), indent=1))
    finally:
        dashboard_rows.remove()


if __name__ == "__main__":
    main()
