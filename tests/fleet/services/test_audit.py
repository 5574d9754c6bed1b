"""The audit log: one entry a change, with who, what, before and after; it only grows, and holds no secrets."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.db.transaction import TransactionManagementError

from fleet.acting import Actor, ActorKind, acting, acting_as
from fleet.models import Assignment, AuditEntry, RobotKey
from fleet.permissions import Role
from fleet.protocol.authority import Source
from fleet.protocol.messages import HelpRanking, StopInfo
from fleet.protocol.recording import Outcome
from fleet.scopes import Scope
from fleet.services import (
    api_token,
    assignment,
    enrolment,
    episode_label,
    help,
    lease,
    person,
    robot,
    saved_filter,
    stop,
    task,
    training,
)
from fleet.services.audit import audit_record
from fleet.services.episode import episode_register
from fleet.services.policy import policy_version_publish
from tests.fleet import builders

pytestmark = pytest.mark.django_db
ANN = Actor(ActorKind.PERSON, "7", "ann", "203.0.113.9", "request-1")


class World:
    """Rows that the services change."""

    def __init__(self, users: Any) -> None:
        self.user = users.objects.create_user("ann")
        self.other = users.objects.create_user("ben")
        self.robot, self.task = builders.enrol("arm").robot, builders.task()
        self.run = builders.running_run(name="run")
        manifest, files = builders.episode(self.task, self.robot)
        builders.store(manifest, files)
        self.episode = episode_register(robot_id=str(self.robot.id), manifest=manifest, uploaded_ns=None)
        self.stop = StopInfo(stop_id=str(uuid.uuid4()), by="ann", reason="smoke", at_ns=1)

    def drive(self, who: Any = None, **more: Any) -> Any:
        who = who or self.user
        return lease.lease_grant(
            robot_id=self.robot.id, source=Source.PERSON, operator=who.username, user=who, connection="tab", **more
        )

    def label(self) -> Any:
        change = episode_label.LabelChange(outcome=Outcome.FAILURE)
        return episode_label.episode_label(episode_id=self.episode.id, user=self.user, change=change, revision=0)

    def bulk(self) -> Any:
        change = episode_label.LabelChange(add_tags=("hard",))
        return episode_label.episodes_label(episode_ids=[self.episode.id], user=self.user, change=change)

    def publish(self) -> Any:
        manifest, blobs = builders.policy(self.run.id)
        return policy_version_publish(run_id=str(self.run.id), manifest_bytes=manifest, blobs=blobs)


def _take(w: World) -> None:
    w.drive()
    person.person_roles_set(user=w.other, roles=[Role.MANAGER])
    w.drive(w.other, from_epoch=w.robot.lease_epoch + 1)


# What is done -> the newest entry's action, before and after (None: not looked at).
DEEDS: dict[str, tuple[Callable[[World], Any], str, Any, Any]] = {
    "acquire": (lambda w: w.drive(reason="stuck"), "lease.acquire", None, {"operator": "ann", "reason": "stuck"}),
    "take": (_take, "lease.take", {"operator": "ann", "epoch": 1}, {"operator": "ben", "epoch": 2}),
    "offer": (
        lambda w: lease.lease_offer(robot_id=w.robot.id, epoch=w.drive().epoch, connection="tab", to_user=w.other),
        "lease.offer",
        None,
        {"offered_to": "ben"},
    ),
    "release": (
        lambda w: lease.lease_release(robot_id=w.robot.id, epoch=w.drive().epoch, reason="done"),
        "lease.release",
        {"operator": "ann"},
        {"reason": "done"},
    ),
    "stop": (
        lambda w: stop.stop_register(robot_id=w.robot.id, stop=w.stop, user=w.user),
        "robot.stop",
        None,
        {"by": "ann", "reason": "smoke"},
    ),
    "clear": (
        lambda w: (
            stop.stop_register(robot_id=w.robot.id, stop=w.stop, user=w.user),
            w.drive(),
            stop.stop_clear(robot_id=w.robot.id, stop_id=w.stop.stop_id, user=w.user),
        ),
        "robot.stop_clear",
        None,
        {"stopped_by": "ann"},
    ),
    "rank": (
        lambda w: help.help_ranking_set(ranking=HelpRanking.FIFO, over=HelpRanking.CUR, user=w.user),
        "help.rank",
        {"ranking": "cur"},
        {"ranking": "fifo"},
    ),
    "label": (World.label, "episode.label", {"outcome": "success"}, {"outcome": "failure"}),
    "label undo": (
        lambda w: (w.label(), episode_label.episode_label_undo(episode_id=w.episode.id, user=w.user, revision=1)),
        "episode.label_undo",
        {"outcome": "failure"},
        {"outcome": "success"},
    ),
    "bulk": (World.bulk, "episode.label_bulk", None, {"change": {"add_tags": ["hard"]}, "changed": 1, "of": 1}),
    "bulk undo": (
        lambda w: episode_label.episodes_label_undo(batch=w.bulk().batch, user=w.user),
        "episode.label_bulk_undo",
        None,
        {"changed": 1, "of": 1},
    ),
    "task": (lambda w: builders.task("new"), "task.create", None, {"instruction": "do new"}),
    "task change": (
        lambda w: task.task_create(slug="box-close", instruction="shut it", driver_task="box-close", max_steps=250),
        "task.change",
        {"instruction": "do box-close"},
        {"instruction": "shut it"},
    ),
    "assign": (
        lambda w: assignment.assignment_set(robot_id=w.robot.id, task_id=w.task.id, weight=2.0),
        "assignment.set",
        {"weight": None},
        {"weight": 2.0},
    ),
    "enrolment token": (
        lambda w: enrolment.enrolment_token_create(note="arm 2"),
        "robot.enrolment_token",
        None,
        {"note": "arm 2"},
    ),
    "enrol": (lambda w: builders.enrol("second"), "robot.enrol", None, {"name": "second"}),
    "key": (lambda w: robot.robot_key_revoke(key_id=RobotKey.objects.get().id), "robot.key_revoke", None, {}),
    "pause": (
        lambda w: robot.robot_pause(robot_id=w.robot.id, is_paused=True),
        "robot.pause",
        {"is_paused": False},
        {"is_paused": True},
    ),
    "publish": (World.publish, "version.publish", None, {"run": "run", "number": 0}),
    "run": (
        lambda w: training.training_run_create(name="b", algorithm="recap", config={}, seed=1),
        "run.create",
        None,
        {"algorithm": "recap"},
    ),
    "run start": (lambda w: training.training_run_start(run_id=w.run.id), "run.start", {"epoch": 1}, {"epoch": 2}),
    "run stop": (
        lambda w: training.training_run_stop(run_id=w.run.id),
        "run.stop",
        {"state": "running"},
        {"state": "stopped"},
    ),
    "run fail": (
        lambda w: training.training_run_fail(run_id=str(w.run.id), epoch=1, code="oom", message="m"),
        "run.fail",
        None,
        {"state": "failed", "failure_code": "oom"},
    ),
    "filter": (
        lambda w: saved_filter.saved_filter_set(user=w.user, name="f", query={"tag": "x"}),
        "filter.save",
        None,
        {"query": {"tag": "x"}},
    ),
    "filter removed": (
        lambda w: saved_filter.saved_filter_remove(
            user=w.user, filter_id=saved_filter.saved_filter_set(user=w.user, name="f", query={"tag": "x"}).id
        ),
        "filter.remove",
        {"query": {"tag": "x"}},
        None,
    ),
    "api token": (
        lambda w: api_token.api_token_create(user=w.user, name="t", scopes=[Scope.FLEET_READ], valid_s=60),
        "token.create",
        None,
        {"scopes": ["fleet:read"]},
    ),
    "roles": (
        lambda w: person.person_roles_set(user=w.user, roles=[Role.ADMIN]),
        "person.roles",
        {"roles": ["operator"]},
        {"roles": ["admin"]},
    ),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_a_change_is_noted_with_before_and_after(deed: str, objects: object, django_user_model: Any) -> None:
    do, action, before, after = DEEDS[deed]
    world = World(django_user_model)
    newest = AuditEntry.objects.first()
    with acting_as(lambda: ANN):
        do(world)
    entry = AuditEntry.objects.first()
    assert entry is not None and newest is not None and entry.id > newest.id
    assert entry.action == action
    assert before is None or {name: (entry.before or {}).get(name) for name in before} == before
    assert after is None or {name: (entry.after or {}).get(name) for name in after} == after
    is_robot = action == "robot.enrol"
    assert (entry.actor_kind, entry.actor_name) == (("robot", "second") if is_robot else ("person", "ann"))
    assert is_robot or (entry.address, entry.request_id) == ("203.0.113.9", "request-1")


def test_what_changes_nothing_is_not_noted(objects: object, django_user_model: Any) -> None:
    world = World(django_user_model)
    help.help_ranking_set(ranking=HelpRanking.FIFO, over=HelpRanking.CUR, user=world.user)
    count = AuditEntry.objects.count()
    help.help_ranking_set(ranking=HelpRanking.FIFO, over=HelpRanking.FIFO, user=world.user)
    builders.task()
    robot.robot_pause(robot_id=world.robot.id, is_paused=False)
    person.person_roles_set(user=world.user, roles=[Role.OPERATOR])
    assert AuditEntry.objects.count() == count


def test_a_change_that_fails_leaves_no_entry(objects: object, django_user_model: Any) -> None:
    world = World(django_user_model)
    count = AuditEntry.objects.count()
    with pytest.raises(RuntimeError), transaction.atomic():
        assignment.assignment_set(robot_id=world.robot.id, task_id=world.task.id, weight=1.0)
        raise RuntimeError
    assert (AuditEntry.objects.count(), Assignment.objects.count()) == (count, 0)


@pytest.mark.parametrize("change", ["update", "delete", "save"])
def test_the_log_only_grows(change: str) -> None:
    with transaction.atomic():
        entry = audit_record(action="test.done", kind="test", after={"a": 1})
    assert entry is not None
    entry.action = "test.forged"
    acts = {"update": lambda: AuditEntry.objects.update(action="x"), "delete": entry.delete, "save": entry.save}
    with pytest.raises(DatabaseError, match="only grows"), transaction.atomic():
        acts[change]()
    assert AuditEntry.objects.get().action == "test.done"


@pytest.mark.django_db(transaction=True)
def test_an_entry_needs_the_change_s_transaction() -> None:
    with pytest.raises(TransactionManagementError):
        audit_record(action="test.done", kind="test")


def test_secrets_stay_out_and_texts_stay_readable() -> None:
    after = {"password": "x", "key_sha256": "y", "deep": {"secret": "z", "kept": "k" * 3000}, "zero": "a\x00b"}
    entry = audit_record(action="test.done", kind="test", after=after)
    assert entry is not None and entry.after is not None
    assert (entry.after["password"], entry.after["key_sha256"], entry.after["zero"]) == ("(hidden)", "(hidden)", "ab")
    assert entry.after["deep"]["secret"] == "(hidden)"
    assert len(entry.after["deep"]["kept"]) == 2001


def test_who_acts_is_the_system_unless_an_edge_says_otherwise() -> None:
    assert acting().kind is ActorKind.SYSTEM
    with acting_as(lambda: ANN):
        assert acting() == ANN
    assert acting().kind is ActorKind.SYSTEM
