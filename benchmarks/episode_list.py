"""What the library's questions cost with many episodes: pages, counts, bulk labels, and the plans behind them.

    python -m sop_web.embedded bash -c 'python manage.py migrate -v 0 && python -m benchmarks.episode_list > list.json'

Seeds episodes by SQL (rows only, no objects), then asks each question over HTTP as the console does, through Django's
test client: routing, the session, the database and JSON are in the times, the network is not. Asks as somebody who sees
everything, and as people in groups. Prints JSON: p50, p95 and the plan (EXPLAIN ANALYZE) of every question. `--quick`
is for the test that it runs. Needs DATABASE_URL of a server to scribble on (a migrated database); what it seeded it
removes.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import django
import msgspec

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sop_web.settings.dev")
django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402

from fleet.models import Episode, PeopleGroup, PolicyVersion, Robot, Task, TrainingRun  # noqa: E402
from fleet.permissions import Role  # noqa: E402
from fleet.services.people_group import GroupChange, people_group_create  # noqa: E402
from fleet.services.person import person_roles_set  # noqa: E402

TASKS, ROBOTS, VERSIONS, OPERATORS = 12, 40, 300, 25
SITE_ROBOTS = 10  # of ROBOTS, that whoever is limited by a group sees
MARK = "benchmark-episode-list"
# Deterministic pseudo-random columns of series number g: hashes, so that a rerun asks the same of the same rows.
SEED = """
INSERT INTO fleet_episode (
    id, index_seq, origin, outcome, outcome_source, outcome_reason, environment_outcome, robot_id, task_id,
    policy_version_id, instruction,
    seed, steps, human_steps, control_rate_hz, started_at, ended_at, indexed_at, manifest_key, manifest_sha256,
    size_bytes, sources, operators, tags, comment, is_archived, label_revision, damage, search_text)
SELECT gen_random_uuid(), %(first)s + g, 'online', o.outcome,
    CASE WHEN h.c %% 10 = 0 THEN 'person' ELSE 'environment' END,
    '', '', (%(robots)s::uuid[])[1 + h.a %% %(n_robots)s], (%(tasks)s::uuid[])[1 + h.b %% %(n_tasks)s],
    (%(versions)s::uuid[])[1 + (g * %(n_versions)s / (%(rows)s + 1)) %% %(n_versions)s], 'Put the lid on the box.',
    g, s.steps, CASE WHEN h.c %% 3 = 0 THEN h.d %% (s.steps + 1) ELSE 0 END, 10,
    now() - (%(rows)s - g) * interval '7 seconds' - s.steps * interval '100 ms',
    now() - (%(rows)s - g) * interval '7 seconds',
    now(), 'none', repeat('0', 64), 100000 + h.d %% 900000,
    CASE WHEN h.c %% 3 = 0 THEN '{person,policy}'::varchar[] ELSE '{policy}' END,
    CASE WHEN h.c %% 3 = 0 THEN ARRAY['operator ' || h.b %% %(operators)s]::varchar[] ELSE '{}' END,
    CASE WHEN h.d %% 20 = 0 THEN ARRAY['tag ' || h.a %% 15]::varchar[] ELSE '{}' END,
    CASE WHEN h.d %% 50 = 0 THEN 'the gripper slipped off the lid, see ' || md5(g::text) ELSE '' END,
    h.c %% 200 = 1, 0, '',
    lower('put the lid on the box.' || E'\\n' || 'robot ' || h.a %% %(n_robots)s || E'\\n' ||
          CASE WHEN h.c %% 3 = 0 THEN 'operator ' || h.b %% %(operators)s ELSE '' END || E'\\n' ||
          CASE WHEN h.d %% 50 = 0 THEN 'the gripper slipped off the lid, see ' || md5(g::text) ELSE '' END)
FROM generate_series(1, %(rows)s) AS g
CROSS JOIN LATERAL (SELECT abs(hashint4(g)) AS a, abs(hashint4(g + 1)) AS b, abs(hashint4(g + 2)) AS c,
                           abs(hashint4(g + 3)) AS d) AS h
CROSS JOIN LATERAL (SELECT CASE WHEN h.a %% 2 = 0 THEN 250 ELSE 40 + h.b %% 200 END AS steps) AS s
CROSS JOIN LATERAL (SELECT (ARRAY['success', 'success', 'failure', 'timeout', 'aborted'])[1 + h.b %% 5] AS outcome) AS o
"""


def seed(rows: int) -> float:
    """Insert the episodes; return the seconds."""
    run = TrainingRun.objects.create(name=MARK, algorithm="hg_dagger")
    tasks = [
        Task.objects.create(slug=f"{MARK}-{k}", instruction="-", driver_task="-", max_steps=250) for k in range(TASKS)
    ]
    robots = [Robot.objects.create(name=f"{MARK}-{k}", tags=[MARK] if k < SITE_ROBOTS else []) for k in range(ROBOTS)]
    versions = PolicyVersion.objects.bulk_create(
        PolicyVersion(
            id=uuid.uuid4(), run=run, number=k, step=k, architecture="-", manifest_key="-", manifest_sha256="0" * 64,
            blobs={}, size_bytes=1, trained_at=run.created_at, published_at=run.created_at,
        )
        for k in range(VERSIONS)
    )  # fmt: skip
    newest = Episode.objects.order_by("-index_seq").values_list("index_seq", flat=True).first() or 0
    values = {
        "first": newest, "rows": rows, "operators": OPERATORS,
        "robots": [row.id for row in robots], "n_robots": ROBOTS,
        "tasks": [row.id for row in tasks], "n_tasks": TASKS,
        "versions": [row.id for row in versions], "n_versions": VERSIONS,
    }  # fmt: skip
    begun = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute(SEED, values)
        cursor.execute("VACUUM ANALYZE fleet_episode")
    return time.monotonic() - begun


def remove() -> None:
    Episode.objects.filter(task__slug__startswith=MARK).delete()
    PolicyVersion.objects.filter(run__name=MARK).delete()
    TrainingRun.objects.filter(name=MARK).delete()
    Task.objects.filter(slug__startswith=MARK).delete()
    Robot.objects.filter(name__startswith=MARK).delete()
    PeopleGroup.objects.filter(name__startswith=MARK).delete()
    get_user_model().objects.filter(username__startswith=MARK).delete()


def signed_in(name: str, *groups: GroupChange) -> Client:
    """Return a browser of somebody who is in these groups, or sees everything."""
    user = get_user_model().objects.create_user(name)
    person_roles_set(user=user, roles=(Role.MANAGER,))
    for number, change in enumerate(groups):
        people_group_create(change=msgspec.structs.replace(change, name=f"{name}-{number}", members=(user.pk,)))
    client = Client(SERVER_NAME="127.0.0.1")
    client.force_login(user)
    return client


def limited() -> dict[str, Client]:
    """Return browsers by what their people see: a site of SITE_ROBOTS, and two groups of other robots at some tasks."""
    site = GroupChange(robot_tags=(MARK,))
    tasks = tuple(Task.objects.filter(slug__startswith=MARK).order_by("slug").values_list("id", flat=True)[:3])
    robots = tuple(Robot.objects.filter(name__startswith=MARK).exclude(tags=[MARK]).values_list("id", flat=True)[:5])
    pairs = GroupChange(robots=robots, covers_all_tasks=False, tasks=tasks)
    return {"one site": signed_in(f"{MARK}-1", site), "a site and some tasks": signed_in(f"{MARK}-2", site, pairs)}


def questions() -> dict[str, dict[str, Any]]:
    """What people ask of the library: query parameters by name."""
    rare = Episode.objects.exclude(comment="").order_by("index_seq").first()
    assert rare is not None and rare.policy_version_id is not None
    word = rare.comment.rsplit(" ", 1)[-1][:12]
    version = str(rare.policy_version_id)
    return {
        "newest": {},
        "by share": {"sort": "-share"},
        "by steps": {"sort": "steps"},
        "one task": {"task": f"{MARK}-3"},
        "one version": {"policy_version": version},
        "task, outcome, by end": {"task": f"{MARK}-3", "outcome": "failure", "sort": "-ended"},
        "two robots, operator": {"robot": [str(rare.robot_id)], "operator": "operator 3"},
        "helped a lot": {"share_min": 0.5, "outcome": "success"},
        "tag": {"tag": "tag 4"},
        "archived": {"archived": "only"},
        "common words": {"text": "gripper slipped"},
        "one rare word": {"text": word},
        "a word that is nowhere": {"text": "zebra"},
        "a day": {"ended_from": rare.ended_at.isoformat(), "ended_until": _later(rare)},
    }


def _later(row: Episode) -> str:
    return (row.ended_at + (row.ended_at - row.started_at) * 100).isoformat()


def timed(question: Callable[[], Any], times: int) -> dict[str, float]:
    took = []
    for _ in range(times):
        begun = time.perf_counter()
        question()
        took.append(1000 * (time.perf_counter() - begun))
    took.sort()
    return {
        "p50_ms": round(took[len(took) // 2], 1),
        "p95_ms": round(took[min(len(took) - 1, int(len(took) * 0.95))], 1),
    }


def plans(question: Callable[[], Any]) -> list[list[str]]:
    """Return the plan of each statement over episodes that a question sends."""
    with CaptureQueriesContext(connection) as sent:
        question()
    found = []
    with connection.cursor() as cursor:
        for statement in sent.captured_queries:
            if "fleet_episode" in statement["sql"] and statement["sql"].startswith("SELECT"):
                cursor.execute("EXPLAIN (ANALYZE, BUFFERS) " + statement["sql"].replace("%", "%%"), ())
                found.append([line for (line,) in cursor.fetchall()])
    return found


def measure(client: Client, times: int) -> dict[str, Any]:
    measured: dict[str, Any] = {}
    for name, query in questions().items():
        text = urlencode(query, doseq=True)

        def get(path: str, text: str = text) -> Any:
            answer = client.get(f"{path}?{text}")
            assert answer.status_code == 200, answer.content
            return answer.json()

        def page(get: Callable[..., Any] = get) -> Any:
            return get("/api/v1/episodes")

        def counts(get: Callable[..., Any] = get) -> Any:
            return get("/api/v1/episodes/counts")

        measured[name] = {
            "found": counts()["total"],
            "list": timed(page, times) | {"plans": plans(page)},
            "counts": timed(counts, times) | {"plans": plans(counts)},
        }
    return measured


def deep_page(client: Client, pages: int) -> str:
    """Return the URL of a page far down the list by human share, where most rows share the value 0."""
    url = "/api/v1/episodes?sort=share&page_size=200"
    for _ in range(pages):
        following = client.get(url).json()["next"]
        if following is None:
            break
        url = following
    return url


def bulk(client: Client, episodes: int) -> dict[str, Any]:
    ids = [str(pk) for pk in Episode.objects.order_by("index_seq").values_list("id", flat=True)[:episodes]]
    body = {"ids": ids, "change": {"add_tags": ["benchmark"]}}
    begun = time.monotonic()
    done = client.post("/api/v1/episodes/labels", body, "application/json").json()
    labelled = time.monotonic()
    undone = client.post(f"/api/v1/episodes/labels/{done['batch']}/undo").json()
    assert done["changed"] == undone["changed"] == len(ids)
    return {
        "episodes": len(ids),
        "label_s": round(labelled - begun, 2),
        "undo_s": round(time.monotonic() - labelled, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=40, help="each question is asked")
    parser.add_argument("--quick", action="store_true", help="2,000 episodes, each question twice")
    given = parser.parse_args()
    rows, times = (2000, 2) if given.quick else (given.rows, given.times)
    remove()
    seconds = seed(rows)
    client = signed_in(MARK)
    deep = deep_page(client, 2 if given.quick else 200)
    report = {
        "rows": rows,
        "seed_s": round(seconds, 1),
        "questions": measure(client, times),
        "limited by groups": {name: measure(each, times) for name, each in limited().items()},
        "a page far down": timed(lambda: client.get(deep), times) | {"plans": plans(lambda: client.get(deep))},
        "bulk": bulk(client, min(rows, 5000)),
    }
    remove()
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
