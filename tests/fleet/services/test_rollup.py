"""The charts' sums follow every change of the episode rows, and can be rebuilt, folded and proven."""

from __future__ import annotations

import importlib
import uuid
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models import Sum
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.clock import to_ns
from fleet.errors import NothingToUndo
from fleet.models import Episode, EpisodeRollup
from fleet.protocol.recording import Outcome
from fleet.services.episode_label import LabelChange, episode_label, episode_label_undo, episodes_label
from fleet.services.rollup import (
    KEY,
    SUMS,
    RollupCheck,
    rollup_episodes_changed,
    rollups_check,
    rollups_compact,
    rollups_rebuild,
)
from fleet.storage.local import LocalStore
from tests.fleet import builders
from tests.fleet.api.episode_rows import register

pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> Any:
    return get_user_model().objects.create_user("mara")


def _delete(episode: Episode) -> None:
    """As retention does."""
    with transaction.atomic(), rollup_episodes_changed(episode_ids=[episode.id]):
        episode.delete()


def _kept() -> list[tuple[Any, ...]]:
    """Sums by key, as whoever reads the table adds them up."""
    rows = EpisodeRollup.objects.values_list(*KEY).annotate(**{f"{name}_sum": Sum(name) for name in SUMS})
    return sorted(map(str, (row for row in rows if row[len(KEY)] != 0)))


BASE = timezone.now().replace(microsecond=0) - timedelta(hours=1)
CHANGES = (
    LabelChange(outcome=Outcome.FAILURE),
    LabelChange(outcome=Outcome.SUCCESS),
    LabelChange(outcome=Outcome.ABORTED, outcome_reason="cable"),
    LabelChange(outcome=None),
    LabelChange(is_archived=True),
    LabelChange(is_archived=False),
    LabelChange(add_tags=("seen",)),
)
ACTS = st.lists(
    st.tuples(st.sampled_from(["new", "new", "label", "bulk", "undo", "delete", "fold"]), st.integers(0, 10**6)),
    min_size=4,
    max_size=14,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=ACTS)
def test_sums_equal_the_rows_whatever_happens(objects: LocalStore, user: Any, acts: list[tuple[str, int]]) -> None:
    """After any history of registrations (also late ones), labels, undone labels, archiving, deletion and folding."""
    with transaction.atomic():
        tasks = [builders.task(slug) for slug in ("box-close", "shelf-place")]
        robots = [builders.enrol().robot for _ in range(2)]
        now = timezone.now()
        for act, number in acts:
            rows = list(Episode.objects.order_by("index_seq"))
            some = rows[number % len(rows)] if rows else None
            if act == "new":
                ended = now - timedelta(seconds=number % 20_000)
                times = {"ended_ns": to_ns(ended), "started_ns": to_ns(ended - timedelta(seconds=1 + number % 90))}
                robot = None if number % 7 == 0 else robots[number % 2]
                register(tasks[number % 3 == 0], robot, human=number % 5, outcome=list(Outcome)[number % 4], **times)
            elif act == "fold":
                rollups_compact()
            elif some is not None:
                _change(act, some, rows, number, user)
        assert rollups_check().wrong == 0
        before = _kept()
        assert rollups_rebuild() == len(before) == rollups_check().keys
        assert _kept() == before
        transaction.set_rollback(True)


def _change(act: str, some: Episode, rows: list[Episode], number: int, user: Any) -> None:
    if act == "delete":
        _delete(some)
    elif act == "label":
        change = CHANGES[number % len(CHANGES)]
        episode_label(episode_id=some.id, user=user, change=change, revision=some.label_revision)
    elif act == "bulk":
        episodes_label(episode_ids=[row.id for row in rows], user=user, change=CHANGES[number % len(CHANGES)])
    else:
        try:
            episode_label_undo(episode_id=some.id, user=user, revision=some.label_revision)
        except NothingToUndo:
            assert some.label_revision == 0


def _register_at(robot: Any, start_s: float, end_s: float, **changes: Any) -> Episode:
    times = {"started_ns": to_ns(BASE + timedelta(seconds=start_s)), "ended_ns": to_ns(BASE + timedelta(seconds=end_s))}
    return register(builders.task(), robot, **times, **changes)


def test_the_time_between_two_episodes_is_a_reset_unless_it_is_a_break(objects: LocalStore, settings: Any) -> None:
    """An episode that was uploaded late takes its time out of the reset of the one after it."""
    settings.SOP_RESET_MAX_S = 60.0
    robot = builders.enrol().robot
    first = _register_at(robot, 0, 10)
    third = _register_at(robot, 40, 50)
    _register_at(builders.enrol().robot, 12, 13)
    later = _register_at(robot, 111, 120)
    assert (first.reset_ms, third.reset_ms, later.reset_ms) == (0, 30_000, 0)
    second = _register_at(robot, 15, 32)
    third.refresh_from_db()
    assert (second.reset_ms, third.reset_ms) == (5_000, 8_000)
    assert rollups_check().wrong == 0


def test_a_takeover_by_one_after_another_is_one_intervention(objects: LocalStore) -> None:
    rows = [register(builders.task(), builders.enrol().robot, human=human) for human in (0, 3)]
    assert [row.interventions for row in rows] == [0, 1]


def test_deleting_leaves_the_sums_without_it(objects: LocalStore) -> None:
    robot = builders.enrol().robot
    gone, kept = _register_at(robot, 0, 10, human=2), _register_at(robot, 20, 30)
    _delete(gone)
    assert rollups_check() == RollupCheck(keys=1, wrong=0)
    while rollups_compact():
        pass
    row = EpisodeRollup.objects.get()
    assert (row.episodes, row.frames, row.human_frames, row.is_folded) == (1, kept.steps, 0, True)


def test_folding_changes_no_sum_and_is_done_once(objects: LocalStore) -> None:
    robot = builders.enrol().robot
    for start in range(0, 100, 20):
        _register_at(robot, start, start + 10)
    before = _kept()
    assert rollups_compact() >= 1
    assert (_kept(), rollups_compact()) == (before, 0)
    assert EpisodeRollup.objects.count() == len(before) < 5


def test_rows_change_with_their_sums_or_not_at_all(objects: LocalStore) -> None:
    """When the change fails the sums stay; outside of a transaction it is refused."""
    row = _register_at(builders.enrol().robot, 0, 10)
    before = _kept()
    with pytest.raises(RuntimeError), transaction.atomic(), rollup_episodes_changed(episode_ids=[row.id]):
        raise RuntimeError
    assert (_kept(), rollups_check().wrong) == (before, 0)


@pytest.mark.django_db(transaction=True)
def test_outside_of_a_transaction_it_refuses() -> None:
    with (
        pytest.raises(transaction.TransactionManagementError),
        rollup_episodes_changed(episode_ids=[uuid.uuid4()]),
    ):
        raise AssertionError("the block must not run")


def test_the_command_proves_and_mends(objects: LocalStore) -> None:
    _register_at(builders.enrol().robot, 0, 10)
    EpisodeRollup.objects.update(successes=7)
    with pytest.raises(CommandError, match="1 of 1 sums differ"):
        call_command("rollups_rebuild", "--check", stdout=StringIO())
    out = StringIO()
    call_command("rollups_rebuild", stdout=out)
    call_command("rollups_rebuild", "--check", stdout=out)
    assert out.getvalue().splitlines() == ["1 sums written.", "All 1 sums equal the episode rows."]


def test_older_episodes_are_filled_as_new_ones_are_written(objects: LocalStore) -> None:
    """The migration gives what registration gave."""
    robot = builders.enrol().robot
    for start, human in ((0, 2), (15, 0), (300, 1)):
        _register_at(robot, start, start + 10, human=human)
    written, sums = list(Episode.objects.values_list("interventions", "reset_ms")), _kept()
    Episode.objects.update(interventions=0, reset_ms=0)
    EpisodeRollup.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(importlib.import_module("fleet.migrations.0012_fill_the_sums").FILL)
    assert list(Episode.objects.values_list("interventions", "reset_ms")) == written
    assert (_kept(), {row[1] for row in written}) == (sums, {0, 5_000})
