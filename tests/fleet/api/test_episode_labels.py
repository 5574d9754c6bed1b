"""Labels over HTTP: a person's word counts and the recorded one stays, nothing is overwritten unseen, all is undone."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client

from fleet.models import Episode, EpisodeLabel, SavedFilter
from fleet.protocol.recording import Outcome
from fleet.selectors.episode import episodes_for_learner
from fleet.services.episode_label import MAX_BULK
from fleet.services.saved_filter import MAX_A_USER
from fleet.storage.local import LocalStore
from tests.fleet import builders
from tests.fleet.api.episode_rows import register

pytestmark = pytest.mark.django_db
JSON = "application/json"


@pytest.fixture
def signed_in(client: Client, django_user_model: Any) -> Client:
    client.force_login(django_user_model.objects.create_user("ann"))
    return client


@pytest.fixture
def bob(django_user_model: Any) -> Client:
    other = Client()
    other.force_login(django_user_model.objects.create_user("bob"))
    return other


@pytest.fixture
def episodes(objects: LocalStore) -> list[Episode]:
    task, robot = builders.task(), builders.enrol().robot
    return [register(task, robot, outcome=Outcome.TIMEOUT, outcome_reason="250 steps") for _ in range(3)]


def _patch(client: Client, episode: Episode, change: Any, *, over: str | None = '"0"') -> Any:
    headers = {} if over is None else {"If-Match": over}
    return client.patch(f"/api/v1/episodes/{episode.id}/label", change, JSON, headers=headers)


def _undo(client: Client, episode: Episode, *, over: str) -> Any:
    return client.post(f"/api/v1/episodes/{episode.id}/label/undo", headers={"If-Match": over})


def _bulk(client: Client, **body: Any) -> Any:
    return client.post("/api/v1/episodes/labels", body, JSON)


def _history(client: Client, episode: Episode) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"/api/v1/episodes/{episode.id}/label/history").json()["revisions"]
    return found


def test_a_person_s_outcome_counts_and_the_recorded_one_stays(signed_in: Client, episodes: list[Episode]) -> None:
    answer = _patch(signed_in, episodes[0], {"outcome": "success", "outcome_reason": "lid is on"})
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"1"')
    assert answer.json() == {
        "revision": 1,
        "outcome": "success",
        "outcome_source": "person",
        "outcome_reason": "lid is on",
        "tags": [],
        "comment": "",
        "is_archived": False,
    }
    newest, recorded = _history(signed_in, episodes[0])
    assert (newest["by_name"], newest["outcome"]) == ("ann", "success")
    assert (recorded["outcome"], recorded["outcome_source"], recorded["by_name"]) == ("timeout", "environment", "")
    detail = signed_in.get(f"/api/v1/episodes/{episodes[0].id}").json()
    assert (detail["outcome"], detail["recording"]["outcome"]) == ("success", "timeout")


def test_every_selector_goes_by_the_person_s_outcome(signed_in: Client, episodes: list[Episode]) -> None:
    """The success chart, the list, and what the learner is told; aborted ones it is not told of at all."""
    run = builders.running_run()
    _patch(signed_in, episodes[0], {"outcome": "success"})
    _patch(signed_in, episodes[1], {"outcome": "aborted"})
    points = signed_in.get("/api/v1/metrics/success?window_s=3600").json()["points"]
    assert (points[-1]["successes"], points[-1]["n"]) == (1, 2)
    found = signed_in.get("/api/v1/episodes?outcome=success&outcome_source=person").json()["results"]
    assert [row["id"] for row in found] == [str(episodes[0].id)]
    told = episodes_for_learner(run_id=str(run.id), after_seq=0, upto_seq=3)
    assert [(row.id, row.outcome) for row in told] == [
        (str(episodes[0].id), "success"),
        (str(episodes[2].id), "timeout"),
    ]


def test_what_was_recorded_counts_again_on_demand(signed_in: Client, episodes: list[Episode]) -> None:
    _patch(signed_in, episodes[0], {"outcome": "success", "tags": ["kept"]})
    assert Episode.objects.get(id=episodes[0].id).environment_outcome == "timeout"
    answer = _patch(signed_in, episodes[0], {"outcome": None}, over='"1"').json()
    assert Episode.objects.get(id=episodes[0].id).environment_outcome == ""
    assert (answer["outcome"], answer["outcome_source"], answer["outcome_reason"]) == (
        "timeout",
        "environment",
        "250 steps",
    )
    assert (answer["tags"], answer["revision"]) == (["kept"], 2)


def test_confirming_the_recorded_outcome_makes_it_a_person_s(signed_in: Client, episodes: list[Episode]) -> None:
    answer = _patch(signed_in, episodes[0], {"outcome": "timeout"}).json()
    assert (answer["outcome"], answer["outcome_source"], answer["revision"]) == ("timeout", "person", 1)


@pytest.mark.parametrize(
    ("over", "status", "code"),
    [
        (None, 428, "precondition_required"),
        ('"1"', 412, "precondition_failed"),
        ("0", 422, "invalid_request"),
        ("*", 422, "invalid_request"),
    ],
)
def test_nobody_s_label_is_overwritten_unseen(
    signed_in: Client, episodes: list[Episode], over: str | None, status: int, code: str
) -> None:
    answer = _patch(signed_in, episodes[0], {"comment": "x"}, over=over)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not EpisodeLabel.objects.exists()
    assert Episode.objects.get(id=episodes[0].id).comment == ""


def test_what_is_so_already_adds_no_revision(signed_in: Client, episodes: list[Episode]) -> None:
    assert _patch(signed_in, episodes[0], {"tags": []}).headers["ETag"] == '"0"'
    assert not EpisodeLabel.objects.exists()


def test_undo_adds_a_revision_and_can_be_undone(signed_in: Client, episodes: list[Episode]) -> None:
    _patch(signed_in, episodes[0], {"outcome": "failure", "tags": ["a"]})
    back = _undo(signed_in, episodes[0], over='"1"').json()
    assert (back["revision"], back["outcome"], back["outcome_source"], back["tags"]) == (
        2,
        "timeout",
        "environment",
        [],
    )
    assert Episode.objects.get(id=episodes[0].id).environment_outcome == ""
    again = _undo(signed_in, episodes[0], over='"2"').json()
    assert Episode.objects.get(id=episodes[0].id).environment_outcome == "timeout"
    assert (again["revision"], again["outcome"], again["tags"]) == (3, "failure", ["a"])
    assert [row["undoes"] for row in _history(signed_in, episodes[0])] == [2, 1, None, None]
    assert _undo(signed_in, episodes[0], over='"1"').status_code == 412


def test_nothing_to_undo(signed_in: Client, episodes: list[Episode]) -> None:
    answer = _undo(signed_in, episodes[0], over='"0"')
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_to_undo")


def test_texts_are_composed_and_trimmed(signed_in: Client, episodes: list[Episode]) -> None:
    tags = [" u\u0308ber ", "\u00fcber", "\U0001f468\u200d\U0001f373", "\u65e5\u672c"]
    answer = _patch(signed_in, episodes[0], {"tags": tags, "comment": "a\n\tb "}).json()
    assert answer["tags"] == ["\u00fcber", "\U0001f468\u200d\U0001f373", "\u65e5\u672c"]
    assert answer["comment"] == "a\n\tb"
    assert signed_in.get("/api/v1/episodes?tag=\u00fcber").json()["results"][0]["id"] == str(episodes[0].id)


@pytest.mark.parametrize(
    "change",
    [
        {"tags": ["a\nb"]},
        {"tags": ["a\x1bb"]},
        {"tags": ["\u202egnp.exe"]},
        {"tags": ["x" * 65]},
        {"tags": [" "]},
        {"tags": [str(k) for k in range(33)]},
        {"tags": "abc"},
        {"comment": "x" * 4001},
        {"comment": "a\x07"},
        {"comment": "nul\x00"},
        {"outcome": "great"},
        {"outcome": 1},
        {"outcome_reason": "why"},
        {"outcome": None, "outcome_reason": "why"},
        {"is_archived": "perhaps"},
        [],
    ],
)
def test_impossible_labels_are_refused(signed_in: Client, episodes: list[Episode], change: Any) -> None:
    answer = _patch(signed_in, episodes[0], change)
    assert answer.status_code in (400, 422), answer.content
    assert answer.json()["code"] in ("invalid", "invalid_request")
    assert not EpisodeLabel.objects.exists()


def test_bulk_labels_and_their_undo(signed_in: Client, episodes: list[Episode]) -> None:
    """What changed since stays; what was so already is no change."""
    _patch(signed_in, episodes[2], {"tags": ["night"]})
    ids = [str(row.id) for row in episodes]
    done = _bulk(signed_in, ids=ids, change={"add_tags": ["night"]}).json()
    assert (done["changed"], done["unchanged"]) == (2, 1)
    _patch(signed_in, episodes[1], {"comment": "later"}, over='"1"')
    back = signed_in.post(f"/api/v1/episodes/labels/{done['batch']}/undo").json()
    assert (back["changed"], back["unchanged"]) == (1, 1)
    assert [Episode.objects.get(id=row.id).tags for row in episodes] == [[], ["night"], ["night"]]
    assert signed_in.get("/api/v1/episodes?text=night").json()["results"][-1]["id"] == ids[1]


def test_bulk_by_filter(signed_in: Client, episodes: list[Episode]) -> None:
    _patch(signed_in, episodes[0], {"outcome": "success"})
    done = _bulk(signed_in, filter={"outcome": ["timeout"]}, change={"is_archived": True}).json()
    assert (done["changed"], Episode.objects.filter(is_archived=True).count()) == (2, 2)
    assert len(signed_in.get("/api/v1/episodes").json()["results"]) == 1
    again = _bulk(signed_in, filter={"outcome": ["timeout"]}, change={"is_archived": True})
    assert (again.status_code, again.json()["code"]) == (422, "invalid_request")


def test_bulk_outcome_and_back_to_what_was_recorded(signed_in: Client, episodes: list[Episode]) -> None:
    """An episode that nobody labelled keeps what was recorded."""
    ids = [str(row.id) for row in episodes]
    _bulk(signed_in, ids=ids[:2], change={"outcome": "failure"})
    done = _bulk(signed_in, ids=ids, change={"outcome": None}).json()
    assert (done["changed"], done["unchanged"]) == (2, 1)
    assert set(Episode.objects.values_list("outcome", "outcome_source")) == {("timeout", "environment")}


@pytest.mark.parametrize(
    "body",
    [
        {"change": {"add_tags": ["a"]}},
        {"ids": [], "change": {}},
        {"ids": ["x"], "change": {}},
        {"ids": [str(uuid.uuid4())] * (MAX_BULK + 1), "change": {}},
        {"ids": [str(uuid.uuid4())], "change": {"add_tags": ["a"]}},
        {"ids": [str(uuid.uuid4())], "filter": {}, "change": {}},
        {"filter": {"outcome": "timeout"}, "change": {}},
        {"filter": {}},
        {},
    ],
)
def test_impossible_bulk_changes_are_refused(signed_in: Client, episodes: list[Episode], body: Any) -> None:
    answer = _bulk(signed_in, **body)
    assert answer.status_code in (400, 422), answer.content
    assert not EpisodeLabel.objects.exists()


def test_only_who_made_a_bulk_change_undoes_it(
    signed_in: Client, bob: Client, admin_client: Client, episodes: list[Episode]
) -> None:
    done = _bulk(signed_in, ids=[str(episodes[0].id)], change={"is_archived": True}).json()
    url = f"/api/v1/episodes/labels/{done['batch']}/undo"
    assert bob.post(url).status_code == 404
    assert Episode.objects.get(id=episodes[0].id).is_archived
    assert admin_client.post(url).json()["changed"] == 1


def test_strangers_label_nothing(episodes: list[Episode]) -> None:
    assert _patch(Client(), episodes[0], {"comment": "x"}).status_code == 401
    assert _bulk(Client(), ids=[str(episodes[0].id)], change={"is_archived": True}).status_code == 401


def test_saved_filters_are_one_s_own(signed_in: Client, bob: Client) -> None:
    query = {"task": ["box-close"], "share_min": 0.5, "ended_from": "2026-01-01T00:00:00Z", "sort": "-share"}
    made = signed_in.post("/api/v1/saved-filters", {"name": "hard ones", "query": query}, JSON)
    assert (made.status_code, made.json()["query"]) == (201, query)
    signed_in.post("/api/v1/saved-filters", {"name": "hard ones", "query": {"text": "lid"}}, JSON)
    kept = signed_in.get("/api/v1/saved-filters").json()["results"]
    assert [(row["name"], row["query"]) for row in kept] == [("hard ones", {"text": "lid"})]
    assert bob.get("/api/v1/saved-filters").json() == {"results": []}
    assert bob.delete(f"/api/v1/saved-filters/{kept[0]['id']}").status_code == 404
    assert signed_in.delete(f"/api/v1/saved-filters/{kept[0]['id']}").status_code == 204
    assert not SavedFilter.objects.exists()


@pytest.mark.parametrize(
    "body", [{"name": "", "query": {}}, {"name": "a\nb", "query": {}}, {"name": "a", "query": {"outcome": ["x"]}}, {}]
)
def test_impossible_filters_are_not_kept(signed_in: Client, body: Any) -> None:
    assert signed_in.post("/api/v1/saved-filters", body, JSON).status_code == 400
    assert not SavedFilter.objects.exists()


def test_filters_are_bounded(signed_in: Client, django_user_model: Any) -> None:
    ann = django_user_model.objects.get(username="ann")
    SavedFilter.objects.bulk_create(SavedFilter(user=ann, name=str(k), query={}) for k in range(MAX_A_USER))
    refused = signed_in.post("/api/v1/saved-filters", {"name": "more", "query": {}}, JSON)
    assert (refused.status_code, refused.json()["field"]) == (422, "name")
    assert signed_in.post("/api/v1/saved-filters", {"name": "0", "query": {}}, JSON).status_code == 201
