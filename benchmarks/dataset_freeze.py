"""What it costs to freeze many episodes as a version of a dataset: seconds and memory, here and in the database.

    python -m sop_web.embedded bash -c 'python manage.py migrate -v 0 && python -m benchmarks.dataset_freeze > it.json'

Seeds episodes as `episode_list` does (rows only, no objects), then asks over HTTP as the console does: the preview with
its counts, the freeze of everything, plain and cut by task, and a page of what was frozen. Prints JSON. `memory_mb` is
how far the peak of this process (web server and client in one) rose meanwhile; `database_mb` is what all frozen rows
and their indexes take. The statistics of the steps, which a worker reads afterwards in pieces, are not in it.
`--quick` is for the test that it runs. Needs DATABASE_URL of a migrated database; what it seeded it removes.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.test import Client

from benchmarks.episode_list import MARK, TASKS, remove, seed
from fleet.models import Dataset, DatasetEpisode, DatasetVersion
from fleet.permissions import Role
from fleet.services.person import person_roles_set

JSON = "application/json"
SPLITS = {"train": 0.8, "val": 0.1, "test": 0.1}


def peak_mb() -> float:
    """Return the most memory that this process has had in RAM, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def sent(client: Client, path: str, body: dict[str, Any]) -> tuple[Any, dict[str, float]]:
    """POST; return the answer, the seconds, and how far the peak of memory rose."""
    before, begun = peak_mb(), time.monotonic()
    answer = client.post(path, body, JSON)
    took = {"s": round(time.monotonic() - begun, 2), "memory_mb": round(peak_mb() - before, 1)}
    assert answer.status_code in (200, 201), answer.content
    return answer.json(), took


def measure(client: Client) -> dict[str, Any]:
    dataset = client.post("/api/v1/datasets", {"name": MARK}, JSON).json()
    url = f"/api/v1/datasets/{dataset['id']}"
    asked = {"filter": {"archived": "any"}, "splits": SPLITS, "seed": 7}
    small, _ = sent(client, f"{url}/versions", {**asked, "filter": {"task": [f"{MARK}-3"]}})  # warms what is lazy
    found, preview = sent(client, f"{url}/preview", {"filter": asked["filter"], "splits": SPLITS})
    version, frozen = sent(client, f"{url}/versions", {**asked, "expected": found["fingerprint"]})
    again, by_task = sent(client, f"{url}/versions", {**asked, "is_stratified": True})
    begun = time.monotonic()
    page = client.get(f"{url}/versions/{version['number']}/episodes?page_size=200").json()
    listed_s = time.monotonic() - begun
    assert len(page["results"]) == min(200, version["episodes"])
    return {
        "episodes": version["episodes"],
        "small": small["episodes"],
        "stratified": again["episodes"],
        "preview": preview,
        "freeze": frozen,
        "freeze_by_task": by_task,
        "page_s": round(listed_s, 3),
        "database_mb": database_mb(),
    }


def database_mb() -> float:
    """Return what all frozen versions here take, indexes and all, in MB."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_total_relation_size('fleet_datasetepisode')")
        return round(cursor.fetchone()[0] / 1e6, 1)


def forget() -> None:
    """Remove what was made. A trigger keeps frozen versions from that; only here, where nobody's are, it is told to."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        DatasetEpisode.objects.filter(version__dataset__name=MARK).delete()
        DatasetVersion.objects.filter(dataset__name=MARK).delete()
    Dataset.objects.filter(name=MARK).delete()
    remove()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--quick", action="store_true", help="2,000 episodes")
    given = parser.parse_args()
    rows = 2000 if given.quick else given.rows
    forget()
    seconds = seed(rows)
    user = get_user_model().objects.create_user(MARK)
    person_roles_set(user=user, roles=[Role.MANAGER])
    client = Client(SERVER_NAME="127.0.0.1")
    client.force_login(user)
    try:
        report = {"rows": rows, "tasks": TASKS, "seed_s": round(seconds, 1), **measure(client)}
        print(json.dumps(report, indent=1))
    finally:
        forget()


if __name__ == "__main__":
    main()
