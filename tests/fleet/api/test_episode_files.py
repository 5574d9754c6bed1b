"""What players and plots read: files with ranges over a real server's path, steps thinned within a bound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from django.test import Client

from fleet.models import Episode
from fleet.selectors import episode_recording
from fleet.storage import keys
from fleet.storage.local import LocalStore
from fleet.storage.s3 import S3Store
from sop_web.middleware import content_security_policy
from tests.fleet import builders
from tests.fleet.api.episode_rows import register

pytestmark = pytest.mark.django_db
VIDEO = builders.video(5)


@pytest.fixture
def ann(django_user_model: Any) -> Any:
    return django_user_model.objects.create_user("ann")


@pytest.fixture
def signed_in(client: Client, ann: Any) -> Client:
    client.force_login(ann)
    return client


def _episode(steps: int = 5, **columns: Any) -> Episode:
    """An episode whose last two steps a person drove, with these columns on top."""
    arrays = builders.step_arrays(steps, human=2) | columns
    return register(builders.task(), builders.enrol().robot, steps=steps, human=2, arrays=arrays)


def _steps(client: Client, episode: Episode, query: str = "") -> Any:
    answer = client.get(f"/api/v1/episodes/{episode.id}/steps{query}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_steps_as_recorded(signed_in: Client, objects: LocalStore) -> None:
    """Every step of a short one; a policy that proposed nothing proposed None, not zeros."""
    asked = np.arange(20, dtype=np.float32).reshape(5, 4)
    proposed = np.array([True, True, False, True, True])
    body = _steps(signed_in, _episode(**{"action.asked": asked, "action": asked / 3, "proposed": proposed}))
    assert (body["steps"], body["start"], body["end"], body["stride"], body["frame"]) == (5, 0, 5, 1, [0, 1, 2, 3, 4])
    assert body["asked"][1] == [1.0, 5.0, 9.0, 13.0, 17.0]
    assert body["applied"][0][1] == 1.33333
    assert body["proposed"][3] == [0.0, 0.0, None, 0.0, 0.0]
    assert (len(body["state"]), body["timestamp_s"]) == (2, [0.0, 0.1, 0.2, 0.3, 0.4])
    assert (body["mode"], body["source"]) == ([0, 0, 0, 2, 2], [0, 0, 0, 2, 2])


def test_long_episodes_are_thinned_and_keep_rare_rewards(signed_in: Client, objects: LocalStore) -> None:
    reward = np.zeros(1003, np.float32)
    reward[[501, 1002]] = 1, -2
    episode = _episode(1003, reward=reward)
    body = _steps(signed_in, episode, "?max_points=100")
    assert (body["stride"], len(body["frame"]), body["frame"][-1]) == (11, 92, 1001)
    assert {place: value for place, value in enumerate(body["reward"]) if value} == {45: 1.0, 91: -2.0}
    close = _steps(signed_in, episode, "?start=500&end=510")
    assert (close["frame"], close["reward"][1]) == (list(range(500, 510)), 1.0)


def test_wide_robots_get_fewer_points(signed_in: Client, objects: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(episode_recording, "MAX_VALUES", 60)
    assert len(_steps(signed_in, _episode(50))["frame"]) == 3


@pytest.mark.parametrize("query", ["?start=5", "?start=3&end=3", "?start=4&end=2"])
def test_an_empty_range_is_refused(signed_in: Client, objects: LocalStore, query: str) -> None:
    answer = signed_in.get(f"/api/v1/episodes/{_episode().id}/steps{query}")
    assert (answer.status_code, answer.json()["field"]) == (422, "start")


@pytest.mark.parametrize("query", ["?max_points=0", "?max_points=2001", "?start=-1", "?end=0", "?end=x"])
def test_impossible_questions_are_refused(signed_in: Client, objects: LocalStore, query: str) -> None:
    assert signed_in.get(f"/api/v1/episodes/{_episode().id}/steps{query}").status_code == 400


@pytest.mark.parametrize(
    ("data", "status", "code"), [(None, 404, "object_missing"), (b"PAR1 cut off", 422, "object_mismatch")]
)
def test_damaged_steps_are_said(
    signed_in: Client, objects: LocalStore, data: bytes | None, status: int, code: str
) -> None:
    episode = _episode()
    key = keys.episode_object(str(episode.id), "steps.parquet")
    objects.delete(key) if data is None else objects.put(key, data)
    answer = signed_in.get(f"/api/v1/episodes/{episode.id}/steps")
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.fixture
def player(server: str, ann: Any) -> Iterator[httpx.Client]:
    """A signed-in browser at a real server, at the files of an episode."""
    browser = Client()
    browser.force_login(ann)
    cookies = {name: morsel.value for name, morsel in browser.cookies.items()}
    url = f"http://{server}/api/v1/episodes/{_episode().id}/files/"
    with httpx.Client(base_url=url, cookies=cookies, timeout=10) as opened:
        yield opened


def test_a_player_reads_ranges(player: httpx.Client) -> None:
    answer = player.get("front.mp4", headers={"Range": "bytes=4-10"})
    assert (answer.status_code, answer.content) == (206, VIDEO[4:11])
    assert answer.headers["Content-Type"] == "video/mp4"
    assert answer.headers["Content-Range"] == f"bytes 4-10/{len(VIDEO)}"
    beyond = player.get("front.mp4", headers={"Range": "bytes=999999-"})
    assert (beyond.status_code, beyond.json()["code"]) == (416, "range_not_satisfiable")


def test_whole_files_and_no_others(player: httpx.Client) -> None:
    assert player.get("front.mp4").content == VIDEO
    manifest = player.get("manifest.json")
    assert (manifest.headers["Content-Type"], manifest.content[:1]) == ("application/json", b"{")
    for name in ("side.mp4", "..%2Fmanifest.json", "front.mp4%00"):
        assert player.get(name).status_code == 404
    player.cookies.clear()
    assert player.get("front.mp4").status_code == 401


def test_a_bucket_is_redirected_to(signed_in: Client, objects: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where bytes lie elsewhere the browser gets a signed URL of there."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    episode = _episode()
    bucket = S3Store("bucket", endpoint="http://127.0.0.1:1", region="eu-north-1")
    monkeypatch.setattr("fleet.api.episode_files.object_store", lambda: bucket)
    answer = signed_in.get(f"/api/v1/episodes/{episode.id}/files/front.mp4")
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith(f"http://127.0.0.1:1/bucket/episodes/{episode.id}/front.mp4?X-Amz-")


@pytest.mark.parametrize(
    ("store", "sources"),
    [
        ("file:///objects", "'self' blob:"),
        ("s3://bucket/p?endpoint=http://127.0.0.1:8333/", "'self' blob: http://127.0.0.1:8333"),
        ("s3://bucket?region=eu-north-1", "'self' blob: https://*.amazonaws.com"),
    ],
)
def test_pages_may_play_videos_from_the_bucket(store: str, sources: str) -> None:
    assert f"; media-src {sources}; " in content_security_policy(store)
