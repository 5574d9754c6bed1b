"""Shadows: who may be one and where, what robots are told, what their reports come to, and how one ends."""

from __future__ import annotations

import math
import uuid
from datetime import timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from cryptography.exceptions import InvalidSignature
from django.db import IntegrityError, transaction
from django.utils import timezone

from fleet.errors import (
    InvalidRequest,
    NotFound,
    RobotRetired,
    ShadowBusy,
    ShadowEnded,
    ShadowMismatch,
    ShadowSameVersion,
    VersionUnusable,
)
from fleet.models import AuditEntry, Episode, PolicyVersion, Robot, RolloutEvent, Shadow, ShadowResult, ShadowRobot
from fleet.protocol.messages import (
    Distances,
    DriverInfo,
    ShadowEpisode,
    ShadowOrder,
    ShadowReport,
    ShadowState,
    ShadowWish,
)
from fleet.protocol.policy import policy_statement, shadow_statement
from fleet.selectors.robot import desired_state
from fleet.selectors.shadow import shadow_view
from fleet.services.policy import policy_version_publish
from fleet.services.robot import robot_hello
from fleet.services.rollout import release_strategy_set
from fleet.services.shadow import shadow_begin, shadow_end, shadow_episode_note, shadow_reported, shadows_sweep
from fleet.signing import signing_key_make, signing_keys
from fleet.storage.local import LocalStore
from tests.fleet import builders

pytestmark = pytest.mark.django_db

DAY = 86400.0


def publish(run: Any, step: int = 0, **changes: Any) -> PolicyVersion:
    manifest, blobs = builders.policy(run.id, step=step, value=float(step), **changes)
    return policy_version_publish(run_id=str(run.id), manifest_bytes=manifest, blobs=blobs)


def connect(robot: Robot, **changes: Any) -> None:
    hello = builders.hello(**({"capabilities": ("logs", "shadow")} | changes))
    robot_hello(robot_id=str(robot.id), session_id=str(uuid.uuid4()), hello=hello)


@pytest.fixture
def run(objects: LocalStore) -> Any:
    return builders.running_run()


@pytest.fixture
def robots() -> list[Robot]:
    found = [builders.enrol().robot for _ in range(3)]
    for robot in found:
        connect(robot)
    return found


@pytest.fixture
def candidate(run: Any, robots: list[Robot]) -> PolicyVersion:
    """Version 1; every robot shall drive with version 0."""
    publish(run)
    release_strategy_set(run_id=run.id, strategy="manual", revision=0)
    return publish(run, 25)


def begin(version: PolicyVersion, *robots: Robot, **changes: Any) -> Shadow:
    values: dict[str, Any] = {"duration_s": DAY, "max_episodes": 10, "robot_ids": [robot.id for robot in robots]}
    return shadow_begin(version_id=version.id, **(values | changes))


def order(robot: Robot) -> ShadowOrder | None:
    wish = desired_state(robot_id=str(robot.id)).shadow
    assert isinstance(wish, ShadowWish)
    return wish.order


def report(shadow: Shadow, robot: Robot, state: ShadowState, **values: Any) -> None:
    shadow_reported(robot_id=str(robot.id), report=ShadowReport(shadow_id=str(shadow.id), state=state, **values))


def distances(n: int, total: float) -> Distances:
    return Distances(proposals=n, total=total, p50=total / max(1, n), p95=total / max(1, n))


def proposed(shadow: Shadow, n: int = 4, total: float = 1.0, **changes: Any) -> ShadowEpisode:
    values: dict[str, Any] = {
        "shadow_id": str(shadow.id), "instants": n, "asked": n, "answered": n, "inference_ms": 3.0,
        "policy": distances(n, total), "human": distances(0, 0.0), "own": distances(0, 0.0),
    }  # fmt: skip
    return ShadowEpisode(**(values | changes))


_seq = iter(range(1, 10**6))


def episode(robot: Robot, task: Any, version: PolicyVersion | None = None, *, minute: int = 0) -> Episode:
    at = timezone.now() - timedelta(hours=3) + timedelta(minutes=minute)
    return Episode.objects.create(
        id=uuid.uuid4(), index_seq=next(_seq), origin="online", outcome="success", outcome_source="environment",
        robot=robot, task=task, policy_version=version, instruction="x", seed=0, steps=50, human_steps=0,
        control_rate_hz=10.0, started_at=at, ended_at=at + timedelta(seconds=5), indexed_at=at, manifest_key="k",
        manifest_sha256="a" * 64, size_bytes=1,
    )  # fmt: skip


# --- Beginning and ending --------------------------------------------------------------------------------------------


def test_robots_are_told_and_drive_with_what_they_did(candidate: PolicyVersion, robots: list[Robot]) -> None:
    before = [desired_state(robot_id=str(robot.id)) for robot in robots]
    shadow = begin(candidate, robots[0], share=0.5)
    told = order(robots[0])
    assert told is not None
    assert (told.shadow_id, told.policy.number, told.share, told.max_episodes) == (str(shadow.id), 1, 0.5, 10)
    assert abs(told.ends_ns / 1e9 - shadow.ends_at.timestamp()) < 1e-3
    assert order(robots[1]) is None
    after = [desired_state(robot_id=str(robot.id)) for robot in robots]
    assert [state.policy.number for state in after if state.policy] == [0, 0, 0]
    assert after[0].revision > before[0].revision and after[1].revision == before[1].revision
    assert RolloutEvent.objects.filter(kind="shadow", version=candidate).count() == 1
    assert AuditEntry.objects.filter(action="rollout.shadow").count() == 1

    shadow_end(shadow_id=shadow.id, reason="seen enough")
    assert order(robots[0]) is None
    with pytest.raises(ShadowEnded, match="seen enough"):
        shadow_end(shadow_id=shadow.id)
    with pytest.raises(NotFound):
        shadow_end(shadow_id=uuid.uuid4())
    assert AuditEntry.objects.filter(action="rollout.shadow_ended").count() == 1


def test_the_order_is_signed_as_one_to_shadow_alone(
    candidate: PolicyVersion, robots: list[Robot], settings: Any, tmp_path: Any
) -> None:
    settings.SOP_SIGNING_KEYS_FILE = str(tmp_path / "keys")
    signing_key_make(is_rotated=False)
    begin(candidate, robots[0])
    told = order(robots[0])
    assert told is not None
    names = {
        "robot_id": str(robots[0].id), "version_id": told.policy.version_id, "number": 1,
        "manifest_sha256": told.policy.manifest_sha256, "epoch": told.policy.epoch,
    }  # fmt: skip
    (key,) = signing_keys()
    public, signature = key.private.public_key(), bytes.fromhex(told.policy.signature)
    public.verify(signature, shadow_statement(**names))
    with pytest.raises(InvalidSignature):
        public.verify(signature, policy_statement(**names))


def test_an_older_daemon_gets_no_field_it_does_not_know(candidate: PolicyVersion, robots: list[Robot]) -> None:
    """And is shown as what it is, with its version."""
    connect(robots[0], capabilities=("logs",), daemon_version="0.0.9")
    shadow = begin(candidate, robots[0], robots[1])
    state = desired_state(robot_id=str(robots[0].id))
    assert state.shadow is msgspec.UNSET and b"shadow" not in msgspec.msgpack.encode(state)
    shown = {member.robot.id: member for member in shadow_view(shadow=shadow).members}
    assert shown[robots[0].id].state == "unsupported"
    assert shown[robots[0].id].text == "Does not shadow (daemon 0.0.9)."
    assert shown[robots[1].id].state == "starting"
    connect(robots[0])
    assert order(robots[0]) is not None, "it was upgraded meanwhile"


def test_by_tag_and_by_lot(candidate: PolicyVersion, robots: list[Robot]) -> None:
    Robot.objects.filter(id=robots[1].id).update(tags=["lab"])
    tagged = begin(candidate, robot_ids=None, tag="lab")
    assert [member.robot_id for member in tagged.members.all()] == [robots[1].id]
    by_lot = begin(candidate, robot_ids=None, robot_share=1.0)
    assert {member.robot_id for member in by_lot.members.all()} == {robots[0].id, robots[2].id}, "one is busy"
    with pytest.raises(InvalidRequest, match="carries the tag 'none'"):
        begin(candidate, robot_ids=None, tag="none")
    with pytest.raises(InvalidRequest, match="no robot could"):
        begin(candidate, robot_ids=None, robot_share=0.5)
    with pytest.raises(InvalidRequest, match="name robots"):
        begin(candidate, robot_ids=None)


def test_what_cannot_be_a_shadow_is_refused_and_nothing_is_written(
    run: Any, candidate: PolicyVersion, robots: list[Robot]
) -> None:
    other_axes = publish(run, 50, action_dim=7)
    other_camera = publish(run, 51, cameras=())
    of_tomorrow = publish(run, 52, architecture="of-tomorrow")
    current = PolicyVersion.objects.get(run=run, number=0)
    Robot.objects.filter(id=robots[2].id).update(retired_at=timezone.now())
    cases: list[tuple[type[Exception], PolicyVersion, Robot, str]] = [
        (ShadowMismatch, other_axes, robots[0], "7 actions"),
        (ShadowMismatch, of_tomorrow, robots[0], "cannot build 'of-tomorrow'"),
        (ShadowSameVersion, current, robots[0], "drives with version 0 itself"),
        (RobotRetired, candidate, robots[2], "is retired"),
    ]
    for kind, version, robot, text in cases:
        with pytest.raises(kind, match=text):
            begin(version, robot)
    assert begin(other_camera, robots[1]), "a version that looks at nothing fits everybody"
    with pytest.raises(ShadowBusy, match="shadows version 3 already"):
        begin(candidate, robots[0], robots[1])
    with pytest.raises(NotFound):
        begin(candidate, robot_ids=[uuid.uuid4()])
    assert Shadow.objects.count() == 1 and ShadowRobot.objects.count() == 1
    assert order(robots[0]) is None


def test_a_camera_of_another_size_is_another_observation(candidate: PolicyVersion, robots: list[Robot]) -> None:
    info = msgspec.to_builtins(builders.driver_info())
    small = msgspec.convert(info | {"cameras": [{"name": "front", "width": 64, "height": 64}]}, DriverInfo)
    connect(robots[0], driver=small)
    with pytest.raises(ShadowMismatch, match="no camera front of that size"):
        begin(candidate, robots[0])


def test_a_version_whose_weights_are_gone_is_refused(
    candidate: PolicyVersion, robots: list[Robot], objects: LocalStore
) -> None:
    objects.delete(candidate.manifest_key)
    with pytest.raises(VersionUnusable, match="deleted"):
        begin(candidate, robots[0])
    assert not Shadow.objects.exists()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"share": 0.0}, "share"),
        ({"share": 1.1}, "share"),
        ({"share": math.nan}, "share"),
        ({"duration_s": 1.0}, "duration_s"),
        ({"duration_s": math.inf}, "duration_s"),
        ({"max_episodes": 0}, "max_episodes"),
        ({"max_episodes": 10**9}, "max_episodes"),
        ({"robot_ids": None, "tag": "a\x00b"}, "tag"),
    ],
)
def test_bounds(candidate: PolicyVersion, robots: list[Robot], changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        begin(candidate, robots[0], **changes)
    assert caught.value.data["field"] == field
    assert not Shadow.objects.exists()


def test_the_database_holds_one_open_shadow_a_robot(candidate: PolicyVersion, robots: list[Robot]) -> None:
    begin(candidate, robots[0])
    other = Shadow.objects.create(version=candidate, max_episodes=1, ends_at=timezone.now() + timedelta(days=1))
    with pytest.raises(IntegrityError, match="shadow_one_open_a_robot"), transaction.atomic():
        ShadowRobot.objects.create(shadow=other, robot=robots[0])


def test_it_ends_by_itself(candidate: PolicyVersion, robots: list[Robot]) -> None:
    """By time, when its robots have their episodes, and when all refused it; with the reason in words."""
    late, done, refused = (begin(candidate, robot) for robot in robots)
    assert shadows_sweep() == 0
    Shadow.objects.filter(id=late.id).update(
        began_at=timezone.now() - timedelta(days=2), ends_at=timezone.now() - timedelta(seconds=1)
    )
    assert order(robots[0]) is None, "also before the sweep"
    report(done, robots[1], ShadowState.ENDED, episodes=10)
    report(refused, robots[2], ShadowState.REFUSED, code="shadow_memory", message="two do not fit")
    assert order(robots[1]) is None and order(robots[2]) is None
    assert shadows_sweep() == 3
    assert shadows_sweep() == 0
    reasons = [Shadow.objects.get(id=each.id).reason for each in (late, done, refused)]
    assert reasons == ["its time is over", "its robots have their episodes", "every robot refused it"]
    (member,) = shadow_view(shadow=Shadow.objects.get(id=refused.id)).members
    assert (member.state, member.text) == ("refused", "Refused (shadow_memory): two do not fit")
    assert begin(candidate, *robots), "they are free for another"


# --- Reports ---------------------------------------------------------------------------------------------------------


def test_reports_show_how_far_a_robot_is(candidate: PolicyVersion, robots: list[Robot]) -> None:
    shadow = begin(candidate, robots[0])
    for state, text in ((ShadowState.FETCHING, "Fetches and loads it."), (ShadowState.RUNNING, "Shadows.")):
        report(shadow, robots[0], state, episodes=2)
        (member,) = shadow_view(shadow=shadow).members
        assert (member.state, member.text, member.episodes) == (state.value, text, 2)
    for robot, shadow_id in ((robots[1], shadow.id), (robots[0], uuid.uuid4()), (robots[0], "x")):
        said = ShadowReport(shadow_id=str(shadow_id), state=ShadowState.RUNNING)
        with pytest.raises(NotFound):
            shadow_reported(robot_id=str(robot.id), report=said)
    shadow_end(shadow_id=shadow.id)
    report(shadow, robots[0], ShadowState.REFUSED, code="late")
    assert shadow.members.get().state == "running", "what comes afterwards changes nothing"


def test_one_that_drives_with_the_candidate_meanwhile_says_so(candidate: PolicyVersion, robots: list[Robot]) -> None:
    shadow = begin(candidate, robots[0])
    Robot.objects.filter(id=robots[0].id).update(policy_version=candidate)
    assert shadow_view(shadow=shadow).members[0].state == "same_version"


def test_an_episodes_distances_are_kept_once(candidate: PolicyVersion, robots: list[Robot]) -> None:
    """Also after the shadow's end: the robot may have been away."""
    shadow, row = begin(candidate, robots[0]), episode(robots[0], builders.task())
    names = {"robot_id": str(robots[0].id), "episode_id": str(row.id)}
    shadow_end(shadow_id=shadow.id)
    assert shadow_episode_note(found=proposed(shadow), **names)
    assert not shadow_episode_note(found=proposed(shadow, total=2.0), **names)
    kept = ShadowResult.objects.get()
    assert (kept.episode_id, kept.policy_n, kept.policy_total, kept.human_n) == (row.id, 4, 1.0, 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"instants": 3},
        {"answered": 3},
        {"instants": 51, "asked": 51},
        {"policy": Distances(proposals=4, total=8.1, p50=1.0, p95=1.0)},
        {"policy": Distances(proposals=4, total=math.nan, p50=1.0, p95=1.0)},
        {"policy": Distances(proposals=4, total=-1.0, p50=1.0, p95=1.0)},
        {"policy": Distances(proposals=0, total=0.0, p50=0.0, p95=3.0)},
        {"human": Distances(proposals=2, total=1.0, p50=0.5, p95=0.5)},
        {"inference_ms": math.inf},
        {"instants": 2**40, "asked": 2**40},
    ],
)
def test_numbers_that_cannot_be_are_refused(
    candidate: PolicyVersion, robots: list[Robot], changes: dict[str, Any]
) -> None:
    shadow, row = begin(candidate, robots[0]), episode(robots[0], builders.task())
    with pytest.raises(InvalidRequest):
        shadow_episode_note(robot_id=str(robots[0].id), episode_id=str(row.id), found=proposed(shadow, **changes))
    assert not ShadowResult.objects.exists()


def test_only_the_robots_own_episodes_count(candidate: PolicyVersion, robots: list[Robot]) -> None:
    shadow, task = begin(candidate, robots[0]), builders.task()
    foreign, own = episode(robots[1], task), episode(robots[0], task, candidate)
    cases = ((robots[0], foreign, NotFound), (robots[1], foreign, NotFound), (robots[0], own, InvalidRequest))
    for robot, row, kind in cases:
        with pytest.raises(kind):
            shadow_episode_note(robot_id=str(robot.id), episode_id=str(row.id), found=proposed(shadow))
    assert not ShadowResult.objects.exists()


# --- Figures ---------------------------------------------------------------------------------------------------------


def test_figures_are_of_proposals_and_their_interval_of_episodes(candidate: PolicyVersion, robots: list[Robot]) -> None:
    """The mean over proposals; the interval from the episodes' residuals, by an independent formula."""
    shadow = begin(candidate, robots[0], robots[1])
    tasks = [builders.task(slug) for slug in ("box-close", "shelf-place")]
    rng = np.random.default_rng(5)
    counts = rng.integers(2, 9, 30)
    totals = counts * rng.uniform(0.2, 0.4, 30)
    for index, (n, total) in enumerate(zip(counts, totals, strict=True)):
        row = episode(robots[index % 2], tasks[index % 2], minute=index)
        found = proposed(shadow, int(n), float(total), instants=int(n) + 3, asked=int(n) + 1)
        shadow_episode_note(robot_id=str(row.robot_id), episode_id=str(row.id), found=found)
    view = shadow_view(shadow=shadow)
    mean = totals.sum() / counts.sum()
    half = 1.959963984540054 * math.sqrt(((totals - mean * counts) ** 2).sum() * 30 / 29) / counts.sum()
    assert view.total.policy.value == pytest.approx(mean)
    assert (view.total.policy.low, view.total.policy.high) == (pytest.approx(mean - half), pytest.approx(mean + half))
    assert (view.total.episodes, view.total.policy_n, view.total.answered) == (30, counts.sum(), counts.sum())
    assert view.total.asked - view.total.answered == 30
    assert [(task.task, task.figures.episodes) for task in view.tasks] == [("box-close", 15), ("shelf-place", 15)]
    assert [point.figures.episodes for point in view.points] == [5] * 6
    assert all(one.until < two.began_at for one, two in zip(view.points, view.points[1:], strict=False))
    assert view.sentence.startswith(f"Version 1 proposed {counts.sum():,} times in 30 episodes, 30 skipped.")
    assert f"Its actions lay {mean:.3f} (95 % {mean - half:.3f} to {mean + half:.3f})" in view.sentence
    assert view.sentence.endswith("No human drove under a proposal.")


@pytest.mark.parametrize(
    ("human", "own", "says"),
    [
        (0.5, 0.9, "closer than the version that drove"),
        (0.9, 0.5, "further than"),
        (0.7, 0.7, "no difference is shown"),
    ],
)
def test_where_a_human_drove_both_are_compared_with_them(
    candidate: PolicyVersion, robots: list[Robot], human: float, own: float, says: str
) -> None:
    shadow, task = begin(candidate, robots[0]), builders.task()
    for index in range(8):
        row, noise = episode(robots[0], task, minute=index), 0.1 * (-1) ** index
        found = proposed(shadow, human=distances(2, 2 * human + noise), own=distances(2, 2 * own - noise))
        shadow_episode_note(robot_id=str(robots[0].id), episode_id=str(row.id), found=found)
    view = shadow_view(shadow=shadow)
    assert view.total.human.value == pytest.approx(human) and view.total.own.value == pytest.approx(own)
    assert view.total.closer.value == pytest.approx(own - human)
    assert (view.total.human_episodes, view.total.human_n) == (8, 16)
    assert says in view.sentence


def test_nothing_yet_is_said_in_words(candidate: PolicyVersion, robots: list[Robot]) -> None:
    shadow = begin(candidate, robots[0])
    view = shadow_view(shadow=shadow)
    assert (view.points, view.tasks, view.total.policy.value) == ([], [], None)
    assert view.sentence == "Version 1 has proposed nothing yet. 1 robot will shadow it, or do."
    shadow_end(shadow_id=shadow.id, reason="wrong one")
    assert shadow_view(shadow=Shadow.objects.get()).sentence == "Version 1 proposed nothing: wrong one"
