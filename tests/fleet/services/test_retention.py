"""Retention rules: what goes is what the preview said, what is protected never does, nothing in between is seen."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from fleet.errors import InvalidRequest, NameTaken, NotFound
from fleet.models import AuditEntry, Dataset, DatasetCandidate, Episode, RetentionRule, Task
from fleet.protocol.recording import Origin, Outcome
from fleet.selectors.retention import retention_preview
from fleet.services import retention
from fleet.services.episode import episode_register
from fleet.services.retention import (
    retention_rule_build,
    retention_rule_change,
    retention_rule_create,
    retention_rule_remove,
    retention_run,
)
from fleet.services.rollup import rollups_check
from fleet.storage import StoreUnavailable
from fleet.storage.local import LocalStore
from tests.fleet import builders

pytestmark = pytest.mark.django_db
ALL = [kind.value for kind in RetentionRule.Kind]


@pytest.fixture
def user() -> Any:
    return get_user_model().objects.create_user("mara")


def _episode(task: Task, *, days: float = 30, robot: Any = None, **changes: Any) -> Episode:
    made = {name: changes.pop(name) for name in ("origin", "outcome", "human") if name in changes}
    manifest, files = builders.episode(task, robot, **made)
    builders.store(manifest, files)
    row = episode_register(robot_id=str(robot.id) if robot else None, manifest=manifest, uploaded_ns=None)
    Episode.objects.filter(id=row.id).update(indexed_at=timezone.now() - timedelta(days=days), **changes)
    row.refresh_from_db()
    return row


def _preview(**values: Any) -> set[str]:
    rule = retention_rule_build(**{"task_id": None, "kinds": ALL, "keep_days": 7, **values})
    found = retention_preview(rule=rule, now=timezone.now())
    assert found.episodes == len(found.examples) or found.episodes > 5
    return {str(row_id) for row_id in found.examples}


def test_each_kind_looks_at_its_own_episodes(objects: LocalStore) -> None:
    task, robot = builders.task(), builders.enrol().robot
    made = {
        "failures": _episode(task, robot=robot, outcome=Outcome.TIMEOUT, human=2),
        "aborted": _episode(task, robot=robot, outcome=Outcome.ABORTED, human=2),
        "evaluation": _episode(task, origin=Origin.EVALUATION),
        "archived": _episode(task, is_archived=True),
        "autonomous": _episode(task, robot=robot),
    }
    young = _episode(task, robot=robot, days=6)
    for kind, episode in made.items():
        assert str(episode.id) in _preview(kinds=[kind], takes_interventions=True), kind
        others = {str(other.id) for name, other in made.items() if name not in (kind, "evaluation")}
        assert not (_preview(kinds=[kind], takes_interventions=True) - {str(episode.id)}) & others, kind
    assert str(young.id) not in _preview()


def test_protected_episodes_never_go(objects: LocalStore) -> None:
    """And the preview says how many stay, and why."""
    task, robot = builders.task(), builders.enrol().robot
    plain = _episode(task, robot=robot)
    _episode(task, robot=robot, outcome_source="person")
    _episode(task, robot=robot, tags=["keep"])
    _episode(task, robot=robot, comment="odd")
    _episode(task, robot=robot, outcome=Outcome.FAILURE, human=2)
    _episode(task, outcome=Outcome.FAILURE)  # a demonstration
    collected = _episode(task, robot=robot)
    DatasetCandidate.objects.create(
        dataset=Dataset.objects.create(name="d"), episode=collected, added_at=timezone.now()
    )
    assert _preview() == {str(plain.id)}
    rule = retention_rule_build(task_id=None, kinds=ALL, keep_days=7)
    assert retention_preview(rule=rule, now=timezone.now()).protected == {
        "in a dataset": 1,
        "judged, tagged or commented": 3,
        "demonstrations": 1,
        "taken over": 1,
    }
    assert len(_preview(takes_interventions=True)) == 2


def test_bytes_keep_the_newest_of_each_task(objects: LocalStore) -> None:
    first, second, robot = builders.task("one"), builders.task("two"), builders.enrol().robot
    ones = [_episode(first, robot=robot, days=0) for _ in range(3)]
    twos = [_episode(second, robot=robot, days=0) for _ in range(2)]
    size = max(row.size_bytes for row in (*ones, *twos))
    assert _preview(keep_days=None, keep_bytes=2 * size + 10) == {str(ones[0].id)}
    assert _preview(keep_days=None, keep_bytes=size + 10) == {str(ones[0].id), str(ones[1].id), str(twos[0].id)}
    assert _preview(keep_days=None, keep_bytes=0, task_id=second.id) == {str(row.id) for row in twos}


def test_a_task_with_its_own_rule_is_not_the_others(objects: LocalStore, user: Any) -> None:
    first, second, robot = builders.task("one"), builders.task("two"), builders.enrol().robot
    _episode(first, robot=robot)
    other = _episode(second, robot=robot)
    retention_rule_create(user=user, task_id=first.id, kinds=["aborted"], keep_days=1)
    assert _preview() == {str(other.id)}


def test_a_run_removes_what_was_previewed_and_nothing_else(
    objects: LocalStore, user: Any, django_capture_on_commit_callbacks: Any
) -> None:
    """Rows, sums and objects; with an audit entry; only of rules that are on."""
    task, robot = builders.task(), builders.enrol().robot
    gone, kept = [_episode(task, robot=robot) for _ in range(3)], _episode(task, robot=robot, days=1)
    rule = retention_rule_create(user=user, task_id=None, kinds=["autonomous"], keep_days=7)
    assert retention_run() == 0
    retention_rule_change(rule_id=rule.id, user=user, is_active=True)
    with django_capture_on_commit_callbacks(execute=True):
        assert retention_run() == 3
    assert list(Episode.objects.all()) == [kept]
    assert {key.split("/")[1] for key in objects.list()} == {str(kept.id)}
    rule.refresh_from_db()
    assert (rule.removed, rule.removed_bytes) == (3, sum(row.size_bytes for row in gone))
    assert rule.last_run_at is not None
    entry = AuditEntry.objects.get(action="retention.remove")
    assert entry.after is not None and entry.after["episodes"] == 3 and str(gone[0].id) in entry.after["ids"]
    assert rollups_check().wrong == 0
    assert retention_run() == 0


def test_a_store_that_is_away_leaves_objects_to_the_collector(
    objects: LocalStore, user: Any, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    _episode(builders.task(), robot=builders.enrol().robot)
    retention_rule_create(user=user, task_id=None, kinds=ALL, keep_days=7, is_active=True)

    def away(self: LocalStore, key: str) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patched, django_capture_on_commit_callbacks(execute=True):
        patched.setattr(LocalStore, "delete", away)
        assert retention_run() == 1
    assert Episode.objects.count() == 0
    assert len(list(objects.list())) == 3, "no row names them: store_gc's"


def test_a_run_has_an_end_and_asks_to_go_on(objects: LocalStore, user: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    task, robot, asked = builders.task(), builders.enrol().robot, []
    for _ in range(3):
        _episode(task, robot=robot)
    retention_rule_create(user=user, task_id=None, kinds=ALL, keep_days=7, is_active=True)
    monkeypatch.setattr(retention, "BATCH", 1)
    monkeypatch.setattr(retention, "enqueue_retention", lambda: asked.append(1))
    seconds = iter((0.0, 10.0, 21.0))
    assert retention_run(clock_s=lambda: next(seconds)) == 2
    assert (Episode.objects.count(), asked) == (1, [1])


@pytest.mark.parametrize(
    "values",
    [
        {"kinds": []}, {"kinds": ["everything"]}, {"keep_days": None}, {"keep_days": 0},
        {"keep_days": None, "keep_bytes": -1},
    ],
)  # fmt: skip
def test_impossible_rules_are_refused(user: Any, values: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        retention_rule_create(user=user, **{"task_id": None, "kinds": ["aborted"], "keep_days": 1, **values})
    assert RetentionRule.objects.count() == 0


def test_one_rule_a_task(user: Any) -> None:
    for task_id in (None, builders.task().id):
        rule = retention_rule_create(user=user, task_id=task_id, kinds=["aborted"], keep_days=1)
        with pytest.raises(NameTaken):
            retention_rule_create(user=user, task_id=task_id, kinds=["failures"], keep_days=1)
        with pytest.raises(InvalidRequest):
            retention_rule_change(rule_id=rule.id, user=user, keep_days=None)
        retention_rule_remove(rule_id=rule.id)
        with pytest.raises(NotFound):
            retention_rule_remove(rule_id=rule.id)
