"""The library over HTTP: what a filter finds, in which order, page by page, and how its facets count."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from fleet.models import Episode
from fleet.protocol.calibration import calibration_of
from fleet.protocol.recording import Outcome
from fleet.selectors.episode_page import SORT_NAMES
from fleet.services.episode_label import LabelChange, episodes_label
from fleet.services.policy import policy_version_publish
from fleet.services.storage_verify import storage_verify
from fleet.storage import keys
from fleet.storage.local import LocalStore
from tests.fleet import builders
from tests.fleet.api.episode_rows import end_one_minute_apart, register

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann(django_user_model: Any) -> Any:
    return django_user_model.objects.create_user("ann")


@pytest.fixture
def signed_in(client: Client, ann: Any) -> Client:
    client.force_login(ann)
    return client


@pytest.fixture
def library(objects: LocalStore, ann: Any) -> list[Episode]:
    """Four episodes: autonomous success, Bea helped in a failure, a long demonstration, and an archived timeout."""
    task, other = builders.task(), builders.task("drawer-open")
    arm, leg = builders.enrol("arm").robot, builders.enrol("leg").robot
    run = builders.running_run(name="night")
    manifest, blobs = builders.policy(run.id, step=7)
    version = policy_version_publish(run_id=str(run.id), manifest_bytes=manifest, blobs=blobs)
    rows = [
        register(task, arm, policy_version_id=str(version.id)),
        register(task, leg, human=2, operator="bea", outcome=Outcome.FAILURE, outcome_reason="Dropped the LID"),
        register(other, None, steps=9, human=9, operator="bea"),
        register(other, arm, outcome=Outcome.TIMEOUT),
    ]
    end_one_minute_apart(rows)
    change = LabelChange(tags=("blurred",), is_archived=True)
    episodes_label(episode_ids=[rows[3].id], user=ann, change=change)
    episodes_label(
        episode_ids=[rows[1].id], user=ann, change=LabelChange(tags=("blurred", "hard"), comment="Ünder light")
    )
    return rows


def _get(client: Client, path: str = "", **query: Any) -> Any:
    answer = client.get(f"/api/v1/episodes{path}?{urlencode(query, doseq=True)}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def _found(client: Client, library: list[Episode], **query: Any) -> list[int]:
    """Places in `library` of what a filter finds, in the order of the answer."""
    ids = [str(row.id) for row in library]
    return [ids.index(row["id"]) for row in _get(client, **query)["results"]]


@pytest.mark.parametrize(
    ("query", "places"),
    [
        ({}, [2, 1, 0]),
        ({"task": "box-close"}, [1, 0]),
        ({"task": ["box-close", "drawer-open"], "outcome": "success"}, [2, 0]),
        ({"robot": "none"}, [2]),
        ({"policy_version": "none"}, [2, 1]),
        ({"origin": "demonstration"}, [2]),
        ({"source": "policy"}, [1, 0]),
        ({"source": ["scripted"]}, [2, 1]),
        ({"operator": "bea"}, [2, 1]),
        ({"tag": "blurred"}, [1]),
        ({"tag": "blurred", "archived": "any"}, [3, 1]),
        ({"archived": "only"}, [3]),
        ({"share_min": 0.4, "share_max": 0.4}, [1]),
        ({"share_max": 0}, [0]),
        ({"text": "lid DROPPED"}, [1]),
        ({"text": "ünder"}, [1]),
        ({"text": "bea"}, [2, 1]),
        ({"text": "100%"}, []),
        ({"outcome_source": "person", "archived": "any"}, []),
        ({"sort": "-steps"}, [2, 1, 0]),
        ({"sort": "share"}, [0, 1, 2]),
        ({"sort": "ended"}, [0, 1, 2]),
    ],
)
def test_filters(signed_in: Client, library: list[Episode], query: dict[str, Any], places: list[int]) -> None:
    assert _found(signed_in, library, **query) == places


def test_what_the_store_lost_is_said_and_found(signed_in: Client, library: list[Episode], objects: LocalStore) -> None:
    """A verification marks it, the library finds it by the mark, and the mark goes when the object is back."""
    key = keys.episode_object(str(library[1].id), "front.mp4")
    video = objects.get(key)
    objects.delete(key)
    storage_verify()
    assert _found(signed_in, library, damaged="only") == [1]
    assert _found(signed_in, library, damaged="no") == [2, 0]
    assert _found(signed_in, library, damaged="any") == _found(signed_in, library) == [2, 1, 0]
    assert _get(signed_in, "/counts", damaged="only")["total"] == 1
    row = _get(signed_in, f"/{library[1].id}")
    assert (row["damage"], row["verified_at"] is None) == ("front.mp4 is missing", False)
    objects.put(key, video)
    storage_verify()
    assert _found(signed_in, library, damaged="only") == []
    assert _get(signed_in, f"/{library[1].id}")["damage"] == ""


def test_filters_by_ids_and_time(signed_in: Client, library: list[Episode]) -> None:
    """The end of a range of time is not in it."""
    assert _found(signed_in, library, robot=[str(library[0].robot_id), "none"]) == [2, 0]
    assert _found(signed_in, library, policy_version=str(library[0].policy_version_id)) == [0]
    span = {"ended_from": library[1].ended_at.isoformat(), "ended_until": library[2].ended_at.isoformat()}
    assert _found(signed_in, library, **span) == [1]


def test_a_row_says_what_the_table_shows(signed_in: Client, library: list[Episode]) -> None:
    row = _get(signed_in, text="lid")["results"][0]
    shown = {
        name: row[name] for name in ("robot_name", "task", "outcome", "outcome_source", "human_share", "operators")
    }
    assert shown == {
        "robot_name": "leg",
        "task": "box-close",
        "outcome": "failure",
        "outcome_source": "environment",
        "human_share": 0.4,
        "operators": ["bea"],
    }
    assert (row["tags"], row["comment"], row["label_revision"]) == (["blurred", "hard"], "Ünder light", 1)
    first = _get(signed_in, task="box-close", outcome="success")["results"][0]
    assert (first["policy_number"], first["run_name"]) == (0, "night")


@pytest.mark.parametrize("sort", SORT_NAMES)
def test_pages_lead_through_everything_and_back(signed_in: Client, objects: LocalStore, sort: str) -> None:
    """Many rows share a sort value; each comes once, in the order of a single page, and the same backwards."""
    task, robot = builders.task(), builders.enrol().robot
    for human in (0, 2, 0, 2, 2, 0, 0):
        register(task, robot, human=human)
    Episode.objects.filter(index_seq__gt=2).update(ended_at=Episode.objects.get(index_seq=7).ended_at)
    whole = [row["id"] for row in _get(signed_in, sort=sort)["results"]]
    assert len(set(whole)) == 7
    page = _get(signed_in, sort=sort, page_size=3)
    pages = [page]
    while page["next"]:
        page = signed_in.get(page["next"]).json()
        pages.append(page)
    assert [row["id"] for each in pages for row in each["results"]] == whole
    assert [len(each["results"]) for each in pages] == [3, 3, 1]
    assert (pages[0]["previous"], pages[2]["next"]) == (None, None)
    back = signed_in.get(pages[2]["previous"]).json()
    assert back["results"] == pages[1]["results"]
    first = signed_in.get(back["previous"]).json()
    assert (first["results"], first["previous"]) == (pages[0]["results"], None)


def test_a_new_episode_does_not_move_the_next_page(signed_in: Client, library: list[Episode]) -> None:
    page = _get(signed_in, page_size=2)
    register(builders.task("third"), builders.enrol().robot)
    following = signed_in.get(page["next"]).json()
    assert [row["id"] for row in following["results"]] == [str(library[0].id)]


@pytest.mark.parametrize("cursor", ["x", "!!!!", "W10", "WyItcmVnaXN0ZXJlZCIsZmFsc2UsMSwtMV0", "é"])
def test_made_up_cursors_are_refused(signed_in: Client, cursor: str) -> None:
    answer = signed_in.get(f"/api/v1/episodes?{urlencode({'cursor': cursor})}")
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "invalid_request", "cursor")


def test_a_cursor_of_another_order_is_refused(signed_in: Client, library: list[Episode]) -> None:
    following = _get(signed_in, page_size=1, sort="-ended")["next"].replace("sort=-ended", "sort=steps")
    assert signed_in.get(following).status_code == 422


@pytest.mark.parametrize(
    "query",
    [
        {"outcome": "great"},
        {"robot": "arm"},
        {"share_min": 2},
        {"share_min": "nan"},
        {"ended_from": "yesterday"},
        {"sort": "name"},
        {"page_size": 201},
        {"text": "x" * 201},
        {"text": "a\x00"},
        {"tag": [f"t{k}" for k in range(51)]},
        {"archived": "maybe"},
        {"damaged": "yes"},
    ],
)
def test_impossible_questions_are_refused(signed_in: Client, query: dict[str, Any]) -> None:
    answer = signed_in.get(f"/api/v1/episodes?{urlencode(query, doseq=True)}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid"), answer.content


def _facet(counts: Any, name: str) -> dict[str, int]:
    return {value["label"]: value["count"] for value in counts["facets"][name]}


def test_counts_of_everything(signed_in: Client, library: list[Episode]) -> None:
    counts = _get(signed_in, "/counts")
    assert counts["total"] == 3
    assert _facet(counts, "task") == {"box-close": 2, "drawer-open": 1}
    assert _facet(counts, "robot") == {"arm": 1, "leg": 1, "none": 1}
    assert _facet(counts, "policy_version") == {"none": 2, "v0 of night": 1}
    assert _facet(counts, "outcome") == {"success": 2, "failure": 1}
    assert _facet(counts, "source") == {"policy": 2, "scripted": 2}
    assert (_facet(counts, "operator"), _facet(counts, "tag")) == ({"bea": 2}, {"blurred": 1, "hard": 1})


def test_a_facet_counts_without_its_own_choice(signed_in: Client, library: list[Episode]) -> None:
    """The other tasks stay choosable; every other facet counts what is left; what is chosen stays, even at none."""
    counts = _get(signed_in, "/counts", task="box-close", outcome=["success", "aborted"])
    assert counts["total"] == 1
    assert _facet(counts, "task") == {"box-close": 1, "drawer-open": 1}
    assert _facet(counts, "outcome") == {"success": 1, "failure": 1, "aborted": 0}
    assert _facet(counts, "robot") == {"arm": 1}
    assert counts["facets"]["task"][0]["value"] == "box-close"


def test_counts_with_every_facet_chosen(signed_in: Client, library: list[Episode]) -> None:
    chosen = {
        "task": "box-close",
        "robot": str(library[1].robot_id),
        "policy_version": "none",
        "outcome": "failure",
        "outcome_source": "environment",
        "origin": "online",
        "source": "policy",
        "operator": "bea",
        "tag": "hard",
    }
    counts = _get(signed_in, "/counts", **chosen)
    assert (counts["total"], _facet(counts, "tag")) == (1, {"blurred": 1, "hard": 1})


def test_nothing_is_found_in_an_empty_library(signed_in: Client) -> None:
    assert _get(signed_in) == {"next": None, "previous": None, "results": []}
    counts = _get(signed_in, "/counts", task="box-close")
    assert (counts["total"], _facet(counts, "task")) == (0, {"box-close": 0})


def test_detail_says_what_was_recorded(signed_in: Client, library: list[Episode]) -> None:
    body = _get(signed_in, f"/{library[1].id}")
    assert [(part["start"], part["end"], part["operator"]) for part in body["segments"]] == [(0, 3, ""), (3, 5, "bea")]
    recording = body["recording"]
    assert (recording["driver"], recording["outcome"]) == ("metaworld", "failure")
    assert recording["action_names"] == ["x", "y", "z", "gripper"]
    url = f"/api/v1/episodes/{library[1].id}/files/front.mp4"
    assert recording["cameras"] == [{"name": "front", "width": 128, "height": 128, "url": url}]
    assert [file["name"] for file in recording["files"]] == ["steps.parquet", "front.mp4"]
    assert (body["label"]["revision"], body["recording_problem"]) == (1, None)
    assert _get(signed_in, f"/{library[3].id}")["is_archived"] is True
    assert recording["calibration"] is None


def test_detail_shows_the_calibration_as_it_was_declared(signed_in: Client, objects: LocalStore) -> None:
    calibration = calibration_of({"front": {"focal_px": [610.5, 611]}})
    episode = register(builders.task(), builders.enrol().robot, calibration=calibration)
    found = _get(signed_in, f"/{episode.id}")["recording"]["calibration"]
    assert found == {"document": '{"front":{"focal_px":[610.5,611]}}', "sha256": calibration.sha256}


@pytest.mark.parametrize(
    ("damage", "code"), [(None, "object_missing"), (b"{}", "invalid_manifest"), (b"swap", "object_mismatch")]
)
def test_detail_without_its_manifest(
    signed_in: Client, library: list[Episode], objects: LocalStore, damage: bytes | None, code: str
) -> None:
    """The rows are shown, and why the rest is not."""
    key = keys.episode_object(str(library[0].id), "manifest.json")
    other = keys.episode_object(str(library[1].id), "manifest.json")
    if damage is None:
        objects.delete(key)
    else:
        objects.put(key, objects.get(other) if damage == b"swap" else damage)
    body = _get(signed_in, f"/{library[0].id}")
    assert (body["outcome"], body["recording"], body["recording_problem"]["code"]) == ("success", None, code)


@pytest.mark.parametrize("path", ["", "/counts", f"/{uuid.UUID(int=1)}", f"/{uuid.UUID(int=1)}/steps"])
def test_strangers_see_nothing(path: str) -> None:
    assert Client().get(f"/api/v1/episodes{path}").status_code == 401


@pytest.mark.parametrize("path", ["", "/steps", "/files/front.mp4", "/label", "/label/history"])
def test_unknown_episodes(signed_in: Client, path: str) -> None:
    answer = signed_in.get(f"/api/v1/episodes/{uuid.uuid4()}{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_last_seconds_of_a_share(signed_in: Client, library: list[Episode]) -> None:
    """Dates may be given in any zone."""
    later = (library[2].ended_at + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%S.%f") + "+00:00"
    assert _found(signed_in, library, ended_from=later) == []
