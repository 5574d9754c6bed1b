"""Labels: what people say about episodes, one at a time or in bulk. Nothing is lost: every change adds a revision.

A person's outcome goes into the episode's row, where every selector reads it; what was recorded stays as revision 0.
Archived episodes leave the library's lists and nothing else: what learns from them is told by their outcome.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from django.contrib.auth.models import AbstractBaseUser
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from msgspec import UNSET, UnsetType

from fleet.access import coverage_of, may
from fleet.errors import InvalidRequest, NotFound, NothingToUndo
from fleet.events import hint_consoles
from fleet.models import Episode, EpisodeLabel
from fleet.permissions import Permission
from fleet.protocol.recording import Outcome, OutcomeSource
from fleet.services.audit import audit_record
from fleet.services.episode import episode_search_text
from fleet.services.revision import revision_check
from fleet.services.rollup import rollup_episodes_changed
from fleet.services.text import clean_text

logger = logging.getLogger(__name__)

MAX_TAGS = 32
MAX_TAG = 64
MAX_BULK = 5000
_CHUNK = 500
_FIELDS = ("outcome", "outcome_source", "outcome_reason", "tags", "comment", "is_archived")

_Changed = tuple[Episode, EpisodeLabel]  # as it is to be, and its label as it was


class LabelChange(msgspec.Struct, frozen=True, kw_only=True):
    """What to change; what is UNSET stays. `outcome` None: what was recorded counts again.

    `tags` replaces them all, `add_tags` and `remove_tags` change some, in this order.
    """

    outcome: Outcome | UnsetType | None = UNSET
    outcome_reason: str | UnsetType = UNSET
    tags: tuple[str, ...] | UnsetType = UNSET
    add_tags: tuple[str, ...] = ()
    remove_tags: tuple[str, ...] = ()
    comment: str | UnsetType = UNSET
    is_archived: bool | UnsetType = UNSET


@dataclass(frozen=True)
class BulkDone:
    """`changed` episodes have a new revision of this batch; `unchanged` were so already, or changed since (undo)."""

    batch: uuid.UUID
    changed: int
    unchanged: int


@transaction.atomic
def episode_label(
    *, episode_id: uuid.UUID, user: AbstractBaseUser, change: LabelChange, revision: int, at: datetime | None = None
) -> Episode:
    """Change the label that has `revision`, and return the episode; what is so already adds no revision.

    Raises: PreconditionFailed if somebody was quicker, InvalidRequest, NotFound.
    """
    change = _sound(change)
    episode = _lock(episode_id, revision)
    before = _fields(episode)
    _apply([episode], user, change, at or timezone.now(), batch=None)
    audit_record(action="episode.label", subject=episode, before=before, after=_fields(episode))
    return episode


@transaction.atomic
def episode_label_undo(
    *, episode_id: uuid.UUID, user: AbstractBaseUser, revision: int, at: datetime | None = None
) -> Episode:
    """Take the change `revision` back, and return the episode. Undoing that again brings the change back.

    Raises: PreconditionFailed, NothingToUndo, NotFound.
    """
    episode = _lock(episode_id, revision)
    if revision == 0:
        raise NothingToUndo("nobody has labelled this episode")
    before = _fields(episode)
    _restore([episode], user, at or timezone.now(), batch=None)
    audit_record(action="episode.label_undo", subject=episode, before=before, after=_fields(episode))
    return episode


@transaction.atomic
def episodes_label(
    *, episode_ids: Sequence[uuid.UUID], user: AbstractBaseUser, change: LabelChange, at: datetime | None = None
) -> BulkDone:
    """Change many labels at once, whatever their revisions. Raises: InvalidRequest if there are more than MAX_BULK."""
    if not 0 < len(episode_ids) <= MAX_BULK:
        raise InvalidRequest(f"a bulk change takes 1 to {MAX_BULK} episodes, not {len(episode_ids)}", field="ids")
    change, batch, now = _sound(change), uuid.uuid4(), at or timezone.now()
    changed = 0
    for episodes in _locked(episode_ids):
        changed += _apply(episodes, user, change, now, batch=batch)
    shown = {name: value for name, value in msgspec.to_builtins(change).items() if value not in ([], ())}
    _audit_bulk("episode.label_bulk", batch, {"change": shown, "changed": changed, "of": len(episode_ids)})
    logger.info("episodes labelled", extra={"event": {"batch": str(batch), "changed": changed}})
    return BulkDone(batch, changed, len(episode_ids) - changed)


@transaction.atomic
def episodes_label_undo(*, batch: uuid.UUID, user: AbstractBaseUser, at: datetime | None = None) -> BulkDone:
    """Take a bulk change back wherever nothing came after it. It is a bulk change itself, and can be undone.

    Episodes that the user does not see (any more) stay, and count neither as changed nor as unchanged.

    Raises: NotFound if this user (managers: anybody) made no such change.
    """
    made = EpisodeLabel.objects.filter(coverage_of(user).episodes("episode__"), batch=batch)
    if not may(user, Permission.UNDO_BULK):
        made = made.filter(by=user.pk)
    total = made.count()
    if total == 0:
        raise NotFound("there is no such bulk change of yours")
    ids = list(made.filter(episode__label_revision=F("revision")).values_list("episode_id", flat=True))
    back, now, undone = uuid.uuid4(), at or timezone.now(), 0
    for episodes in _locked(ids):
        # Looked at again now that they are locked.
        newest = made.filter(episode__in=episodes, revision=F("episode__label_revision"))
        own = set(newest.values_list("episode_id", flat=True))
        undone += _restore([episode for episode in episodes if episode.id in own], user, now, batch=back)
    _audit_bulk("episode.label_bulk_undo", back, {"undoes": batch, "changed": undone, "of": total})
    return BulkDone(back, undone, total - undone)


def _audit_bulk(action: str, batch: uuid.UUID, after: dict[str, object]) -> None:
    """One entry a batch: each episode's own history says what became of it."""
    audit_record(action=action, kind="episodes", name=f"batch {batch}", after=after)


def _fields(episode: Episode) -> dict[str, object]:
    return {field: getattr(episode, field) for field in _FIELDS}


def _lock(episode_id: uuid.UUID, revision: int) -> Episode:
    found = [episode for episodes in _locked([episode_id]) for episode in episodes]
    if not found:
        raise NotFound("there is no such episode")
    revision_check(found[0].label_revision, expected=revision)
    return found[0]


def _locked(ids: Sequence[uuid.UUID]) -> Iterator[list[Episode]]:
    """Yield the episodes in pieces, locked in one order, so that two bulk changes never wait for each other."""
    ordered = sorted(ids)
    for start in range(0, len(ordered), _CHUNK):
        rows = Episode.objects.select_for_update(of=("self",)).select_related("task", "robot").order_by("id")
        yield list(rows.filter(id__in=ordered[start : start + _CHUNK]))


def _apply(
    episodes: Sequence[Episode], user: AbstractBaseUser, change: LabelChange, now: datetime, *, batch: uuid.UUID | None
) -> int:
    """Write the change to locked episodes; return how many it changed."""
    recorded = _recorded(episodes) if change.outcome is None else {}
    changed: list[_Changed] = []
    for episode in episodes:
        before = _label(episode, episode.indexed_at)
        _change(episode, change, recorded.get(episode.id, before))
        if any(getattr(episode, field) != getattr(before, field) for field in _FIELDS):
            changed.append((episode, before))
    _write(changed, user, now, batch)
    return len(changed)


def _restore(episodes: Sequence[Episode], user: AbstractBaseUser, now: datetime, *, batch: uuid.UUID | None) -> int:
    """Write each locked episode's revision before the newest once more; return how many."""
    wanted = EpisodeLabel.objects.filter(episode__in=episodes, revision=F("episode__label_revision") - 1)
    earlier = {label.episode_id: label for label in wanted}
    changed: list[_Changed] = []
    for episode in episodes:
        changed.append((episode, _label(episode, now)))
        for field in _FIELDS:
            setattr(episode, field, getattr(earlier[episode.id], field))
    _write(changed, user, now, batch, is_undo=True)
    return len(changed)


def _write(
    changed: Sequence[_Changed],
    user: AbstractBaseUser,
    now: datetime,
    batch: uuid.UUID | None,
    *,
    is_undo: bool = False,
) -> None:
    """Give each episode, whose fields are changed already, its next revision."""
    if not changed:
        return
    labels = [before for _, before in changed if before.revision == 0]
    for episode, before in changed:
        if episode.outcome_source != before.outcome_source:
            is_person = episode.outcome_source == OutcomeSource.PERSON.value
            episode.environment_outcome = before.outcome if is_person else ""
        episode.label_revision += 1
        episode.search_text = episode_search_text(episode)
        label = _label(episode, now)
        label.by, label.by_name, label.batch = user, user.get_username(), batch  # type: ignore[assignment]
        label.undoes = before.revision if is_undo else None
        labels.append(label)
    EpisodeLabel.objects.bulk_create(labels)
    counted = [
        episode.id
        for episode, before in changed
        if (episode.outcome, episode.is_archived) != (before.outcome, before.is_archived)
    ]
    with rollup_episodes_changed(episode_ids=counted):
        _save([episode for episode, _ in changed])
    hint_consoles("metrics")  # outcomes are what the charts count


def _save(episodes: Sequence[Episode]) -> None:
    """Write what labels change in the rows. 5,000 took 7 s by `bulk_update`, all but 1 s of it in Python."""
    columns = (*_FIELDS, "environment_outcome", "label_revision", "search_text")
    assignments = ", ".join(f"{column} = %s" for column in columns)
    values = [[*(getattr(episode, column) for column in columns), episode.id] for episode in episodes]
    with connection.cursor() as cursor:
        cursor.executemany(f"UPDATE fleet_episode SET {assignments} WHERE id = %s", values)


def _label(episode: Episode, at: datetime) -> EpisodeLabel:
    values = {field: getattr(episode, field) for field in _FIELDS}
    return EpisodeLabel(episode=episode, revision=episode.label_revision, at=at, **values)


def _recorded(episodes: Sequence[Episode]) -> dict[uuid.UUID, EpisodeLabel]:
    return {label.episode_id: label for label in EpisodeLabel.objects.filter(episode__in=episodes, revision=0)}


def _change(episode: Episode, change: LabelChange, recorded: EpisodeLabel) -> None:
    if change.outcome is None:
        for field in ("outcome", "outcome_source", "outcome_reason"):
            setattr(episode, field, getattr(recorded, field))
    elif change.outcome is not UNSET:
        episode.outcome, episode.outcome_source = change.outcome.value, OutcomeSource.PERSON.value
        episode.outcome_reason = "" if change.outcome_reason is UNSET else change.outcome_reason
    if change.tags is not UNSET:
        episode.tags = list(change.tags)
    kept = [tag for tag in dict.fromkeys((*episode.tags, *change.add_tags)) if tag not in change.remove_tags]
    if len(kept) > MAX_TAGS:
        raise InvalidRequest(f"an episode has at most {MAX_TAGS} tags", field="tags")
    episode.tags = kept
    episode.comment = episode.comment if change.comment is UNSET else change.comment
    episode.is_archived = episode.is_archived if change.is_archived is UNSET else change.is_archived


def _sound(change: LabelChange) -> LabelChange:
    """Return the change with its texts in normal form. Raises: InvalidRequest."""
    if change.outcome_reason is not UNSET and (change.outcome is UNSET or change.outcome is None):
        raise InvalidRequest("a reason belongs to an outcome", field="outcome_reason")
    reason, comment = change.outcome_reason, change.comment
    return LabelChange(
        outcome=change.outcome,
        outcome_reason=reason
        if reason is UNSET
        else clean_text(reason, field="outcome_reason", limit=2000, allowed="\n\t"),
        tags=change.tags if change.tags is UNSET else _tags(change.tags),
        add_tags=_tags(change.add_tags),
        remove_tags=_tags(change.remove_tags),
        comment=comment if comment is UNSET else clean_text(comment, field="comment", limit=4000, allowed="\n\t"),
        is_archived=change.is_archived,
    )


def _tags(tags: Sequence[str]) -> tuple[str, ...]:
    cleaned = tuple(dict.fromkeys(clean_text(tag, field="tags", limit=MAX_TAG) for tag in tags))
    if "" in cleaned:
        raise InvalidRequest("a tag is not empty", field="tags")
    return cleaned
