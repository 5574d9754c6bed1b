"""The Wilson interval, the success series and the report of the rows."""

from __future__ import annotations

import json
import time
import uuid
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from fleet.models import Episode, PolicyVersion
from fleet.protocol.recording import Origin, Outcome
from fleet.selectors.latency import percentiles
from fleet.selectors.statistics import wilson
from fleet.selectors.success import MAX_POINTS, success_series
from fleet.services.episode import episode_register, episodes_mark_sampled
from fleet.services.policy import policy_version_applied, policy_version_publish
from fleet.storage.local import LocalStore
from tests.fleet import builders


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [  # R: binom::binom.wilson
        (0, 10, 0.0, 0.2775),
        (5, 10, 0.2366, 0.7634),
        (10, 10, 0.7225, 1.0),
        (77, 100, 0.6785, 0.8416),
        (1, 1, 0.2065, 1.0),
    ],
)
def test_wilson_interval_has_known_values(successes: int, n: int, low: float, high: float) -> None:
    rate = wilson(successes=successes, n=n)
    assert (round(rate.low, 4), round(rate.high, 4)) == (low, high)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_holds_the_rate(case: tuple[int, int]) -> None:
    rate = wilson(successes=case[0], n=case[1])
    assert 0.0 <= rate.low <= rate.rate <= rate.high <= 1.0


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_impossible_counts(successes: int, n: int) -> None:
    with pytest.raises(ValueError):
        wilson(successes=successes, n=n)


def _register(ends_s: list[float], changes: list[dict[str, Any]], human: list[int] | None = None) -> list[Episode]:
    """Register online episodes that ended at these seconds before now."""
    robot, task = builders.enrol().robot, builders.task()
    rows = []
    for index, (end_s, change) in enumerate(zip(ends_s, changes, strict=True)):
        ended_ns = time.time_ns() - int(end_s * 10**9)
        times = {"ended_ns": ended_ns, "started_ns": ended_ns - 10**9}
        manifest, files = builders.episode(task, robot, human=human[index] if human else 0, **times, **change)
        builders.store(manifest, files)
        rows.append(episode_register(robot_id=str(robot.id), manifest=manifest, uploaded_ns=ended_ns + 2 * 10**9))
    return rows


@pytest.mark.django_db
def test_series_counts_unaided_successes_of_terminated_online_episodes(objects: LocalStore) -> None:
    """Given a success, a helped success, a failure, an aborted and an evaluation, then 1 of 3 succeeded."""
    changes: list[dict[str, Any]] = [
        {}, {}, {"outcome": Outcome.FAILURE}, {"outcome": Outcome.ABORTED}, {"origin": Origin.EVALUATION},
    ]  # fmt: skip
    _register([50, 40, 30, 20, 10], changes, human=[0, 2, 0, 0, 0])
    points: Any = success_series(window_s=3600)["points"]
    assert [(point["successes"], point["n"]) for point in points] == [(1, 1), (1, 2), (1, 3)]
    assert points[-1]["low"] < points[-1]["rate"] < points[-1]["high"]


@pytest.mark.django_db
def test_series_forgets_what_left_the_window(objects: LocalStore) -> None:
    _register([100, 95, 20, 10], [{}, {}, {"outcome": Outcome.FAILURE}, {}])
    points: Any = success_series(window_s=15)["points"]
    assert [(point["successes"], point["n"]) for point in points] == [(1, 1), (2, 2), (0, 1), (1, 2)]
    assert success_series(window_s=15, task_slug="other")["points"] == []


@pytest.mark.django_db
def test_series_is_thinned_and_ends_with_the_newest(objects: LocalStore) -> None:
    row = _register([1000], [{}])[0]
    values = {field.attname: getattr(row, field.attname) for field in Episode._meta.fields}
    now = timezone.now()
    Episode.objects.bulk_create(
        Episode(**{**values, "id": uuid.uuid4(), "index_seq": seq, "ended_at": now - timedelta(seconds=600 - seq)})
        for seq in range(2, 402)
    )
    points: Any = success_series(window_s=10**6)["points"]
    assert len(points) == MAX_POINTS
    assert points[-1]["n"] == 401


def test_percentiles_of_nothing_and_of_some() -> None:
    assert percentiles([]).p50 is None
    found = percentiles([float(value) for value in range(101)])
    assert (found.n, found.p50, found.p90, found.p99, found.max) == (101, 50.0, 90.0, 99.0, 100.0)


@pytest.mark.django_db
def test_report_of_the_rows(objects: LocalStore) -> None:
    run = builders.running_run(name="demo")
    rows = _register([30, 20], [{}, {"outcome": Outcome.TIMEOUT}], human=[0, 3])
    robot = rows[0].robot
    assert robot is not None
    episodes_mark_sampled(episode_ids=[str(rows[0].id)], at=rows[0].ended_at + timedelta(seconds=7))
    for step in (0, 25):
        manifest, blobs = builders.policy(run.id, step=step)
        version = policy_version_publish(run_id=str(run.id), manifest_bytes=manifest, blobs=blobs)
    PolicyVersion.objects.update(published_at=rows[0].ended_at)
    applied_ns = int(rows[0].ended_at.timestamp() * 10**9) + 4 * 10**9
    report = {"robot_id": str(robot.id), "version_id": str(version.id), "fetched_bytes": 1}
    policy_version_applied(**report, fetched_ns=applied_ns - 10**9, applied_ns=applied_ns)

    out = StringIO()
    call_command("report_rows", "--json", "--spans", stdout=out)
    found = json.loads(out.getvalue())

    assert found["episodes"]["registered"] == 2
    assert found["episodes"]["by_outcome"] == {"success": 1, "timeout": 1}
    assert found["episodes"]["registered_by_robot"] == {robot.name: 2}
    assert found["frames"] == {"total": 10, "human": 3}
    assert found["interventions"] == {"scripted": 1}
    assert found["versions"] == {
        "published": 2,
        "applied_by_robot": {robot.name: 1},
        "refused_by_robot": {robot.name: 0},
    }
    assert (found["autonomous_success"]["successes"], found["autonomous_success"]["n"]) == (1, 2)
    assert found["latency_s"]["episode_to_learner"]["p50"] == 7.0
    assert found["latency_s"]["captured_to_uploaded"]["p50"] == 2.0
    assert abs(found["latency_s"]["published_to_applied"]["p99"] - 4.0) < 1e-3
    assert found["latency_s"]["trained_to_published"]["n"] == 1
    assert len(found["spans_s"]["captured_to_uploaded"]) == 2
    assert found["run"]["name"] == "demo"


@pytest.mark.django_db
def test_no_point_counts_a_part_of_its_window(objects: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six episodes ten seconds apart of which four are read: only the newest window of 25 s lies within them."""
    monkeypatch.setattr("fleet.selectors.success.MAX_EPISODES", 4)
    _register([50, 40, 30, 20, 10, 0], [{}] * 6)
    assert [point["n"] for point in success_series(window_s=25)["points"]] == [3]  # type: ignore[attr-defined]
