"""An episode whose check takes too long: asked for later and later, refused for good at last, in nobody's way."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytest
from django.core.cache import cache

from fleet.consumers.episodes import answer_ready
from fleet.models import Episode
from fleet.protocol.messages import EpisodeReady, EpisodeRefused, EpisodeRegistered
from fleet.services import episode_turn
from fleet.storage.local import LocalStore
from tests.fleet import builders

pytestmark = pytest.mark.django_db


@pytest.fixture
def ready(objects: LocalStore) -> tuple[str, EpisodeReady]:
    """Return a robot's id and the message by which it announces an episode that is stored."""
    robot, task = builders.enrol(f"arm-{uuid.uuid4().hex[:8]}").robot, builders.task()
    manifest, files = builders.episode(task, robot)
    builders.store(manifest, files)
    message = EpisodeReady(episode_id=manifest.episode_id, uploaded_ns=manifest.ended_ns, manifest=manifest)
    cache.delete(f"episode-slow:{manifest.episode_id}")
    return str(robot.id), message


def refused(answer: EpisodeRegistered | EpisodeRefused) -> tuple[str, bool]:
    assert isinstance(answer, EpisodeRefused)
    return answer.code, answer.is_final


def test_a_slow_check_is_not_made_again_before_its_time(ready: tuple[str, EpisodeReady], settings: Any) -> None:
    """Asked again at once, it is refused without a look: the store is not touched, whatever its speed by now."""
    settings.SOP_VIDEO_CHECK_S = -1.0  # over before it begins
    assert refused(answer_ready(*ready)) == ("video_check_slow", False)
    settings.SOP_VIDEO_CHECK_S = 60.0
    assert refused(answer_ready(*ready)) == ("video_check_slow", False)
    assert Episode.objects.count() == 0


def test_it_is_registered_at_its_next_try(
    ready: tuple[str, EpisodeReady], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SOP_VIDEO_CHECK_S = -1.0
    answer_ready(*ready)
    settings.SOP_VIDEO_CHECK_S = 60.0
    later = time.time() + episode_turn.FIRST_WAIT_S + 1
    monkeypatch.setattr(episode_turn.time, "time", lambda: later)
    assert isinstance(answer_ready(*ready), EpisodeRegistered)
    assert isinstance(answer_ready(*ready), EpisodeRegistered)


def test_the_waits_double_and_end_in_a_final_refusal(
    ready: tuple[str, EpisodeReady], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SOP_VIDEO_CHECK_S, settings.SOP_VIDEO_CHECK_TRIES = -1.0, 3
    now = [time.time()]
    monkeypatch.setattr(episode_turn.time, "time", lambda: now[0])
    assert refused(answer_ready(*ready)) == ("video_check_slow", False)
    now[0] += 61
    assert refused(answer_ready(*ready)) == ("video_check_slow", False)
    now[0] += 61  # the second wait has two minutes
    settings.SOP_VIDEO_CHECK_S = 60.0
    assert refused(answer_ready(*ready)) == ("video_check_slow", False)
    settings.SOP_VIDEO_CHECK_S = -1.0
    now[0] += 61
    assert refused(answer_ready(*ready)) == ("video_unchecked", True)
    assert Episode.objects.count() == 0


def test_others_go_on_meanwhile(ready: tuple[str, EpisodeReady], settings: Any) -> None:
    robot_id, message = ready
    settings.SOP_VIDEO_CHECK_S = -1.0
    answer_ready(robot_id, message)
    settings.SOP_VIDEO_CHECK_S = 60.0
    robot, task = builders.enrol("other").robot, builders.task(slug="other-task")
    manifest, files = builders.episode(task, robot)
    builders.store(manifest, files)
    other = EpisodeReady(episode_id=manifest.episode_id, uploaded_ns=manifest.ended_ns, manifest=manifest)
    assert isinstance(answer_ready(str(robot.id), other), EpisodeRegistered)
