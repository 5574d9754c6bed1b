"""Training runs administered over HTTP: start, copy, pause, resume, stop, compare; bad input changes nothing."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client

from fleet.models import AuditEntry, PolicyVersion, TrainingRun
from fleet.permissions import Role
from fleet.protocol.recording import Outcome
from fleet.selectors.objects import object_store
from fleet.services.person import person_roles_set
from fleet.services.policy import policy_version_publish
from fleet.services.training import run_metrics_record, training_round_begin, training_run_claim
from fleet.storage import keys
from fleet.storage.local import LocalStore
from tests.fleet import builders
from tests.fleet.api.episode_rows import register

pytestmark = pytest.mark.django_db
JSON = "application/json"
URL = "/api/v1/training-runs"


def _signed_in(users: Any, name: str, role: Role) -> Client:
    person = users.objects.create_user(name)
    person_roles_set(user=person, roles=[role])
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def manager(django_user_model: Any) -> Client:
    return _signed_in(django_user_model, "mia", Role.MANAGER)


@pytest.fixture
def operator(django_user_model: Any) -> Client:
    return _signed_in(django_user_model, "ann", Role.OPERATOR)


@pytest.fixture
def base(objects: LocalStore) -> PolicyVersion:
    run = builders.running_run(name="first")
    manifest, blobs = builders.policy(run.id)
    return policy_version_publish(run_id=str(run.id), manifest_bytes=manifest, blobs=blobs)


def _body(version: PolicyVersion, **changes: Any) -> dict[str, Any]:
    return {"name": "second", "base": str(version.id), **changes}


def _act(client: Client, run: TrainingRun, act: str, revision: int | None = None) -> Any:
    run.refresh_from_db()
    seen = run.revision if revision is None else revision
    return client.post(f"{URL}/{run.id}/{act}", headers={"If-Match": f'"{seen}"'})


def test_settings_say_what_the_form_needs(operator: Client) -> None:
    body = operator.get("/api/v1/training-settings").json()
    assert [each["name"] for each in body["algorithms"]] == ["hg_dagger", "recap"]
    fields = {each["path"]: each for each in body["fields"]}
    rows = fields["optim.batch_size"]
    shown = (rows["kind"], rows["default"], rows["low"], rows["high"], rows["unit"])
    assert shown == ("integer", 64, 1, 65536, "rows")
    assert fields["sampler.strategy"]["choices"] == ["adaptive", "fixed", "uniform"]
    assert all(each["help"] for each in fields.values())
    assert "data.cache_dir" not in fields  # a folder of the learner's machine is nobody's to choose from a browser


def test_a_run_is_started_from_a_version_with_checked_settings(manager: Client, base: PolicyVersion) -> None:
    builders.task()
    config = {"optim": {"batch_size": 32}, "algorithm_config": {"mask": "all"}}
    made = manager.post(URL, _body(base, config=config, tasks=["box-close"], seed=3, target_steps=500), JSON)
    assert made.status_code == 201, made.content
    run = manager.get(f"{URL}/{made.json()['id']}").json()
    assert (run["state"], run["config"], run["tasks"], run["seed"]) == ("running", config, ["box-close"], 3)
    assert (run["newest_version"], run["target_steps"], run["takes_online"]) == (0, 500, True)
    origin = {"id": str(base.id), "number": 0, "run": str(base.run_id), "run_name": "first"}
    assert (run["began_from"], run["copied_from"]) == (origin, None)
    first = PolicyVersion.objects.get(run=run["id"], number=0)
    assert first.parent_id == base.id
    assert manager.get(f"/api/v1/policy-versions/{first.id}/report").json()["parent"] == origin
    assert AuditEntry.objects.filter(object_id=run["id"], action="run.launch", actor_name="mia").count() == 1


def test_a_copy_remembers_what_it_was_made_from(manager: Client, base: PolicyVersion) -> None:
    made = manager.post(URL, _body(base, copied_from=str(base.run_id)), JSON).json()
    copied = manager.get(f"{URL}/{made['id']}").json()["copied_from"]
    assert copied == {"id": str(base.run_id), "name": "first"}


def test_every_wrong_setting_is_named_at_once(manager: Client, base: PolicyVersion) -> None:
    config = {
        "optim": {"batch_size": 0, "learning_rate": "fast", "lr": 1},
        "sampler": {"strategy": "lucky", "floor": None},
        "compile": 1,
        "device": "gpu",
        "threads": True,
        "data": {"cache_dir": "/etc"},
        "round.steps": 5,
    }
    answer = manager.post(URL, _body(base, config=config), JSON)
    assert (answer.status_code, answer.json()["code"]) == (422, "settings_invalid")
    problems = {each["field"]: each["detail"] for each in answer.json()["problems"]}
    assert set(problems) == {
        "optim.batch_size", "optim.learning_rate", "optim.lr", "sampler.strategy", "sampler.floor", "compile", "device",
        "threads", "data.cache_dir", "round.steps",
    }  # fmt: skip
    assert problems["optim.batch_size"] == "must be at least 1 rows"
    assert problems["data.cache_dir"] == "there is no such setting"
    assert TrainingRun.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "status", "code", "field"),
    [
        ({"algorithm": "ppo"}, 422, "unknown_algorithm", "algorithm"),
        ({"config": {"sampler": {"floor": 0.9}}}, 422, "settings_invalid", "sampler.cap_start"),
        ({"config": {"optim": {"learning_rate": 1e400}}}, 400, "parse_error", None),
        ({"algorithm": "recap", "config": {"algorithm_config": {"mask": "all"}}}, 422, "settings_invalid", None),
        (
            {"algorithm": "recap", "config": {"algorithm_config": {"value": {"file": "/x"}}}},
            422,
            "settings_invalid",
            None,
        ),
        ({"base": str(uuid.UUID(int=7))}, 422, "invalid_request", "base"),
        ({"tasks": ["nowhere"]}, 422, "invalid_request", "task_slugs"),
        ({"takes_online": False, "target_steps": 5}, 422, "invalid_request", "takes_online"),
        ({"takes_online": False}, 422, "invalid_request", "target_steps"),
        ({"dataset": {"id": str(uuid.UUID(int=7)), "version": 1}}, 422, "invalid_request", "dataset"),
        ({"copied_from": str(uuid.UUID(int=7))}, 422, "invalid_request", "copied_from"),
        ({"name": "first"}, 422, "invalid_request", "name"),
        ({"name": "a\u202eb"}, 422, "invalid_request", "name"),
        ({"seed": -1}, 400, "invalid", None),
        ({"stepz": 1}, 400, "invalid", None),
    ],
)
def test_bad_input_starts_no_run(
    manager: Client, base: PolicyVersion, changes: dict[str, Any], status: int, code: str, field: str | None
) -> None:
    answer = manager.post(URL, _body(base, **changes), JSON)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.content
    if field is not None:
        assert answer.json()["field"] == field
    assert TrainingRun.objects.count() == 1
    assert PolicyVersion.objects.count() == 1


def test_a_version_whose_weights_are_deleted_starts_no_run(manager: Client, base: PolicyVersion) -> None:
    object_store().delete(keys.policy_blob(next(iter(base.blobs))))
    answer = manager.post(URL, _body(base), JSON)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "version_unusable", "base")
    assert TrainingRun.objects.count() == 1


def test_the_learner_s_answer_is_shown_beside_what_is_asked(manager: Client, base: PolicyVersion) -> None:
    run = base.run
    training_run_claim(run_id=str(run.id), epoch=1, holder="w")
    training_round_begin(run_id=str(run.id), epoch=1, holder="w")
    asked = _act(manager, run, "pause")
    assert (asked.status_code, asked.json()["state"], asked.json()["asked"]) == (200, "running", "paused")
    seen = manager.get(f"{URL}/{run.id}").json()
    assert (seen["state"], seen["asked"], seen["asked_by_name"]) == ("running", "paused", "mia")
    back = _act(manager, run, "resume", seen["revision"])
    assert (back.json()["state"], back.json()["asked"]) == ("running", "")
    assert back.headers["ETag"] == f'"{back.json()["revision"]}"'


def test_a_stopped_run_is_over_and_late_clicks_are_refused(manager: Client, base: PolicyVersion) -> None:
    run = base.run
    read = manager.get(f"{URL}/{run.id}").json()["revision"]
    assert _act(manager, run, "stop", read).json()["state"] == "stopped"
    assert _act(manager, run, "pause", read).status_code == 412
    for act in ("stop", "pause", "resume"):
        answer = _act(manager, run, act)
        assert (answer.status_code, answer.json()["code"]) == (409, "run_not_now")
    assert manager.post(f"{URL}/{run.id}/pause").status_code == 428
    assert manager.post(f"{URL}/{uuid.uuid4()}/pause", headers={"If-Match": '"0"'}).status_code == 404


def test_operators_look_and_do_not_touch(operator: Client, base: PolicyVersion) -> None:
    run, count = base.run, TrainingRun.objects.count()
    assert operator.post(URL, _body(base), JSON).status_code == 403
    for act in ("pause", "stop", "resume"):
        assert _act(operator, run, act).status_code == 403
    run.refresh_from_db()
    assert (run.state, TrainingRun.objects.count()) == ("running", count)


def test_runs_are_compared_with_settings_and_figures(manager: Client, base: PolicyVersion) -> None:
    config = {"optim": {"batch_size": 32}}
    made = manager.post(URL, _body(base, algorithm="recap", config=config), JSON).json()
    task, robot = builders.task(), builders.enrol().robot
    for outcome in (Outcome.SUCCESS, Outcome.SUCCESS, Outcome.FAILURE):
        register(task, robot, outcome=outcome, policy_version_id=str(base.id))
    rows = [(step, {"loss": 1.0 if step <= 10 else 3.0}) for step in range(1, 19)]  # the first two fill no block
    run_metrics_record(run_id=str(base.run_id), epoch=1, rows=rows)
    body = manager.get(f"{URL}/compare?run={base.run_id}&run={made['id']}").json()
    first, second = body["runs"]
    assert (first["name"], first["loss"]["mean"], first["loss"]["n"]) == ("first", 2.0, 16)
    assert first["loss"]["low"] == pytest.approx(2 - 12.7062, abs=1e-3)  # Student of two blocks, 1 and 3
    assert (first["autonomous"]["successes"], first["autonomous"]["n"]) == (2, 3)
    assert first["autonomous"]["low"] == pytest.approx(0.2077, abs=1e-3)  # Wilson, 2 of 3
    assert (second["loss"], second["autonomous"], second["versions"]) == (None, None, 1)
    rows = {row["path"]: row for row in body["settings"]}
    assert rows["optim.batch_size"]["values"] == [64, 32]
    assert rows["Began from"]["values"] == ["an imported base", "v0 of first"]
    assert rows["algorithm_config.mask"]["values"] == ["intervention_and_success", None]
    differing = {path for path, row in rows.items() if row["differs"]}
    assert {"Algorithm", "optim.batch_size", "algorithm_config.mask"} <= differing
    assert "optim.learning_rate" not in differing


def test_what_cannot_be_compared_is_refused(manager: Client, base: PolicyVersion) -> None:
    one = base.run_id
    for query, status in (
        (f"run={one}", 400), (f"run={one}&run={one}", 422), (f"run={one}&run={uuid.uuid4()}", 404),
        ("run=x&run=y", 400),
        ("&".join(f"run={uuid.uuid4()}" for _ in range(5)), 400),
    ):  # fmt: skip
        assert manager.get(f"{URL}/compare?{query}").status_code == status, query
