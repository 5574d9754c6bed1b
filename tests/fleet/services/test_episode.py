"""Registration makes an episode exist, once, or leaves nothing behind."""

from __future__ import annotations

import threading
from typing import Any

import msgspec
import numpy as np
import pytest
from django.db import connection

from fleet.errors import DuplicateEpisode, InvalidRequest, UnknownReference
from fleet.models import Episode, Segment
from fleet.protocol.errors import InvalidEpisode, InvalidManifest, ObjectMismatch
from fleet.protocol.recording import STEPS_OBJECT, EpisodeManifest, Outcome, OutcomeSource
from fleet.selectors.episode import episodes_for_learner
from fleet.services.episode import episode_register, episodes_mark_sampled
from fleet.services.episode_check import ObjectAbsent
from fleet.services.episode_upload import episode_upload_grant
from fleet.storage import keys
from fleet.storage.local import LocalStore
from tests.fleet import builders

pytestmark = pytest.mark.django_db


def _register(manifest: EpisodeManifest, robot: Any) -> Episode:
    return episode_register(robot_id=str(robot.id), manifest=manifest, uploaded_ns=manifest.ended_ns + 10**9)


def test_registers_an_episode_with_its_segments(objects: LocalStore) -> None:
    robot, task = builders.enrol().robot, builders.task()
    manifest, files = builders.episode(task, robot, steps=6, human=2)
    builders.store(manifest, files)

    row = _register(manifest, robot)

    assert (row.index_seq, row.steps, row.human_steps, row.outcome) == (1, 6, 2, "success")
    assert (row.uploaded_at - row.ended_at).total_seconds() == 1.0
    segments = list(row.segments.values_list("start", "end", "mode", "source"))
    assert segments == [(0, 4, "autonomous", "policy"), (4, 6, "teleop", "scripted")]


def test_a_registration_takes_few_statements(objects: LocalStore, django_assert_max_num_queries: Any) -> None:
    """What a fleet's episodes cost the database; docs/capacity.md counts on it."""
    robot, task = builders.enrol().robot, builders.task()
    manifest, files = builders.episode(task, robot, steps=6, human=2)
    builders.store(manifest, files)
    with django_assert_max_num_queries(14):  # three of them begin, save and end the transaction
        _register(manifest, robot)


def test_operator_s_word_on_the_outcome_and_the_environment_s_are_both_kept(objects: LocalStore) -> None:
    robot, task = builders.enrol().robot, builders.task()
    kept = []
    for said in (Outcome.SUCCESS, None):
        manifest, files = builders.episode(
            task, robot, outcome=Outcome.FAILURE, outcome_source=OutcomeSource.PERSON, environment_outcome=said
        )
        builders.store(manifest, files)
        row = _register(manifest, robot)
        kept.append((row.outcome, row.outcome_source, row.environment_outcome))
    assert kept == [("failure", "person", "success"), ("failure", "person", "")]


def test_registering_twice_is_one_registration(objects: LocalStore) -> None:
    robot, task = builders.enrol().robot, builders.task()
    manifest, files = builders.episode(task, robot)
    builders.store(manifest, files)
    assert _register(manifest, robot).indexed_at == _register(manifest, robot).indexed_at
    assert Episode.objects.count() == 1


def test_same_id_with_other_content_is_refused_and_the_first_stays(objects: LocalStore) -> None:
    robot, task = builders.enrol().robot, builders.task()
    manifest, files = builders.episode(task, robot)
    builders.store(manifest, files)
    _register(manifest, robot)
    with pytest.raises(DuplicateEpisode) as caught:
        _register(msgspec.structs.replace(manifest, outcome=Outcome.FAILURE), robot)
    assert caught.value.code == "duplicate_id"
    assert Episode.objects.get().outcome == "success"
    assert objects.exists(keys.episode_object(manifest.episode_id, STEPS_OBJECT))


def test_missing_object_may_be_sent_later(objects: LocalStore) -> None:
    robot, task = builders.enrol().robot, builders.task()
    manifest, files = builders.episode(task, robot)
    video = files.pop("front.mp4")
    builders.store(manifest, files)
    with pytest.raises(ObjectAbsent):
        _register(manifest, robot)
    assert Episode.objects.count() == 0
    builders.store(manifest, {"front.mp4": video})
    assert _register(manifest, robot).index_seq == 1


def _with(column: str, change: Any) -> dict[str, np.ndarray[Any, Any]]:
    arrays = builders.step_arrays(5)
    arrays[column] = change(arrays[column])
    return arrays


def _nan(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    values = values.copy()
    values[2] = np.nan
    return values


BAD_STEPS = {
    "nan": ("action", _nan),
    "wrong shape": ("action", lambda values: values[:, :3]),
    "wrong dtype": ("reward", lambda values: values.astype(np.float64)),
    "times run backwards": ("timestamp_s", lambda values: values[::-1].copy()),
    "unknown mode": ("mode", lambda values: values + 40),
}


@pytest.mark.parametrize("case", BAD_STEPS)
def test_invalid_steps_are_refused_and_nothing_stays(objects: LocalStore, case: str) -> None:
    robot, task = builders.enrol().robot, builders.task()
    manifest, files = builders.episode(task, robot, arrays=_with(*BAD_STEPS[case]))
    builders.store(manifest, files)
    with pytest.raises(InvalidEpisode):
        _register(manifest, robot)
    assert (Episode.objects.count(), Segment.objects.count()) == (0, 0)
    assert list(objects.list("episodes/")) == []


def test_object_whose_bytes_differ_is_refused_and_nothing_stays(objects: LocalStore) -> None:
    robot, task = builders.enrol().robot, builders.task()
    manifest, files = builders.episode(task, robot)
    builders.store(manifest, {**files, "front.mp4": b"x" * len(files["front.mp4"])})
    with pytest.raises(ObjectMismatch) as caught:
        _register(manifest, robot)
    assert not isinstance(caught.value, ObjectAbsent)
    assert Episode.objects.count() == 0
    assert list(objects.list("episodes/")) == []


def test_stored_manifest_must_be_the_announced_one(objects: LocalStore) -> None:
    robot, task = builders.enrol().robot, builders.task()
    manifest, files = builders.episode(task, robot)
    builders.store(manifest, files)
    with pytest.raises(ObjectMismatch):
        _register(msgspec.structs.replace(manifest, seed=8), robot)
    assert Episode.objects.count() == 0


def test_manifest_that_contradicts_itself_is_refused(objects: LocalStore) -> None:
    robot, task = builders.enrol().robot, builders.task()
    manifest, files = builders.episode(task, robot, human_steps=3)
    builders.store(manifest, files)
    with pytest.raises(InvalidManifest):
        _register(manifest, robot)
    assert Episode.objects.count() == 0


@pytest.mark.parametrize(
    "change",
    [
        {"robot_id": "0" * 8 + "-0000-0000-0000-" + "0" * 12},
        {"task_slug": "unknown"},
        {"policy_version_id": "0" * 8 + "-0000-0000-0000-" + "0" * 12},
        {"policy_version_id": "no uuid"},
    ],
)
def test_unknown_references_are_refused(objects: LocalStore, change: dict[str, Any]) -> None:
    robot, task = builders.enrol().robot, builders.task()
    manifest, files = builders.episode(task, robot, **change)
    builders.store(manifest, files)
    with pytest.raises(UnknownReference):
        _register(manifest, robot)
    assert Episode.objects.count() == 0


def test_upload_grant_names_what_is_stored_already(objects: LocalStore) -> None:
    robot, task = builders.enrol().robot, builders.task()
    manifest, files = builders.episode(task, robot)
    builders.store(manifest, {STEPS_OBJECT: files[STEPS_OBJECT]})
    targets = episode_upload_grant(episode_id=manifest.episode_id, objects=manifest.objects)
    assert {target.name: target.is_stored for target in targets} == {STEPS_OBJECT: True, "front.mp4": False}
    video = next(target for target in targets if target.name == "front.mp4")
    assert video.url.startswith(f"/objects/episodes/{manifest.episode_id}/front.mp4?")
    assert video.headers["X-Sop-Sha256"] == builders.record("front.mp4", files["front.mp4"]).sha256


@pytest.mark.parametrize("name", ["../secret", "a/b", "", "A.mp4", ".hidden"])
def test_upload_grant_refuses_impossible_names(objects: LocalStore, name: str) -> None:
    bad = builders.record(name, b"x")
    with pytest.raises(InvalidRequest):
        episode_upload_grant(episode_id="0" * 8 + "-0000-0000-0000-" + "0" * 12, objects=(bad,))


@pytest.mark.django_db(transaction=True)
def test_numbers_are_gapless_under_concurrent_registration(objects: LocalStore) -> None:
    """Given eight episodes registered at once, some twice, every one gets one number of 1..8."""
    robot, task = builders.enrol().robot, builders.task()
    manifests = []
    for _ in range(8):
        manifest, files = builders.episode(task, robot)
        builders.store(manifest, files)
        manifests.append(manifest)
    errors: list[Exception] = []

    def work(manifest: EpisodeManifest) -> None:
        try:
            _register(manifest, robot)
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(manifest,)) for manifest in [*manifests, *manifests[:4]]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert errors == []
    assert sorted(Episode.objects.values_list("index_seq", flat=True)) == list(range(1, 9))


def test_learner_sees_training_episodes_of_its_tasks_in_order(objects: LocalStore) -> None:
    robot, task, other = builders.enrol().robot, builders.task(), builders.task("drawer-open")
    run = builders.running_run(task_slugs=["box-close"])
    rows = []
    for kind, changes in (
        (task, {}),
        (other, {}),
        (task, {"outcome": Outcome.ABORTED}),
        (task, {"outcome": Outcome.FAILURE}),
    ):
        manifest, files = builders.episode(kind, robot, **changes)
        builders.store(manifest, files)
        rows.append(_register(manifest, robot))
    found = episodes_for_learner(run_id=str(run.id), after_seq=0, upto_seq=4)
    assert [row.id for row in found] == [str(rows[0].id), str(rows[3].id)]
    assert episodes_for_learner(run_id=str(run.id), after_seq=1, upto_seq=3) == []
    assert (found[0].task_slug, found[0].origin, found[0].outcome) == ("box-close", "online", "success")


def test_first_sampled_is_set_once(objects: LocalStore) -> None:
    robot, task = builders.enrol().robot, builders.task()
    manifest, files = builders.episode(task, robot)
    builders.store(manifest, files)
    row = _register(manifest, robot)
    assert episodes_mark_sampled(episode_ids=[str(row.id)]) == 1
    first = Episode.objects.get().first_sampled_at
    assert episodes_mark_sampled(episode_ids=[str(row.id)]) == 0
    assert Episode.objects.get().first_sampled_at == first


@pytest.mark.parametrize("change", [{"outcome_reason": "a\x00b"}, {"ended_ns": 10**21}])
def test_values_that_no_column_takes_are_refused_for_good(objects: LocalStore, change: dict[str, Any]) -> None:
    robot, task = builders.enrol().robot, builders.task()
    manifest, files = builders.episode(task, robot, **change)
    builders.store(manifest, files)
    with pytest.raises(InvalidManifest):
        _register(manifest, robot)
    assert Episode.objects.count() == 0
    assert list(objects.list("episodes/")) == []
