"""Training runs over HTTP: the list with its trend, one run's page, its series, and what is refused."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from django.test import Client
from django.utils import timezone
from safetensors.numpy import save

from fleet.models import Episode, PolicyVersion, TrainingRun
from fleet.protocol.recording import Origin, Outcome
from fleet.selectors.run_metrics import MAX_NAMES
from fleet.services.episode import episode_register
from fleet.services.policy import policy_version_publish
from fleet.services.training import run_metrics_record, training_round_begin
from fleet.storage import keys
from fleet.storage.local import LocalStore
from tests.fleet import builders

pytestmark = pytest.mark.django_db


@pytest.fixture
def signed_in(client: Client, django_user_model: Any) -> Client:
    client.force_login(django_user_model.objects.create_user("ann"))
    return client


def _publish(run: TrainingRun, *, step: int) -> PolicyVersion:
    manifest, blobs = builders.policy(run.id, step=step, value=float(step))
    return policy_version_publish(run_id=str(run.id), manifest_bytes=manifest, blobs=blobs)


def _episodes(version: PolicyVersion, outcomes: list[Outcome], *, human: int = 0) -> None:
    """Registered episodes that the version drove, one a second, the last now."""
    robot, task = builders.enrol().robot, builders.task()
    for index, outcome in enumerate(outcomes):
        manifest, files = builders.episode(task, robot, human=human, outcome=outcome, policy_version_id=str(version.id))
        builders.store(manifest, files)
        row = episode_register(robot_id=str(robot.id), manifest=manifest, uploaded_ns=None)
        ended = timezone.now() - timedelta(seconds=len(outcomes) - index)
        Episode.objects.filter(id=row.id).update(ended_at=ended, started_at=ended - timedelta(seconds=1))


def _metrics_url(run: TrainingRun, **query: Any) -> str:
    return f"/api/v1/training-runs/{run.id}/metrics?{urlencode(query, doseq=True)}"


def test_list_shows_the_newest_version_and_how_success_went(signed_in: Client, objects: LocalStore) -> None:
    idle, run = builders.running_run(), builders.running_run()
    version = _publish(run, step=25)
    _episodes(version, [Outcome.TIMEOUT] * 10 + [Outcome.ABORTED] * 3 + [Outcome.SUCCESS] * 10)
    rows = {row["id"]: row for row in signed_in.get("/api/v1/training-runs").json()["results"]}
    shown = rows[str(run.id)]
    assert (shown["newest_version"], shown["newest_version_at"] is not None) == (0, True)
    assert [(part["successes"], part["n"]) for part in shown["success"]] == [(0, 10), (10, 10)]
    assert (rows[str(idle.id)]["newest_version"], rows[str(idle.id)]["success"]) == (None, [])


def test_detail_counts_what_the_run_learns_from(signed_in: Client, objects: LocalStore) -> None:
    """Usable are all, ingested those up to the newest round's bound, sampled those marked so; frames are online."""
    run = builders.running_run(config={"optim": {"batch_size": 32}}, seed=5)
    version = _publish(run, step=0)
    _episodes(version, [Outcome.SUCCESS] * 2, human=2)
    Episode.objects.filter(index_seq=2).update(origin=Origin.DEMONSTRATION.value)
    training_round_begin(run_id=str(run.id), epoch=1, holder="w")
    _episodes(version, [Outcome.SUCCESS, Outcome.ABORTED])
    Episode.objects.filter(index_seq=1).update(first_sampled_at=timezone.now())
    body = signed_in.get(f"/api/v1/training-runs/{run.id}").json()
    assert body["experience"] == {"usable": 3, "ingested": 2, "sampled": 1, "frames": 5, "human_frames": 2}
    assert (body["config"], body["seed"], body["tasks"]) == ({"optim": {"batch_size": 32}}, 5, [])
    assert (body["steps_per_s"], body["failure_message"]) == (0.0, "")


def test_series_names_and_versions(signed_in: Client, objects: LocalStore) -> None:
    run = builders.running_run()
    _publish(run, step=0), _publish(run, step=150)
    rows = [(step, {"loss": step / 100, "share/box-close/raw": 0.6}) for step in (100, 200)]
    run_metrics_record(run_id=str(run.id), epoch=1, rows=rows)
    url = f"/api/v1/training-runs/{run.id}"
    assert signed_in.get(f"{url}/metrics/names").json() == {"names": ["loss", "share/box-close/raw"]}
    body = signed_in.get(_metrics_url(run, name=["loss", "unknown", "loss"], since_step=0)).json()
    assert (body["width"], body["last_step"], body["step"]) == (1, 200, [100, 200])
    assert len(body["at_ms"]) == 2
    assert body["series"] == [
        {"name": "loss", "mean": [1.0, 2.0], "low": [1.0, 2.0], "high": [1.0, 2.0]},
        {"name": "unknown", "mean": [], "low": [], "high": []},
    ]
    versions = signed_in.get(f"{url}/versions").json()["versions"]
    assert [(version["number"], version["step"]) for version in versions] == [(0, 0), (1, 150)]


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"name": [f"n{k}" for k in range(MAX_NAMES + 1)]},
        {"name": "x" * 201},
        {"name": "loss", "max_points": 0},
        {"name": "loss", "max_points": 1001},
        {"name": "loss", "since_step": -1},
        {"name": "loss", "since_step": 2**70},
        {"name": "loss", "last_s": "nan"},
        {"name": "loss", "last_s": "1e400"},
        {"name": "lo\x00ss"},
    ],
)
def test_impossible_questions_are_refused(signed_in: Client, query: dict[str, Any]) -> None:
    answer = signed_in.get(_metrics_url(builders.running_run(), **query))
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid"), answer.content


@pytest.mark.parametrize("path", ["", "/metrics?name=loss", "/metrics/names", "/versions"])
def test_unknown_run_and_signed_out(signed_in: Client, path: str) -> None:
    url = f"/api/v1/training-runs/{uuid.uuid4()}{path}"
    assert (signed_in.get(url).status_code, signed_in.get(url).json()["code"]) == (404, "not_found")
    assert Client().get(url).status_code == 401


def test_sidecar_of_an_episode(signed_in: Client, objects: LocalStore) -> None:
    """Columns as the learner stored them, null for NaN; 404 before, as its episode says; damage has a code."""
    run = builders.running_run()
    _episodes(_publish(run, step=0), [Outcome.SUCCESS])
    episode_id = Episode.objects.get().id
    url = f"/api/v1/training-runs/{run.id}/episodes/{episode_id}/sidecar"
    episode = f"/api/v1/episodes/{episode_id}"
    assert (signed_in.get(url).status_code, signed_in.get(url).json()["code"]) == (404, "not_found")
    assert signed_in.get(episode).json()["has_sidecar"] is False
    columns = {
        "value": np.array([-0.5, -1 / 3], np.float32),
        "return": np.array([np.nan, 0.0], np.float32),
        "indicator": np.array([1, 0], np.int8),
    }
    objects.put(keys.run_sidecar(str(run.id), str(episode_id)), save(columns))
    assert signed_in.get(episode).json()["has_sidecar"] is True
    assert signed_in.get(url).json() == {
        "columns": {"indicator": [1.0, 0.0], "return": [None, 0.0], "value": [-0.5, -0.333333]}
    }
    for wrong in (url.replace(str(run.id), str(uuid.uuid4())), url.replace(str(episode_id), str(uuid.uuid4()))):
        assert signed_in.get(wrong).status_code == 404
    objects.put(keys.run_sidecar(str(run.id), str(episode_id)), b"cut off")
    assert (signed_in.get(url).status_code, signed_in.get(url).json()["code"]) == (500, "storage_error")


def test_success_of_one_run(signed_in: Client, objects: LocalStore) -> None:
    """The chart of a run's page counts the episodes its versions drove, and marks its versions."""
    run, other = builders.running_run(), builders.running_run()
    _episodes(_publish(run, step=10), [Outcome.SUCCESS])
    _episodes(_publish(other, step=20), [Outcome.TIMEOUT, Outcome.TIMEOUT])
    body = signed_in.get(f"/api/v1/metrics/success?window_s=60&run={run.id}").json()
    assert [(point["successes"], point["n"]) for point in body["points"]] == [(1, 1)]
    assert [version["number"] for version in body["versions"]] == [0]
    assert signed_in.get(f"/api/v1/metrics/success?run={uuid.uuid4()}").status_code == 404
