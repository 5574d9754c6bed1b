"""Episodes refused for good: noted for people, one row each, forgotten once they are here."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from django.test import Client
from django.utils import timezone

from fleet.consumers.episodes import answer_ready, answer_upload
from fleet.models import Alert, AlertRule, EpisodeRefusal, Robot
from fleet.permissions import Role
from fleet.protocol.messages import EpisodeReady, EpisodeRefused, EpisodeRegistered, UploadRequest
from fleet.services.alert_watch import alerts_evaluate
from fleet.services.episode_refusal import episode_refusal_note
from fleet.storage.local import LocalStore
from tests.fleet import builders
from tests.fleet.two_sites import person

pytestmark = pytest.mark.django_db


@pytest.fixture
def robot() -> Robot:
    return builders.enrol(f"arm-{uuid.uuid4().hex[:8]}").robot


def _rows(robot: Robot) -> list[tuple[str, str]]:
    return list(EpisodeRefusal.objects.filter(robot=robot).values_list("episode_id", "code"))


def test_it_is_noted_and_forgotten_once_it_is_registered(robot: Robot, objects: LocalStore) -> None:
    """A manifest that says another thing than the files; put right by a person, the same episode arrives."""
    manifest, files = builders.episode(builders.task(), robot)
    builders.store(manifest, files)
    wrong = msgspec.structs.replace(manifest, robot_id=None)
    ready = EpisodeReady(episode_id=manifest.episode_id, uploaded_ns=manifest.ended_ns, manifest=wrong)

    first = answer_ready(str(robot.id), ready)
    again = answer_ready(str(robot.id), ready)

    assert isinstance(first, EpisodeRefused) and first.is_final and isinstance(again, EpisodeRefused)
    assert _rows(robot) == [(manifest.episode_id, first.code)]

    builders.store(manifest, files)
    right = msgspec.structs.replace(ready, manifest=manifest)
    assert isinstance(answer_ready(str(robot.id), right), EpisodeRegistered)
    assert _rows(robot) == []


def test_what_may_be_tried_again_is_not_noted(robot: Robot, objects: LocalStore) -> None:
    manifest, _ = builders.episode(builders.task(), robot)
    ready = EpisodeReady(episode_id=manifest.episode_id, uploaded_ns=manifest.ended_ns, manifest=manifest)

    answer = answer_ready(str(robot.id), ready)  # nothing was stored

    assert isinstance(answer, EpisodeRefused) and not answer.is_final
    assert _rows(robot) == []


@pytest.mark.parametrize("episode_id", ["../../etc", "x" * 500, "a\x00b", ""])
def test_a_request_with_a_wrong_id_is_noted_as_far_as_it_goes(robot: Robot, episode_id: str) -> None:
    answer = answer_upload(str(robot.id), UploadRequest(episode_id=episode_id, objects=()))

    assert isinstance(answer, EpisodeRefused) and answer.is_final
    assert _rows(robot) == [(episode_id.replace("\x00", "")[:36], answer.code)]


def test_the_newest_stay(robot: Robot, settings: Any) -> None:
    settings.SOP_REFUSALS_KEPT = 3
    other = builders.enrol(f"arm-{uuid.uuid4().hex[:8]}").robot
    episode_refusal_note(robot_id=str(other.id), episode_id="e", code="invalid_episode", message="")
    for number in range(5):
        episode_refusal_note(robot_id=str(robot.id), episode_id=f"e{number}", code="invalid_episode", message="")

    assert [episode_id for episode_id, _ in _rows(robot)] == ["e4", "e3", "e2"]
    assert len(_rows(other)) == 1


def test_managers_read_them(robot: Robot, client: Client, django_user_model: Any) -> None:
    episode_refusal_note(robot_id=str(robot.id), episode_id="e1", code="invalid_video", message="no frame decodes")
    url = f"/api/v1/robots/{robot.id}/refusals"

    client.force_login(person(django_user_model, "olga", Role.OPERATOR))
    assert client.get(url).status_code == 403
    client.force_login(person(django_user_model, "mara", Role.MANAGER))
    (found,) = client.get(url).json()["results"]

    assert (found["episode_id"], found["code"], found["message"]) == ("e1", "invalid_video", "no frame decodes")
    assert client.get(f"/api/v1/robots/{uuid.uuid4()}/refusals").status_code == 404


def test_an_alert_tells_until_the_window_has_passed(robot: Robot) -> None:
    rule = AlertRule.objects.create(name=uuid.uuid4().hex, kind="refusals", params={"window_s": 3600}, clear_after_s=0)
    now = timezone.now()
    alerts_evaluate(now=now)
    assert not Alert.objects.filter(rule=rule).exists()

    episode_refusal_note(robot_id=str(robot.id), episode_id="e1", code="invalid_video", message="")
    alerts_evaluate(now=now + timedelta(seconds=1))
    (alert,) = Alert.objects.filter(rule=rule)
    assert (alert.subject_id, alert.value, alert.resolved_at) == (str(robot.id), 1, None)

    alerts_evaluate(now=now + timedelta(seconds=3700))
    alert.refresh_from_db()
    assert alert.resolved_at is not None
