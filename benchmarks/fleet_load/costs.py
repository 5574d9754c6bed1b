"""CPU of the steps that a fleet's links are made of, by themselves: the constants of docs/capacity.md.

    python -m sop_web.embedded bash -c 'python manage.py migrate -v 0 && python -m benchmarks.fleet_load.costs'

Needs DATABASE_URL and REDIS_URL of servers to scribble on. Counts this process's CPU seconds, not the clock's, so that
others on the machine disturb it little; what PostgreSQL and Redis take besides is in the report of `fleet_load`. Each
step is done three times over 2,000 robots, and the median told. Prints JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sop_web.settings.dev")
django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.test import Client  # noqa: E402

from benchmarks.fleet_load import rows  # noqa: E402
from benchmarks.fleet_load.robots import status  # noqa: E402
from fleet.consumers.auth import off_loop  # noqa: E402
from fleet.consumers.caller import Caller, rights_of  # noqa: E402
from fleet.consumers.cards import Cards  # noqa: E402
from fleet.models import Robot  # noqa: E402
from fleet.selectors.robot import desired_states  # noqa: E402
from fleet.services.robot import robot_keys_check  # noqa: E402
from fleet.services.robot_seen import Beat, robots_gone, robots_seen  # noqa: E402

ROBOTS = 2000
TIMES = 3


async def cpu_ms(act: Callable[[], object], count: int) -> float:
    """Return the median CPU of `act` in milliseconds for each of `count`. It runs in a thread beside a loop."""
    found = []
    for _ in range(TIMES):
        began_s = time.process_time()
        await off_loop(act)
        found.append((time.process_time() - began_s) * 1e3 / count)
    return round(statistics.median(found), 4)


def parts(items: list[Any], size: int) -> list[list[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def caller() -> Caller:
    user = get_user_model().objects.get(username="load-0")
    client = Client()
    client.force_login(user)
    return Caller(user.pk, user.get_username(), client.cookies["sessionid"].value, "connection")


def seed() -> list[tuple[str, str]]:
    keys, _, run_id = rows.seed(ROBOTS)
    rows.publish(run_id, 0)
    Robot.objects.update(link_session="session")
    return keys


async def measure() -> None:
    keys = await off_loop(seed)
    ids = [robot_id for robot_id, _ in keys]
    step = iter(range(10**9))

    def beats(is_row_due: bool) -> list[Beat]:
        number, now_ns = next(step), time.monotonic_ns()
        state = status(number % 15, 1, now_ns, 0)
        return [Beat(robot_id, "session", state, key if is_row_due else None) for robot_id, key in keys]

    def see(is_row_due: bool, size: int) -> Callable[[], object]:
        return lambda: [robots_seen(beats=part) for part in parts(beats(is_row_due), size)]

    await off_loop(see(True, 100))
    cards = Cards()
    await cards.refresh(None, set(), set())

    async def show(robot_ids: set[str] | None, acting: set[str]) -> float:
        found = []
        for _ in range(TIMES):
            await off_loop(see(False, 500))
            began_s = time.process_time()
            await cards.refresh(robot_ids, acting, set(ids))
            found.append((time.process_time() - began_s) * 1e3 / ROBOTS)
        return round(statistics.median(found), 4)

    looked = await off_loop(caller)
    print(json.dumps({
        "robots": ROBOTS,
        "ms_of_cpu_each": {
            "heartbeat seen, 100 at once": await cpu_ms(see(False, 100), ROBOTS),
            "heartbeat seen, 10 at once": await cpu_ms(see(False, 10), ROBOTS),
            "heartbeat seen alone": await cpu_ms(
                lambda: [robots_seen(beats=[beat]) for beat in beats(False)[:200]], 200
            ),
            "heartbeat whose row is due, 10 at once": await cpu_ms(see(True, 10), ROBOTS),
            "card of a heartbeat that says something else": await show(set(), set(ids)),
            "card at the refresh of all": await show(None, set()),
            "state, 50 at once": await cpu_ms(
                lambda: [desired_states(robot_ids=part) for part in parts(ids, 50)], ROBOTS
            ),
            "state alone": await cpu_ms(lambda: [desired_states(robot_ids=[one]) for one in ids[:200]], 200),
            "key checked, 50 at once": await cpu_ms(
                lambda: [robot_keys_check(keys=part) for part in parts(keys, 50)], ROBOTS
            ),
            "gone, 100 at once": await cpu_ms(
                lambda: [robots_gone(sessions=[(one, "session") for one in part]) for part in parts(ids, 100)], ROBOTS
            ),
            "rights of a console": await cpu_ms(lambda: [rights_of(looked, ()) for _ in range(200)], 200),
        },
    }, indent=1))  # fmt: skip


if __name__ == "__main__":
    asyncio.run(measure())
