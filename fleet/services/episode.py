"""Episodes: their registration, which makes them exist. Where their objects go is `episode_upload.py`."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DataError, connection, transaction
from django.db.models import Max, QuerySet
from django.utils import timezone

from fleet.clock import from_ns
from fleet.errors import DuplicateEpisode, UnknownReference
from fleet.events import hint_consoles
from fleet.models import Episode, PolicyVersion, Robot, Segment, Task
from fleet.protocol.errors import InvalidManifest, RecordingError
from fleet.protocol.recording import (
    MANIFEST_OBJECT,
    EpisodeManifest,
    interventions_of,
    validate_manifest,
)
from fleet.selectors.objects import object_store
from fleet.services.episode_check import ObjectAbsent, episode_objects_check, manifest_sha256
from fleet.services.rollup import rollup_episodes_changed
from fleet.services.storage_guard import collections_counted, registration_lock
from fleet.services.webhook_event import episode_event
from fleet.storage import keys

logger = logging.getLogger(__name__)

# One statement: each by itself through the ORM costs a millisecond of the process, twice a registration.
_STANDING = """
SELECT COALESCE((SELECT max(index_seq) FROM fleet_episode), 0),
       COALESCE((SELECT collections FROM fleet_storagestate WHERE id = 1), 0),
       (SELECT manifest_sha256 FROM fleet_episode WHERE id = %s)
"""
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def episode_register(*, robot_id: str | None, manifest: EpisodeManifest, uploaded_ns: int | None) -> Episode:
    """Register an episode whose objects are stored; registering it again returns the same row.

    `robot_id`: the robot that asks, None for imports. Every object is read back and compared with the manifest, the
    steps are decoded and checked and the videos looked through, before anything is written.
    Raises: InvalidManifest, InvalidEpisode, InvalidVideo, ObjectMismatch, UnknownReference, DuplicateEpisode;
    ObjectAbsent and VideoCheckSlow, which may be tried again. After a refusal that is final nothing of the episode
    stays in the store.
    """
    try:
        validate_manifest(manifest)
        standing = _standing(manifest)
        if standing.is_known:
            return Episode.objects.get(id=manifest.episode_id)
        references = _references(robot_id, manifest)
        episode_objects_check(manifest)
        values = _values(manifest, uploaded_ns)
    except (ObjectAbsent, DuplicateEpisode):
        raise
    except RecordingError:
        _discard(manifest)
        raise
    try:
        return _insert(manifest, references, values, standing.collections)
    except (DataError, ValueError):  # numbers or characters (NUL) that no column takes: it can never be registered
        _discard(manifest)
        raise InvalidManifest("a value of the manifest does not fit the database", field="") from None


def episode_verify(*, manifest: EpisodeManifest) -> None:
    """Check an episode that is to be registered with others: its objects, steps and videos, and what it refers to.

    Raises: as `episode_register`. Nothing is removed.
    """
    validate_manifest(manifest)
    episode_objects_check(manifest)
    _values(manifest, None)


@transaction.atomic
def episodes_register_verified(*, manifests: Sequence[EpisodeManifest], tags: Sequence[str], collected: int) -> int:
    """Register imported episodes that `episode_verify` found sound, all at once; return how many were new.

    What is registered already stays as it is. `tags`: of the new ones, as if they had been recorded with them.
    `collected`: `collections_counted` before they were verified. Raises: UnknownReference, InvalidManifest,
    ObjectAbsent; nothing is registered then.
    """
    # As in `_insert`: numbers in commit order.
    registration_lock()
    ids = [manifest.episode_id for manifest in manifests]
    known = {str(pk) for pk in Episode.objects.filter(id__in=ids).values_list("id", flat=True)}
    fresh = [manifest for manifest in manifests if manifest.episode_id not in known]
    if collections_counted() != collected:
        for manifest in fresh:
            _check_presence(manifest)
    newest = _newest_seq()
    episodes = []
    for number, manifest in enumerate(fresh, start=newest + 1):
        episode = Episode(
            id=uuid.UUID(manifest.episode_id),
            index_seq=number,
            indexed_at=timezone.now(),
            tags=list(tags),
            **_references(None, manifest),
            **_values(manifest, None),
        )
        episode.search_text = episode_search_text(episode)
        episodes.append(episode)
    with rollup_episodes_changed(episode_ids=(), new_ids=[episode.id for episode in episodes]):
        Episode.objects.bulk_create(episodes, batch_size=500)
    rows = (row for e, m in zip(episodes, fresh, strict=True) for row in _segments_of(e, m))
    Segment.objects.bulk_create(rows, batch_size=2000)
    for episode in episodes:
        episode_event(episode=episode)
    hint_consoles("episodes")
    logger.info("episodes registered", extra={"event": {"new": len(fresh), "known": len(known)}})
    return len(fresh)


def episodes_mark_sampled(*, episode_ids: Sequence[str], at: datetime | None = None) -> int:
    """Note when the learner first drew from these episodes; later draws change nothing. Return how many were new."""
    fresh = Episode.objects.filter(id__in=list(episode_ids), first_sampled_at__isnull=True)
    return fresh.update(first_sampled_at=at or timezone.now())


def episode_search_text(episode: Episode) -> str:
    """Return what a search looks in, in lower case: task, instruction, robot, people, reason, tags, comment."""
    robot = episode.robot.name if episode.robot else ""
    words = (episode.task.slug, episode.instruction, robot, *episode.operators, episode.outcome_reason)
    return "\n".join(word for word in (*words, *episode.tags, episode.comment) if word).lower()


@dataclass(frozen=True)
class _Standing:
    """What a registration meets. `newest`: the highest number; `collections`: as `collections_counted`."""

    newest: int
    collections: int
    is_known: bool


def _standing(manifest: EpisodeManifest) -> _Standing:
    """Ask all of it at once. Raises: DuplicateEpisode if the id is registered with other content."""
    with connection.cursor() as cursor:
        cursor.execute(_STANDING, [manifest.episode_id])
        newest, collections, known_sha256 = cursor.fetchone()
    if known_sha256 not in (None, manifest_sha256(manifest)):
        raise DuplicateEpisode("an episode with this id and other content is registered", episode=manifest.episode_id)
    return _Standing(newest, collections, known_sha256 is not None)


def _references(robot_id: str | None, manifest: EpisodeManifest) -> dict[str, object]:
    """Return the rows the manifest names. Raises: UnknownReference."""
    if robot_id is not None and manifest.robot_id != robot_id:
        raise UnknownReference("the manifest names another robot than the one that sent it", field="robot_id")
    robot = _find(Robot.objects.only("name"), manifest.robot_id, "robot_id")
    version = _find(PolicyVersion.objects.only("id"), manifest.policy_version_id, "policy_version_id")
    task = Task.objects.filter(slug=manifest.task_slug).only("slug").first()
    if task is None or (manifest.task_id is not None and str(task.id) != manifest.task_id):
        raise UnknownReference(f"there is no task '{manifest.task_slug[:100]}' with this id", field="task_slug")
    if robot is None and manifest.origin.value == "online":
        raise UnknownReference("an online episode names its robot", field="robot_id")
    return {"robot": robot, "policy_version": version, "task": task}


def _find(
    rows: QuerySet[Robot] | QuerySet[PolicyVersion], row_id: str | None, field: str
) -> Robot | PolicyVersion | None:
    if row_id is None:
        return None
    row = rows.filter(id=row_id).first() if _UUID.fullmatch(row_id) else None
    if row is None:
        raise UnknownReference(f"the manifest's {field} is not known here", field=field)
    return row


def _check_presence(manifest: EpisodeManifest) -> None:
    """Look again for objects that were verified a moment ago. Raises: ObjectAbsent."""
    store = object_store()
    for name in (*(record.name for record in manifest.objects), MANIFEST_OBJECT):
        if not store.exists(keys.episode_object(manifest.episode_id, name)):
            raise ObjectAbsent(f"'{name}' is not stored any more", object=name)


def _values(manifest: EpisodeManifest, uploaded_ns: int | None) -> dict[str, object]:
    if any(segment.lease_epoch < 0 for segment in manifest.segments):
        raise InvalidManifest("a lease epoch is negative", field="segments")
    try:
        started_at, ended_at = from_ns(manifest.started_ns), from_ns(manifest.ended_ns)
        uploaded_at = from_ns(uploaded_ns) if uploaded_ns is not None else None
    except OverflowError:
        raise InvalidManifest("a time lies beyond the year 9999", field="ended_ns") from None
    return {
        "origin": manifest.origin.value,
        "outcome": manifest.outcome.value,
        "outcome_source": manifest.outcome_source.value,
        "outcome_reason": manifest.outcome_reason[:2000],
        "environment_outcome": manifest.environment_outcome.value if manifest.environment_outcome is not None else "",
        "instruction": manifest.instruction,
        "seed": manifest.seed,
        "steps": manifest.steps,
        "human_steps": manifest.human_steps,
        "interventions": interventions_of(manifest.segments),
        "control_rate_hz": manifest.control_rate_hz,
        "started_at": started_at,
        "ended_at": ended_at,
        "uploaded_at": uploaded_at,
        "manifest_key": keys.episode_object(manifest.episode_id, MANIFEST_OBJECT),
        "manifest_sha256": manifest_sha256(manifest),
        "size_bytes": sum(record.size for record in manifest.objects),
        "sources": sorted({segment.source.value for segment in manifest.segments}),
        "operators": sorted({segment.operator[:200] for segment in manifest.segments if segment.operator}),
    }


@transaction.atomic
def _insert(
    manifest: EpisodeManifest, references: dict[str, object], values: dict[str, object], collected: int
) -> Episode:
    # Numbers in commit order: a reader that saw number n must not find a smaller one later, or the learner,
    # which asks for what is newer than n, would never see it. A sequence alone does not give that.
    registration_lock()
    standing = _standing(manifest)
    if standing.is_known:
        return Episode.objects.get(id=manifest.episode_id)
    if standing.collections != collected:
        _check_presence(manifest)
    number = standing.newest + 1
    episode = Episode(
        id=uuid.UUID(manifest.episode_id), index_seq=number, indexed_at=timezone.now(), **references, **values
    )
    episode.search_text = episode_search_text(episode)
    episode.reset_ms = _reset_ms(episode)
    following = _following(episode)
    changed = [] if following is None else [following.id]
    with rollup_episodes_changed(episode_ids=changed, new_ids=[episode.id]):
        episode.save(force_insert=True)
        if following is not None:  # it was uploaded earlier, and took this episode's time for a reset
            following.reset_ms = _reset_ms(following)
            following.save(update_fields=["reset_ms"])
    Segment.objects.bulk_create(_segments_of(episode, manifest))
    episode_event(episode=episode)
    hint_consoles("episodes")
    logger.info(
        "episode registered",
        extra={"event": {"episode": manifest.episode_id, "seq": number, "outcome": episode.outcome}},
    )
    return episode


def _newest_seq() -> int:
    return Episode.objects.aggregate(newest=Max("index_seq"))["newest"] or 0


def _segments_of(episode: Episode, manifest: EpisodeManifest) -> list[Segment]:
    return [
        Segment(
            episode=episode,
            start=segment.start,
            end=segment.end,
            mode=segment.mode.value,
            source=segment.source.value,
            lease_epoch=segment.lease_epoch,
            operator=segment.operator[:200],
            reason=segment.reason[:2000],
        )
        for segment in manifest.segments
    ]


def _reset_ms(episode: Episode) -> int:
    """Return the time since the robot's episode before ended, by the robot's clock; see Episode."""
    earlier = Episode.objects.filter(robot=episode.robot_id, ended_at__lte=episode.started_at).exclude(id=episode.id)
    ended_at = earlier.order_by("-ended_at").values_list("ended_at", flat=True).first() if episode.robot_id else None
    if ended_at is None:
        return 0
    gap_s = (episode.started_at - ended_at).total_seconds()
    return round(gap_s * 1000) if gap_s <= settings.SOP_RESET_MAX_S else 0


def _following(episode: Episode) -> Episode | None:
    """Return the robot's episode after this one, locked, if it began soon enough to have counted a reset."""
    if episode.robot_id is None:
        return None
    horizon = episode.ended_at + timedelta(seconds=settings.SOP_RESET_MAX_S)
    later = Episode.objects.select_for_update(of=("self",)).filter(robot=episode.robot_id, started_at__lte=horizon)
    later = later.filter(started_at__gte=episode.ended_at, ended_at__gte=episode.ended_at)
    return later.only("robot", "started_at").order_by("ended_at").first()


def _discard(manifest: EpisodeManifest) -> None:
    """Remove the objects of an episode that was refused for good."""
    if not _UUID.fullmatch(manifest.episode_id) or Episode.objects.filter(id=manifest.episode_id).exists():
        return
    store, prefix = object_store(), keys.episode_object(manifest.episode_id, "")
    for key in list(store.list(prefix)):
        store.delete(key)
    store.abandon(prefix)
