"""Every number of every chart equals one computed from the rows; and the dashboard's benchmark runs to its end."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from benchmarks import dashboard_rows
from benchmarks.dashboard_charts import compare_all
from benchmarks.dashboard_truth import Asked
from fleet.models import Episode, Robot, Segment, TrainingRun
from fleet.permissions import Role
from fleet.services.person import person_roles_set
from fleet.services.rollup import rollups_rebuild

REPOSITORY = Path(__file__).parents[2]
END = datetime(2026, 3, 29, 12, tzinfo=UTC)  # the day on which Berlin's clocks went forward
ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns")
CHARTS = {"over time", "by task", "by robot", "by version", "best version", "backlog", "operators", "robot states",
          "time to target", "success", "lineage", "version"}  # fmt: skip


@pytest.mark.django_db
@settings(
    max_examples=5,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    seed=st.integers(0, 2**32),
    episodes=st.integers(0, 150),
    every_s=st.sampled_from([60, 900, 7200]),
    versions=st.integers(1, 6),
    zone=st.sampled_from(ZONES),
    archived=st.sampled_from(["any", "no", "only"]),
    are_few=st.booleans(),
)
def test_every_number_of_every_chart_equals_the_rows(
    seed: int, episodes: int, every_s: int, versions: int, zone: str, archived: str, are_few: bool
) -> None:
    """Through the API, of everything and of one part of it, with every interval."""
    size = dashboard_rows.Size(
        episodes=episodes, tasks=2, robots=3, versions=versions, operators=2, every_s=every_s
    )  # fmt: skip
    with transaction.atomic():
        fleet = dashboard_rows.make(size=size, end=END, seed=seed)
        rollups_rebuild()
        client = Client()
        client.force_login(_manager())
        chance = random.Random(seed)
        begin = END - size.span - timedelta(hours=1)
        whole = Asked(since=_quarter(begin), until=_quarter(END + timedelta(hours=1)))
        part = Asked(
            since=_quarter(begin + chance.random() * size.span), until=_quarter(END + timedelta(minutes=30)),
            archived=archived, run=str(fleet.run.id), tasks=(fleet.tasks[0].slug,),
            robots=tuple(str(robot.id) for robot in fleet.robots[:2]) if are_few else (),
            versions=(str(fleet.versions[-1].id),) if are_few else (),
        )  # fmt: skip
        compared = compare_all(
            _getter(client), run=str(fleet.run.id), asked=[(whole, zone, "auto"), (part, zone, "day")]
        )
        transaction.set_rollback(True)
    missing = CHARTS - set(compared)
    assert episodes == 0 or missing <= {"version", "best version", "by version"}, "none of them had an episode"
    assert sum(compared.values()) > 500


def _manager() -> Any:
    user = get_user_model().objects.create_user("mara")
    person_roles_set(user=user, roles=[Role.MANAGER])
    return user


def _quarter(at: datetime) -> int:
    return int(at.timestamp()) // 900 * 900_000


def _getter(client: Client) -> Any:
    def get(path: str, query: dict[str, Any]) -> Any:
        answer = client.get(path, query)
        assert answer.status_code == 200, answer.content
        return answer.json()

    return get


@pytest.mark.django_db
def test_a_number_that_is_wrong_is_found() -> None:
    """One more success in one sum of the database, and the comparison ends with the chart's name."""
    fleet = dashboard_rows.make(size=dashboard_rows.Size(episodes=40, tasks=1, robots=2, versions=2), end=END, seed=5)
    rollups_rebuild()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE fleet_episoderollup SET successes = successes - 1 WHERE id = "
            "(SELECT min(id) FROM fleet_episoderollup WHERE successes > 0 AND origin = 'online')"
        )
    client = Client()
    client.force_login(_manager())
    whole = Asked(since=_quarter(END - timedelta(hours=2)), until=_quarter(END + timedelta(hours=1)))
    with pytest.raises(AssertionError, match="over time"):
        compare_all(_getter(client), run=str(fleet.run.id), asked=[(whole, "UTC", "auto")])


@pytest.mark.django_db(transaction=True)
def test_the_benchmark_compares_asks_and_cleans_up() -> None:
    """In a process of its own at the test's database, over HTTP. Its figures are not judged here."""
    settings = connection.settings_dict
    url = (
        f"postgres://{settings['USER']}:{settings['PASSWORD']}@{settings['HOST']}:{settings['PORT']}/{settings['NAME']}"
    )
    command = [sys.executable, "-m", "benchmarks.dashboard", "--quick"]
    environment = {**os.environ, "DATABASE_URL": url}
    ended = subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, timeout=240, env=environment)

    found = json.loads(ended.stdout)

    assert found["episodes"] == 600 and found["equal"]["numbers"] > 10_000
    assert set(found["equal"]["by_chart"]) >= CHARTS
    assert len(found["requests"]) > 40
    assert all(0 < each["p50_ms"] <= each["p95_ms"] for each in found["requests"].values())
    assert not any(model.objects.exists() for model in (Episode, Segment, Robot, TrainingRun))
