"""Shadows: beginning and ending them, and what robots report. No robot ever drives with what it shadows.

Robots are told on commit, and again with every state. Beginning locks the run's row first and robots after it, by id.
"""

from __future__ import annotations

import logging
import math
import random
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
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
from fleet.events import hint_consoles
from fleet.models import Episode, PolicyVersion, Robot, Shadow, ShadowResult, ShadowRobot
from fleet.protocol.errors import ArtifactMismatch
from fleet.protocol.messages import Distances, ShadowEpisode, ShadowReport, ShadowState
from fleet.protocol.policy import PolicyManifest, decode_policy_manifest
from fleet.selectors.objects import object_store
from fleet.selectors.rollout import desired_versions
from fleet.selectors.shadow import shadows_due
from fleet.services.robot import robots_bump
from fleet.services.rollout import record_event, version_usable
from fleet.services.text import clean_text, storable
from fleet.services.training import run_lock

logger = logging.getLogger(__name__)

MIN_S = 60.0
MAX_ROBOTS = 1000
TERMINAL = (ShadowState.REFUSED, ShadowState.ENDED)


@transaction.atomic
def shadow_begin(
    *,
    version_id: object,
    robot_ids: Sequence[uuid.UUID] | None = None,
    tag: str = "",
    robot_share: float | None = None,
    share: float = 1.0,
    duration_s: float,
    max_episodes: int,
    user: AbstractBaseUser | None = None,
) -> Shadow:
    """Let robots shadow a version: those named, else those tagged, else a share of those that could, by lot.

    `share`: of the replanning instants. It ends after `duration_s`, and on each robot after `max_episodes`.
    Raises: NotFound, InvalidRequest, VersionUnusable, RobotRetired, ShadowMismatch, ShadowSameVersion, ShadowBusy.
    """
    _check_bounds(share, duration_s, max_episodes)
    version = version_usable(version_id=version_id)
    manifest = _manifest(version)
    run_lock(run_id=version.run_id)  # before robots, as everywhere
    robots = list(Robot.objects.select_for_update().order_by("id"))
    problems = _problems(version, manifest, robots)
    chosen = _chosen(robots, problems, robot_ids, clean_text(tag, field="tag", limit=64), robot_share)
    for robot in chosen:
        if robot.id in problems:
            raise problems[robot.id]
    now = timezone.now()
    shadow = Shadow.objects.create(
        version=version,
        share=share,
        max_episodes=max_episodes,
        tag=tag.strip() if robot_ids is None else "",
        began_at=now,
        ends_at=now + timedelta(seconds=duration_s),
        by_name=user.get_username()[:150] if user is not None else "",
    )
    ShadowRobot.objects.bulk_create(ShadowRobot(shadow=shadow, robot=robot) for robot in chosen)
    record_event(version.run, "shadow", user=user, reason=f"on {len(chosen)} robots", version=version)
    robots_bump(robot_ids=[robot.id for robot in chosen])
    hint_consoles("metrics")
    return shadow


@transaction.atomic
def shadow_end(*, shadow_id: object, reason: str = "", user: AbstractBaseUser | None = None) -> Shadow:
    """End a shadow; its robots stop within moments. Raises: NotFound, ShadowEnded."""
    shadow = Shadow.objects.select_for_update(of=("self",)).select_related("version__run").filter(id=shadow_id).first()  # type: ignore[misc]
    if shadow is None:
        raise NotFound("there is no such shadow")
    if shadow.ended_at is not None:
        raise ShadowEnded(f"this shadow is over: {shadow.reason}")
    _end(shadow, clean_text(reason, field="reason", limit=2000) or "ended by hand", user=user)
    return shadow


def shadows_sweep() -> int:
    """End shadows whose time is over or whose robots have all they wanted; return how many. Called by `fleet.reap`."""
    now = timezone.now()
    ended = 0
    for due in list(shadows_due(now=now)):
        with transaction.atomic():
            shadow = Shadow.objects.select_for_update(of=("self",)).select_related("version__run").get(id=due.id)
            if shadow.ended_at is None:
                _end(shadow, _why_over(shadow, now), user=None)
                ended += 1
    return ended


def _why_over(shadow: Shadow, now: datetime) -> str:
    if shadow.ends_at <= now:
        return "its time is over"
    is_refused = not shadow.members.exclude(state=ShadowState.REFUSED).exists()
    return "every robot refused it" if is_refused else "its robots have their episodes"


def _end(shadow: Shadow, reason: str, *, user: AbstractBaseUser | None) -> None:
    """End a locked shadow."""
    now = timezone.now()
    open_ones = ShadowRobot.objects.filter(shadow=shadow, ended_at__isnull=True)
    robot_ids = list(open_ones.order_by("robot_id").values_list("robot_id", flat=True))
    open_ones.update(ended_at=now)
    shadow.ended_at, shadow.reason = max(now, shadow.began_at), reason
    shadow.save(update_fields=["ended_at", "reason"])
    record_event(shadow.version.run, "shadow ended", user=user, reason=reason, version=shadow.version)
    robots_bump(robot_ids=robot_ids)
    hint_consoles("metrics")


# --- What robots report ----------------------------------------------------------------------------------------------


@transaction.atomic
def shadow_reported(*, robot_id: str, report: ShadowReport) -> None:
    """Note how far a robot is. What comes of a shadow that is over changes nothing. Raises: NotFound."""
    member = _member(robot_id, report.shadow_id)
    if member is None:
        raise NotFound("this robot shadows no such version")
    if member.ended_at is not None:
        return
    is_refused = report.state is ShadowState.REFUSED
    member.state, member.code = report.state.value, (report.code or "refused")[:100] if is_refused else ""
    member.message = storable(report.message)[:2000] if is_refused else ""
    member.episodes = min(report.episodes, 2**31 - 1)
    member.reported_at = timezone.now()
    if report.state in TERMINAL:
        member.ended_at = member.reported_at
        robots_bump(robot_ids=[member.robot_id])
    member.save()
    hint_consoles("metrics")


@transaction.atomic
def shadow_episode_note(*, robot_id: str, episode_id: str, found: ShadowEpisode) -> bool:
    """Keep what a candidate proposed in a registered episode of this robot, once; whether it was new.

    It counts also when the shadow has ended meanwhile: the robot may have been away. Raises: NotFound, InvalidRequest.
    """
    member = _member(robot_id, found.shadow_id)
    episode = Episode.objects.filter(id=episode_id, robot_id=robot_id).first()
    if member is None or episode is None:
        raise NotFound("this robot has no such episode, or shadowed no such version")
    if episode.policy_version_id == member.shadow.version_id:
        raise InvalidRequest("a version is no shadow of itself", field="shadow_id")
    _check_counts(found, episode)
    row = {
        "shadow": member.shadow,
        "instants": found.instants,
        "asked": found.asked,
        "answered": found.answered,
        "inference_ms": found.inference_ms,
        "policy_n": found.policy.proposals,
        "human_n": found.human.proposals,
    }
    for name, distances in (("policy", found.policy), ("human", found.human), ("own", found.own)):
        row |= {f"{name}_{key}": getattr(distances, key) for key in ("total", "p50", "p95")}
    _, is_new = ShadowResult.objects.get_or_create(episode=episode, defaults=row)
    hint_consoles("metrics")
    return is_new


def _member(robot_id: str, shadow_id: str) -> ShadowRobot | None:
    try:
        rows = ShadowRobot.objects.select_for_update(of=("self",)).select_related("shadow")
        return rows.filter(robot_id=robot_id, shadow_id=uuid.UUID(shadow_id)).first()
    except ValueError:
        return None


def _check_counts(found: ShadowEpisode, episode: Episode) -> None:
    """Raises: InvalidRequest for numbers that no episode can give."""
    all_of_them = (found.policy, found.human, found.own)
    numbers = [found.inference_ms, *(value for each in all_of_them for value in (each.total, each.p50, each.p95))]
    is_finite = all(math.isfinite(value) and value >= 0 for value in numbers)
    is_ordered = max(found.policy.proposals, found.human.proposals) <= found.answered <= found.asked <= found.instants
    is_paired = found.human.proposals == found.own.proposals
    is_near = all(_is_near(each) for each in all_of_them)
    if not (is_finite and is_ordered and is_paired and is_near and found.instants <= episode.steps):
        raise InvalidRequest("these numbers of a shadow cannot be", field="shadow")


def _is_near(distances: Distances) -> bool:
    """Whether they can be distances of actions in [-1, 1]."""
    return distances.total <= 2 * distances.proposals + 1e-6 and max(distances.p50, distances.p95) <= 2 + 1e-6


# --- Which robots ----------------------------------------------------------------------------------------------------


def _check_bounds(share: float, duration_s: float, max_episodes: int) -> None:
    if not 0 < share <= 1:
        raise InvalidRequest("share must lie above 0 and at most at 1", field="share")
    if not MIN_S <= duration_s <= settings.SOP_SHADOW_MAX_S:
        text = f"duration_s must lie between {MIN_S:.0f} and {settings.SOP_SHADOW_MAX_S:.0f} seconds"
        raise InvalidRequest(text, field="duration_s")
    if not 1 <= max_episodes <= settings.SOP_SHADOW_MAX_EPISODES:
        text = f"max_episodes must lie between 1 and {settings.SOP_SHADOW_MAX_EPISODES}"
        raise InvalidRequest(text, field="max_episodes")


def _manifest(version: PolicyVersion) -> PolicyManifest:
    try:
        return decode_policy_manifest(object_store().get(version.manifest_key))
    except ArtifactMismatch as error:
        raise VersionUnusable(f"the manifest of version {version.number} is damaged: {error.message}") from None


Problem = RobotRetired | ShadowMismatch | ShadowSameVersion | ShadowBusy


def _problems(version: PolicyVersion, manifest: PolicyManifest, robots: Sequence[Robot]) -> dict[uuid.UUID, Problem]:
    """Return why a robot cannot shadow this version, for those that cannot. What a daemon can is not asked here."""
    desired = desired_versions(robots=robots)
    busy = dict(
        ShadowRobot.objects.filter(ended_at__isnull=True).values_list("robot_id", "shadow__version__number").distinct()
    )
    found: dict[uuid.UUID, Problem] = {}
    for robot in robots:
        difference = space_difference(manifest, robot)
        if robot.retired_at is not None:
            found[robot.id] = RobotRetired(f"{robot.name} is retired", field="robots")
        elif difference:
            text = f"{robot.name} cannot shadow version {version.number}: {difference}"
            found[robot.id] = ShadowMismatch(text, field="robots")
        elif version.id in (robot.policy_version_id, getattr(desired[robot.id].version, "id", None)):
            text = f"{robot.name} drives with version {version.number} itself, or shall"
            found[robot.id] = ShadowSameVersion(text, field="robots")
        elif robot.id in busy:
            found[robot.id] = ShadowBusy(f"{robot.name} shadows version {busy[robot.id]} already", field="robots")
    return found


def space_difference(manifest: PolicyManifest, robot: Robot) -> str:
    """Return in which way a version sees or does other things than this robot; "" if it fits, or was never connected.

    The robot checks the same again before it fetches a byte.
    """
    driver = robot.driver
    if not driver:
        return ""
    if manifest.architecture not in robot.architectures:
        return f"its daemon cannot build '{manifest.architecture}'"
    cameras = {(each["name"], each["height"], each["width"]) for each in driver.get("cameras", ())}
    missing = [each.name for each in manifest.cameras if (each.name, each.height, each.width) not in cameras]
    if missing:
        return f"it has no camera {', '.join(missing)} of that size"
    sizes = (len(driver.get("action_names", ())), len(driver.get("proprio_names", ())))
    if (manifest.action_dim, manifest.proprio_dim) != sizes:
        text = f"the version has {manifest.action_dim} actions and {manifest.proprio_dim} values of state"
        return f"{text}, the robot {sizes[0]} and {sizes[1]}"
    return ""


def _chosen(
    robots: Sequence[Robot],
    problems: dict[uuid.UUID, Problem],
    robot_ids: Sequence[uuid.UUID] | None,
    tag: str,
    robot_share: float | None,
) -> list[Robot]:
    """Return the robots meant. Raises: NotFound, InvalidRequest."""
    if robot_ids is not None:
        wanted = set(robot_ids)
        chosen = [robot for robot in robots if robot.id in wanted]
        if len(chosen) != len(wanted):
            raise NotFound("one of these robots does not exist")
    elif tag:
        chosen = [robot for robot in robots if tag in robot.tags and robot.retired_at is None and robot.is_approved]
    elif robot_share is not None and 0 < robot_share <= 1:
        able = [robot for robot in robots if robot.id not in problems and robot.is_approved]
        count = min(len(able), max(1, round(robot_share * len(able))))
        chosen = random.SystemRandom().sample(able, count)
    else:
        raise InvalidRequest("name robots, a tag, or a share of the robots above 0 and at most 1", field="robots")
    if not chosen:
        what = f"no robot that works carries the tag '{tag}'" if tag else "no robot could shadow this version"
        raise InvalidRequest(what, field="tag" if tag else "robots")
    if len(chosen) > MAX_ROBOTS:
        raise InvalidRequest(f"at most {MAX_ROBOTS} robots shadow one version", field="robots")
    return chosen
