"""Every chart's numbers equal what an independent query finds in the episode rows, whatever became of the episodes."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.clock import to_ns
from fleet.errors import InvalidRequest
from fleet.models import Episode, PolicyVersion
from fleet.protocol.recording import Origin, Outcome
from fleet.selectors.buckets import widened
from fleet.selectors.comparison import best_version, comparison, percent
from fleet.selectors.measures import MEASURES
from fleet.selectors.metrics import MetricFilter, metric_now, metrics_by, metrics_over_time, metrics_total
from fleet.services.episode_label import LabelChange, episode_label, episodes_label
from fleet.services.rollup import rollup_episodes_changed, rollups_compact
from fleet.storage.local import LocalStore
from tests.fleet import builders
from tests.fleet.api.episode_rows import register
from tests.fleet.selectors.episode_truth import truth

pytestmark = pytest.mark.django_db

CHANGE_OF_CLOCKS = datetime(2026, 3, 29, 1, tzinfo=UTC)  # Berlin; Lord Howe changes a week later
VALUES = [name for name in MEASURES if name != "rohe"]
episodes = st.fixed_dictionaries({
    "age_min": st.integers(0, 14 * 1440),
    "length_s": st.integers(1, 600),
    "human": st.integers(0, 4),
    "outcome": st.sampled_from(list(Outcome)),
    "task": st.integers(0, 1),
    "robot": st.integers(0, 2),
    "origin": st.sampled_from([Origin.ONLINE] * 4 + [Origin.EVALUATION]),
    "fate": st.sampled_from(["stay", "stay", "success", "abort", "archive", "delete"]),
})  # fmt: skip


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    made=st.lists(episodes, min_size=3, max_size=10),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns"]),
    archived=st.sampled_from(["any", "no", "only"]),
    first_min=st.integers(-3 * 1440, 14 * 1440),
    span_min=st.integers(1, 17 * 1440),
    one_task=st.booleans(),
    one_robot=st.booleans(),
    is_folded=st.booleans(),
)
def test_numbers_equal_those_of_the_rows(
    objects: LocalStore, made: list[dict[str, Any]], zone: str, archived: str, first_min: int, span_min: int,
    one_task: bool, one_robot: bool, is_folded: bool,
) -> None:  # fmt: skip
    """By day of any zone, by task and by robot, with any filter, after labels, archiving, deletion and folding."""
    with transaction.atomic():
        user = get_user_model().objects.create_user("mara")
        tasks = [builders.task(slug) for slug in ("box-close", "shelf-place")]
        robots = [builders.enrol().robot for _ in range(3)]
        for each in made:
            _live(each, tasks, robots, user)
        if is_folded:
            rollups_compact()
        start = CHANGE_OF_CLOCKS - timedelta(days=7) + timedelta(minutes=first_min)
        start, end = widened(start, start + timedelta(minutes=span_min))
        chosen = {
            "tasks": ("box-close",) if one_task else (),
            "robots": (robots[0].id,) if one_robot else (),
            "archived": archived,
        }
        _compare(MetricFilter(start=start, end=end, **chosen), zone)
        transaction.set_rollback(True)


def _live(each: dict[str, Any], tasks: list[Any], robots: list[Any], user: Any) -> None:
    ended = CHANGE_OF_CLOCKS + timedelta(days=7) - timedelta(minutes=each["age_min"])
    times = {"ended_ns": to_ns(ended), "started_ns": to_ns(ended - timedelta(seconds=each["length_s"]))}
    fields = {"human": each["human"], "outcome": each["outcome"], "origin": each["origin"]}
    row = register(tasks[each["task"]], robots[each["robot"]], **fields, **times)
    changes = {
        "success": LabelChange(outcome=Outcome.SUCCESS),
        "abort": LabelChange(outcome=Outcome.ABORTED),
        "archive": LabelChange(is_archived=True),
    }
    if each["fate"] in changes:
        episode_label(episode_id=row.id, user=user, change=changes[each["fate"]], revision=0)
    elif each["fate"] == "delete":
        with rollup_episodes_changed(episode_ids=[row.id]):
            row.delete()


def _compare(asked: MetricFilter, zone: str) -> None:
    filters: dict[str, Any] = {"start": asked.start, "end": asked.end, "zone": zone, "tasks": asked.tasks}
    filters |= {"robots": asked.robots, "archived": asked.archived}
    _, points = metrics_over_time(asked=asked, measures=VALUES, zone=ZoneInfo(zone), size="day")
    expected = truth("day", **filters)
    shown = {point.start.astimezone(ZoneInfo(zone)).date(): point.estimates for point in points}
    assert len(shown) == len(points) and set(expected) <= set(shown)
    for day, estimates in shown.items():
        _same(estimates, expected.get(day))
    for group in ("task", "robot"):
        groups, left_out = metrics_by(asked=asked, group=group, measures=VALUES)
        expected = truth(group, **filters)
        assert (left_out, {each.key for each in groups}) == (0, set(expected))
        for each in groups:
            _same(each.estimates, expected[each.key])


def _same(estimates: tuple[Any, ...], expected: dict[str, float | None] | None) -> None:
    for name, estimate in zip(VALUES, estimates, strict=True):
        wanted = expected[name] if expected is not None else None
        assert estimate.value == (wanted if wanted is None else pytest.approx(wanted, rel=1e-5)), name
        if estimate.value is not None:
            assert estimate.low is None or estimate.low <= estimate.value + 1e-12, name
            assert estimate.high is None or estimate.high >= estimate.value - 1e-12, name
    assert estimates[0].n == (expected["n"] if expected is not None else 0)


def _episodes(version: Any, task: Any, wins: int, losses: int, human: int = 0) -> None:
    robot = builders.enrol().robot
    for index in range(wins + losses):
        outcome = Outcome.SUCCESS if index < wins else Outcome.FAILURE
        register(task, robot, outcome=outcome, policy_version_id=str(version.id), human=human)


def _version(run: Any, number: int) -> PolicyVersion:
    times = {"trained_at": run.created_at, "published_at": run.created_at + timedelta(minutes=number)}
    return PolicyVersion.objects.create(
        id=uuid.uuid4(), run=run, number=number, step=number, architecture="-", manifest_key="-",
        manifest_sha256="0" * 64, blobs={}, size_bytes=1, **times,
    )  # fmt: skip


@pytest.fixture
def lately() -> MetricFilter:
    now = datetime.now(UTC)
    start, end = widened(now - timedelta(hours=1), now + timedelta(minutes=1))
    return MetricFilter(start=start, end=end)


def test_return_on_human_effort_counts_people_and_robots(objects: LocalStore, lately: MetricFilter) -> None:
    """Two people, four robots, two successes, five human frames: 2/4 * 2 / (1 + 5)."""
    task = builders.task()
    register(task, builders.enrol().robot, human=2, operator="Bea")
    register(task, builders.enrol().robot, human=3, operator="Ana", outcome=Outcome.FAILURE)
    register(task, builders.enrol().robot)
    register(task, builders.enrol().robot, outcome=Outcome.TIMEOUT)
    _, (found,) = metrics_total(asked=lately, measures=["rohe"])
    assert (found.value, found.n) == (pytest.approx(2 / 4 * 2 / 6), 4)


def test_one_version_is_better_than_another_and_the_sentence_says_how_sure(
    objects: LocalStore, lately: MetricFilter
) -> None:
    run, task = builders.running_run(), builders.task()
    new, old, few = (_version(run, number) for number in (2, 1, 3))
    _episodes(new, task, 12, 1)
    _episodes(old, task, 5, 7)
    _episodes(few, task, 2, 0)
    sides = [MetricFilter(start=lately.start, end=lately.end, versions=(each.id,)) for each in (new, old)]
    found = comparison(first=sides[0], second=sides[1])
    assert found.success is not None and found.success.low > 0
    assert (found.sentence, found.n) == ("Better with 99.6 % confidence, n = 13 and 12.", (13, 12))
    assert comparison(first=sides[1], second=sides[0]).sentence == "Worse with 99.6 % confidence, n = 12 and 13."
    best = best_version(asked=lately)
    assert [each.group.label for each in best.versions] == [f"v{k} of {run.name}" for k in (2, 1, 3)]
    assert best.versions[2].chance is None and sum(each.chance or 0 for each in best.versions) == pytest.approx(1)
    assert best.sentence.startswith(f"v2 of {run.name}: 12 of n = 13 succeeded. It is the best of 2 versions with 99.")


def test_what_was_never_done_by_both_is_not_compared(objects: LocalStore, lately: MetricFilter) -> None:
    run = builders.running_run()
    one, other = _version(run, 1), _version(run, 2)
    _episodes(one, builders.task("box-close"), 3, 0)
    _episodes(other, builders.task("shelf-place"), 3, 0)
    sides = [MetricFilter(start=lately.start, end=lately.end, versions=(each.id,)) for each in (one, other)]
    found = comparison(first=sides[0], second=sides[1])
    assert (found.success, found.interventions, found.n) == (None, None, (0, 0))
    assert found.sentence == "They cannot be compared: no task has terminated episodes of both."
    assert best_version(asked=lately).sentence == "No version has 10 terminated episodes here yet."


def test_alike_versions_are_not_called_better(objects: LocalStore, lately: MetricFilter) -> None:
    run, task = builders.running_run(), builders.task()
    one, other = _version(run, 1), _version(run, 2)
    _episodes(one, task, 3, 1)
    _episodes(other, task, 2, 2)
    sides = [MetricFilter(start=lately.start, end=lately.end, versions=(each.id,)) for each in (one, other)]
    found = comparison(first=sides[0], second=sides[1], measure="success")
    assert found.sentence == "No difference shown: 75 % confidence is below 95 %, n = 4 and 4."


def test_a_watcher_gets_one_number_with_its_n(objects: LocalStore) -> None:
    task, robot = builders.task(), builders.enrol().robot
    register(task, robot)
    register(task, robot, outcome=Outcome.FAILURE)
    register(builders.task("shelf-place"), robot, outcome=Outcome.FAILURE)
    found = metric_now(measure="unaided", window_s=600, task="box-close", robot=robot.id)
    assert (found.value, found.n) == (0.5, 2)
    assert metric_now(measure="unaided", window_s=600, task="nothing").value is None
    with pytest.raises(InvalidRequest):
        metric_now(measure="speed", window_s=600)
    with pytest.raises(InvalidRequest):
        metric_now(measure="unaided", window_s=0)


def test_bulk_labels_reach_the_charts(objects: LocalStore, lately: MetricFilter) -> None:
    task, robot = builders.task(), builders.enrol().robot
    rows = [register(task, robot) for _ in range(3)]
    user = get_user_model().objects.create_user("mara")
    episodes_label(episode_ids=[row.id for row in rows[:2]], user=user, change=LabelChange(outcome=Outcome.FAILURE))
    _, (found,) = metrics_total(asked=lately, measures=["success"])
    assert (found.events, found.n, Episode.objects.count()) == (1, 3, 3)


@pytest.mark.parametrize(
    ("share", "text"), [(0.972, "97 %"), (0.9949, "99.4 %"), (0.9996, "more than 99.9 %"), (0.5, "50 %")]
)
def test_confidence_is_never_rounded_up_to_certainty(share: float, text: str) -> None:
    assert percent(share) == text
