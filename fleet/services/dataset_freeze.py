"""Freezing: a selection becomes a version that never changes.

Everything is read by one statement, so a label that somebody writes meanwhile is in the version or is not, and the
counts, splits and digest belong to the same rows. The rows stay in the database from selection to version: memory here
does not grow with them.

The split of an episode follows from the seed and its id alone: episodes are ordered by SHA-256 of "<seed>:<id>" and cut
at the shares, so the counts are exact, and adding episodes later moves none but those next to a cut.

The digest is the SHA-256 of lines of JSON: one of {"format", "seed", "splits", "stratified"}, then in the order of
export [episode id, SHA-256 of its manifest, split, outcome, tags] for each. It says nothing about the query or the
name: who freezes the same data in the same way gets the same digest.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import connection, transaction
from django.db.models import Max

from fleet.access import access_episodes
from fleet.errors import InvalidRequest, SelectionChanged, SelectionEmpty, SelectionTooLarge, SplitEmpty
from fleet.models import DatasetEpisode, DatasetVersion
from fleet.protocol.recording import Outcome
from fleet.queue import enqueue_dataset_describe
from fleet.selectors.dataset_overview import dataset_overview
from fleet.selectors.dataset_selection import (
    FINGERPRINT,
    Selection,
    archived_left_out,
    columns_of,
    fingerprint_of,
    selected_episodes,
)
from fleet.selectors.dataset_split import Split, sound_splits, split_counts
from fleet.services.audit import audit_record
from fleet.services.dataset import dataset_lock, dataset_notes, require_open
from fleet.services.dataset_card import dataset_card

logger = logging.getLogger(__name__)

DIGEST_FORMAT = "sop-dataset-1"
_ALL = uuid.UUID(int=0)  # the one part of an unstratified split
_PAGE = 5000


@dataclass(frozen=True)
class _Chosen:
    episodes: int
    frames: int
    human_frames: int
    successes: int
    terminated: int
    size_bytes: int
    fingerprint: str


@transaction.atomic
def dataset_freeze(
    *,
    dataset_id: uuid.UUID,
    user: AbstractBaseUser,
    selection: Selection,
    asked: Mapping[str, Any],
    splits: Mapping[str, float],
    seed: int,
    is_stratified: bool = False,
    notes: str = "",
    expected: str | None = None,
) -> DatasetVersion:
    """Freeze the selected episodes, as their labels are now, as the next version.

    `asked`: the query as JSON, kept as it is. `is_stratified`: cut each task's episodes by itself. `expected`: the
    fingerprint of the preview that a person agreed to. What is read from the steps is added in the background.
    Raises: NotFound, DatasetArchived, InvalidRequest, SelectionEmpty, SelectionTooLarge, SelectionChanged, SplitEmpty.
    """
    sound, cleaned = sound_splits(splits), dataset_notes(notes)
    if not -(2**63) <= seed < 2**63:
        raise InvalidRequest("the seed is a 64-bit number", field="seed")
    dataset = dataset_lock(dataset_id=dataset_id)
    require_open(dataset)
    rows = access_episodes(user)
    statement, parameters = columns_of(selected_episodes(rows, dataset_id=dataset.id, selection=selection))
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE dataset_chosen ON COMMIT DROP AS {statement}", parameters)
    chosen = _chosen()
    _require(chosen, expected)
    newest = dataset.versions.aggregate(newest=Max("number"))["newest"] or 0
    version = DatasetVersion.objects.create(
        dataset=dataset,
        number=newest + 1,
        query=dict(asked),
        seed=seed,
        is_stratified=is_stratified,
        notes=cleaned,
        frozen_by_id=user.pk,
        frozen_by_name=user.get_username(),
    )
    counts = _assign(version, sound)
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE dataset_chosen")
    left_out = archived_left_out(rows, dataset_id=dataset.id, selection=selection)
    _seal(version, chosen, sound, counts, left_out)
    enqueue_dataset_describe(version_id=str(version.id))
    event = {"dataset": dataset.name, "version": version.number, "episodes": chosen.episodes, "digest": version.digest}
    audit_record(
        action="dataset.freeze", subject=dataset, name=dataset.name,
        after={"version": version.number, "episodes": chosen.episodes, "digest": version.digest},
    )  # fmt: skip
    logger.info("dataset frozen", extra={"event": event})
    return version


def _chosen() -> _Chosen:
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT COUNT(*), COALESCE(SUM(steps), 0), COALESCE(SUM(human_steps), 0),
                   COUNT(*) FILTER (WHERE outcome = %s), COUNT(*) FILTER (WHERE outcome <> %s),
                   COALESCE(SUM(size_bytes), 0), {FINGERPRINT}
            FROM dataset_chosen""",
            [Outcome.SUCCESS.value, Outcome.ABORTED.value],
        )
        episodes, frames, human, successes, terminated, size, mark = cursor.fetchone()
    return _Chosen(episodes, int(frames), int(human), successes, terminated, int(size), fingerprint_of(episodes, mark))


def _require(chosen: _Chosen, expected: str | None) -> None:
    limit = settings.SOP_DATASET_EPISODES
    if expected is not None and chosen.fingerprint != expected:
        raise SelectionChanged("the episodes or their labels have changed since they were counted; look again")
    if chosen.episodes == 0:
        raise SelectionEmpty("there is no episode to freeze")
    if chosen.episodes > limit:
        raise SelectionTooLarge(f"a version holds at most {limit} episodes, not {chosen.episodes}", limit=limit)


def _assign(version: DatasetVersion, splits: tuple[Split, ...]) -> list[int]:
    """Write the version's episodes; return how many each split has. Raises: SplitEmpty."""
    part = "task_id" if version.is_stratified else f"'{_ALL}'::uuid"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {part} AS part, COUNT(*) FROM dataset_chosen GROUP BY part ORDER BY part")
        cuts, totals = _cuts(cursor.fetchall(), splits)
        empty = [split.name for split, total in zip(splits, totals, strict=True) if total == 0]
        if empty:
            raise SplitEmpty(f"no episode would be in: {', '.join(empty)}", splits=empty)
        places = ", ".join(["(%s::uuid, %s, %s, %s, %s)"] * len(cuts))
        cursor.execute(
            f"""
            INSERT INTO fleet_datasetepisode
                (version_id, episode_id, position, split, outcome, tags, manifest_sha256)
            SELECT %s, r.id, ROW_NUMBER() OVER (ORDER BY c.place, r.started_at, r.id) - 1,
                   c.split, r.outcome, r.tags, r.manifest_sha256
            FROM (
                SELECT *, {part} AS part, ROW_NUMBER() OVER (
                    PARTITION BY {part} ORDER BY sha256(convert_to(%s || id::text, 'UTF8')), id
                ) AS rank
                FROM dataset_chosen
            ) AS r
            JOIN (VALUES {places}) AS c(part, split, place, above, upto)
                ON c.part = r.part AND r.rank > c.above AND r.rank <= c.upto""",
            [version.id, f"{version.seed}:", *(value for cut in cuts for value in cut)],
        )
    return totals


def _cuts(parts: list[tuple[uuid.UUID, int]], splits: tuple[Split, ...]) -> tuple[list[tuple[Any, ...]], list[int]]:
    """Return (part, split, place, above, upto) for each part and split, and the splits' totals."""
    cuts: list[tuple[Any, ...]] = []
    totals = [0] * len(splits)
    for part, episodes in parts:
        above = 0
        for place, (split, count) in enumerate(zip(splits, split_counts(episodes, splits), strict=True)):
            cuts.append((part, split.name, place, above, above + count))
            above += count
            totals[place] += count
    return cuts, totals


def _seal(
    version: DatasetVersion, chosen: _Chosen, splits: tuple[Split, ...], counts: list[int], left_out: int
) -> None:
    version.splits = [
        {"name": split.name, "share": split.share, "episodes": count}
        for split, count in zip(splits, counts, strict=True)
    ]
    version.episodes_count, version.frames, version.human_frames = chosen.episodes, chosen.frames, chosen.human_frames
    version.successes, version.terminated, version.size_bytes = chosen.successes, chosen.terminated, chosen.size_bytes
    version.archived_left_out = left_out
    version.statistics = dataset_overview(version=version)
    version.digest = _digest(version, splits)
    version.card = dataset_card(version=version)
    version.described_at = version.frozen_at
    version.save()


def _digest(version: DatasetVersion, splits: tuple[Split, ...]) -> str:
    encode = msgspec.json.Encoder(order="sorted").encode
    head = {
        "format": DIGEST_FORMAT,
        "seed": version.seed,
        "splits": [[split.name, split.share] for split in splits],
        "stratified": version.is_stratified,
    }
    digest = hashlib.sha256(encode(head) + b"\n")
    rows = DatasetEpisode.objects.filter(version=version).order_by("position")
    names = ("episode_id", "manifest_sha256", "split", "outcome", "tags")
    for episode_id, manifest_sha256, split, outcome, tags in rows.values_list(*names).iterator(chunk_size=_PAGE):
        digest.update(encode([str(episode_id), manifest_sha256, split, outcome, sorted(tags)]) + b"\n")
    return digest.hexdigest()
