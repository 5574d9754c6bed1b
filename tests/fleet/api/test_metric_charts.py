"""The charts over HTTP: what they answer, and what they refuse."""

from __future__ import annotations

import itertools
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from fleet.models import Episode, HelpRequest, Lease, PolicyVersion, RobotStateInterval, Task
from fleet.protocol.recording import Outcome
from fleet.storage.local import LocalStore
from tests.fleet import builders
from tests.fleet.api.episode_rows import register

pytestmark = pytest.mark.django_db
EPISODE_CHARTS = ("over-time", "by-task", "by-robot", "by-version", "best-version")
CHARTS = (*EPISODE_CHARTS, "loop", "operators", "robot-states", "time-to-target")


@pytest.fixture
def mara() -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_user("mara"))
    return client


def _get(client: Client, chart: str, status: int = 200, **query: Any) -> Any:
    answer = client.get(f"/api/v1/metrics/{chart}", query)
    assert answer.status_code == status, answer.content
    return answer.json()


def _version(run: Any, number: int, ago_s: float) -> PolicyVersion:
    at = timezone.now() - timedelta(seconds=ago_s)
    return PolicyVersion.objects.create(
        id=uuid.uuid4(), run=run, number=number, step=100 * number, architecture="-", manifest_key="-",
        manifest_sha256="0" * 64, blobs={}, size_bytes=1, trained_at=at - timedelta(seconds=4), published_at=at,
    )  # fmt: skip


@pytest.mark.parametrize("chart", CHARTS)
def test_an_empty_fleet_has_charts_without_numbers(mara: Client, chart: str) -> None:
    found = _get(mara, chart)
    assert not any(estimate["n"] for point in found.get("points", []) for estimate in point.get("estimates", []))


@pytest.mark.parametrize("chart", [*CHARTS, "compare"])
def test_strangers_see_nothing(chart: str) -> None:
    assert Client().get(f"/api/v1/metrics/{chart}").status_code == 401


@pytest.mark.parametrize(
    ("query", "status", "word"),
    [
        ({"since": "2026-03-02T00:00Z", "until": "2026-03-01T00:00Z"}, 422, "empty"),
        ({"since": "2026-03-02T00:00Z", "until": "2026-03-02T00:00Z"}, 422, "empty"),
        ({"since": "2026-03-02T00:00Z"}, 422, "both"),
        ({"since": "1926-03-02T00:00Z", "until": "2026-03-02T00:00Z"}, 422, "20 years"),
        ({"since": "0001-01-01T00:00+14:00", "until": "0001-01-02T00:00Z"}, 400, "since"),
        ({"since": "9990-01-01T00:00Z", "until": "9999-12-31T23:59Z"}, 422, "beyond"),
        ({"since": "yesterday", "until": "now"}, 400, "since"),
        ({"last_s": 60}, 400, "last_s"),
        ({"tz": "Mars/Olympus"}, 422, "Mars/Olympus"),
        ({"by": "quarter", "last_s": 90 * 86400}, 422, "choose larger"),
        ({"by": "second"}, 400, "by"),
        ({"task": "laundry"}, 404, "task"),
        ({"robot": str(uuid.uuid4())}, 404, "robot"),
        ({"version": str(uuid.uuid4())}, 404, "version"),
        ({"run": str(uuid.uuid4())}, 404, "run"),
        ({"robot": "arm"}, 400, "robot"),
        ({"measure": "speed"}, 400, "measure"),
        ({"origin": "dream"}, 400, "origin"),
    ],
)
def test_bad_questions_are_refused_in_words(mara: Client, query: dict[str, Any], status: int, word: str) -> None:
    found = _get(mara, "over-time", status, **query)
    assert word in found["detail"] and found["code"]


def test_over_time_has_every_bucket_with_n_interval_and_definition(mara: Client, objects: LocalStore) -> None:
    task, robot = builders.task(), builders.enrol().robot
    for outcome in (Outcome.SUCCESS, Outcome.SUCCESS, Outcome.FAILURE, Outcome.ABORTED):
        register(task, robot, outcome=outcome)
    Task.objects.filter(id=task.id).update(target_rate=0.9)
    found = _get(mara, "over-time", last_s=86400, tz="Asia/Kathmandu", measure=["success", "interventions"])
    assert [(each["name"], each["unit"]) for each in found["measures"]] == [
        ("success", "share"), ("interventions", "per_hour"),
    ]  # fmt: skip
    assert all(each["definition"] and "95 %" in each["interval"] for each in found["measures"])
    assert (found["range"]["by"], found["range"]["tz"], len(found["points"])) == ("quarter", "Asia/Kathmandu", 97)
    assert [point["estimates"][0]["n"] for point in found["points"]][-1] == 3
    total = found["total"][0]
    assert (total["n"], total["value"]) == (3, pytest.approx(2 / 3)) and total["low"] < total["value"] < total["high"]
    assert found["targets"] == [{"task": "box-close", "target": 0.9}]


def test_years_make_few_points(mara: Client) -> None:
    found = _get(mara, "over-time", since="2010-01-01T00:00Z", until="2026-01-01T00:00Z", tz="Australia/Lord_Howe")
    assert (found["range"]["by"], len(found["points"])) == ("month", 193)


def test_groups_can_be_found_in_the_library(mara: Client, objects: LocalStore) -> None:
    """What a group is keyed by, the library's filter finds the same episodes by."""
    run = builders.running_run()
    version, robot = _version(run, 3, 60), builders.enrol("Arm 1").robot
    register(builders.task(), robot, policy_version_id=str(version.id))
    register(builders.task("shelf-place"), robot)
    for group, key, label in (
        ("robot", str(robot.id), "Arm 1"),
        ("version", str(version.id), f"v3 of {run.name}"),
    ):
        groups = _get(mara, f"by-{group}", measure=["success"])["groups"]
        assert (groups[-1]["key"], groups[-1]["label"]) == (key, label)
    assert [each["key"] for each in _get(mara, "by-version", measure=["success"])["groups"]] == [
        "none",
        str(version.id),
    ]
    found = _get(mara, "by-version", measure=["success"], run=str(run.id))["groups"]
    assert [(each["key"], each["estimates"][0]["n"]) for each in found] == [(str(version.id), 1)]


def test_the_loop_shows_percentiles_beside_the_published_ones(mara: Client, objects: LocalStore) -> None:
    """Uploaded after 2 s, sampled after 30; the driving version was one version, 40 s and 100 steps behind."""
    run = builders.running_run()
    old, _ = _version(run, 1, 100), _version(run, 2, 60)
    task, robot = builders.task(), builders.enrol().robot
    for _ in range(12):
        row = register(task, robot, policy_version_id=str(old.id))
        Episode.objects.filter(id=row.id).update(
            uploaded_at=row.ended_at + timedelta(seconds=2), first_sampled_at=row.ended_at + timedelta(seconds=30)
        )
    found = {each["span"]["name"]: each for each in _get(mara, "loop")["spans"]}
    assert found["captured_to_uploaded"]["total"]["p50"] == {"value": 2.0, "low": 2.0, "high": 2.0}
    learner = found["episode_to_learner"]
    assert (learner["total"]["n"], learner["total"]["p99"]["value"]) == (12, 30.0)
    assert learner["total"]["p99"]["high"] is None, "twelve values have no upper end for the 99th percentile"
    assert (learner["span"]["reference"]["p50_s"], learner["span"]["reference"]["p99_s"]) == (41, 148)
    assert found["staleness_steps"]["total"]["p50"]["value"] == 100
    assert found["staleness_s"]["total"]["p50"]["value"] == pytest.approx(40, abs=0.5)
    assert found["trained_to_published"]["total"]["p50"]["value"] == pytest.approx(4)


def test_backlog_counts_what_had_ended_and_was_not_there_yet(mara: Client, objects: LocalStore) -> None:
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    row = register(builders.task(), builders.enrol().robot)
    ended = now - timedelta(hours=3, minutes=5)
    times = {"started_at": ended - timedelta(minutes=1), "ended_at": ended, "indexed_at": ended + timedelta(minutes=25)}
    Episode.objects.filter(id=row.id).update(**times)
    query = {"since": (now - timedelta(hours=4)).isoformat(), "until": now.isoformat(), "by": "quarter"}
    assert _get(mara, "loop", **query)["backlog"] == [0, 0, 0, 1, 1, *[0] * 11]


def test_operators_waits_switches_and_utilisation(mara: Client) -> None:
    """Two leases of one person on two robots, overlapping: the union counts; one request was answered, one was not."""
    now = timezone.now()
    robots = [builders.enrol().robot for _ in range(2)]
    bea = get_user_model().objects.create_user("bea")
    for robot, first, last in ((robots[0], 600, 300), (robots[1], 400, 200)):
        Lease.objects.create(
            robot=robot, epoch=1, source="person", user=bea, operator="bea",
            granted_at=now - timedelta(seconds=first), expires_at=now, released_at=now - timedelta(seconds=last),
        )  # fmt: skip
    for robot, claimed in ((robots[0], 600), (robots[1], None)):
        HelpRequest.objects.create(
            robot=robot, reason="uncertain", score=0.5, state="closed", ending="served" if claimed else "withdrawn",
            opened_at=now - timedelta(seconds=630), ranked_at=now, closed_at=now - timedelta(seconds=300),
            claimed_at=now - timedelta(seconds=claimed) if claimed else None,
        )  # fmt: skip
    found = _get(mara, "operators", last_s=3600)
    total = found["total"]
    assert (total["answered"], total["unanswered"], total["waiting"]["p50_s"], total["service"]["p50_s"]) == (
        1,
        1,
        30,
        300,
    )
    (row,) = found["operators"]
    assert (row["operator"], row["takeovers"], row["switches"], row["robots"], row["held_s"]) == ("bea", 2, 1, 2, 400)
    assert row["utilisation"] == pytest.approx(400 / 3600, rel=0.35)
    assert sum(point["answered"] for point in found["points"]) == 1


def test_operators_of_more_rows_than_one_answer_takes_are_the_newest(
    mara: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room for two: the request and the lease before them are left out, and the answer says so."""
    monkeypatch.setattr("fleet.selectors.operators.MAX_ROWS", 2)
    now = timezone.now()
    robot, bea = builders.enrol().robot, get_user_model().objects.create_user("bea")
    for number, ago_s in enumerate((900, 600, 300), start=1):
        claimed, closed = now - timedelta(seconds=ago_s), now - timedelta(seconds=ago_s - 10 * number)
        Lease.objects.create(
            robot=robot, epoch=number, source="person", user=bea, operator="bea", granted_at=claimed, expires_at=now,
            released_at=closed,
        )  # fmt: skip
        HelpRequest.objects.create(
            robot=robot, reason="uncertain", score=0.5, state="closed", ending="served", opened_at=claimed,
            ranked_at=claimed, claimed_at=claimed, closed_at=closed,
        )  # fmt: skip
    found = _get(mara, "operators", last_s=3600)
    assert found["is_cut"] and (found["total"]["answered"], found["total"]["service"]["p50_s"]) == (2, 25)
    assert [(row["takeovers"], row["held_s"]) for row in found["operators"]] == [(2, 50)]


def test_robot_time_adds_up_to_the_time_that_was(mara: Client) -> None:
    """An hour of work, half an hour offline, blocked since: cut by the range and by now."""
    robot = builders.enrol().robot
    now = timezone.now()
    marks = [("working", 120), ("offline", 60), ("blocked", 30), (None, 0)]
    for (state, first), (_, last) in itertools.pairwise(marks):
        assert state is not None
        started, ended = now - timedelta(minutes=first), now - timedelta(minutes=last) if last else None
        RobotStateInterval.objects.create(robot=robot, state=state, started_at=started, ended_at=ended, seen_at=now)
    found = _get(mara, "robot-states", last_s=86400)
    (row,) = found["robots"]
    assert {state: round(seconds / 60) for state, seconds in row["seconds"].items()} == {
        "working": 60, "waiting": 0, "blocked": 30, "offline": 30,
    }  # fmt: skip
    assert sum(sum(point.values()) for point in found["points"]) == pytest.approx(7200, abs=5)


@pytest.mark.parametrize(("target", "reached"), [(0.0, 50), (0.8, 54), (1.0, None)])
def test_time_to_target(mara: Client, objects: LocalStore, target: float, reached: int | None) -> None:
    """Ten failures, then fifty successes but for every tenth: the newest fifty reach .8 with the 54th."""
    run = builders.running_run()
    version, task, robot = _version(run, 1, 60), builders.task(), builders.enrol().robot
    run.tasks.add(task)
    Task.objects.filter(id=task.id).update(target_rate=target)
    template = register(task, robot, policy_version_id=str(version.id))
    begun = timezone.now() - timedelta(hours=2)
    rows = []
    for number in range(1, 61):
        ended = begun + timedelta(minutes=number)
        row = Episode.objects.get(id=template.id)
        row.id, row.index_seq, row.started_at, row.ended_at = (
            uuid.uuid4(),
            number + 1,
            ended - timedelta(seconds=9),
            ended,
        )
        row.outcome = "failure" if number <= 10 or number % 10 == 0 else "success"
        rows.append(row)
    template.delete()
    for row in rows:
        row.save(force_insert=True)
    run.created_at = begun
    run.save()
    found = _get(mara, "time-to-target", run=str(run.id))
    (row,) = found["tasks"]
    assert (row["target"], row["seconds"]) == (target, reached and reached * 60)
    assert (row["newest"]["successes"], row["newest"]["n"], found["run"]) == (45, 50, run.name)


def test_versions_are_compared_and_the_best_is_named(mara: Client, objects: LocalStore) -> None:
    run = builders.running_run()
    old, new = _version(run, 1, 60), _version(run, 2, 30)
    task, robot = builders.task(), builders.enrol().robot
    for version, outcomes in ((old, "sffffffffff"), (new, "sssssssssss")):
        for letter in outcomes:
            outcome = Outcome.SUCCESS if letter == "s" else Outcome.FAILURE
            register(task, robot, outcome=outcome, policy_version_id=str(version.id))
    found = _get(mara, "compare", first=str(new.id), second=str(old.id), task="box-close")
    assert found["sentence"] == "Better with more than 99.9 % confidence, n = 11 and 11."
    assert (found["first"]["label"], found["success"]["strata"]) == (f"v2 of {run.name}", 1)
    assert found["interventions_sentence"] == "No difference shown: 50 % confidence is below 95 %, n = 11 and 11."
    best = _get(mara, "best-version", task="box-close")
    assert best["versions"][0]["label"] == f"v2 of {run.name}" and best["versions"][0]["chance"] > 0.99
    now = timezone.now()
    periods = {
        "first_since": now - timedelta(hours=1), "first_until": now + timedelta(minutes=1),
        "second_since": now - timedelta(days=2), "second_until": now - timedelta(days=1),
    }  # fmt: skip
    periods = {name: at.isoformat() for name, at in periods.items()}
    assert _get(mara, "compare", **periods)["sentence"].startswith("They cannot be compared")
    for query, status in (
        ({}, 422), ({"first": str(new.id)}, 422), ({"first": str(new.id), "second": str(new.id)}, 422),
        ({"first": str(new.id), "second": str(uuid.uuid4())}, 404),
        ({**periods, "second_until": periods["second_since"]}, 422),
    ):  # fmt: skip
        _get(mara, "compare", status, **query)
