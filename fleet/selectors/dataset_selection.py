"""Which episodes a version of a dataset would hold, and what they amount to, before anything is frozen."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from fleet.errors import InvalidRequest
from fleet.models import DatasetCandidate, Episode
from fleet.protocol.recording import Outcome
from fleet.selectors.dataset_split import Split, split_counts
from fleet.selectors.episode_filter import EpisodeFilter, episodes_filter

MAX_IDS = 10_000  # of one request; more are collected in pieces, or found by a filter
MAX_TASKS = 200  # counted in a preview
_COLUMNS = (
    "id",
    "task_id",
    "started_at",
    "outcome",
    "tags",
    "manifest_sha256",
    "steps",
    "human_steps",
    "size_bytes",
)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What a filter finds, or the episodes of `ids`, or with neither what was collected for the dataset.

    Archived episodes come only where a filter asks for them; of ids and collected ones they are left out, and counted.
    """

    filter: EpisodeFilter | None = None
    ids: tuple[uuid.UUID, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class SelectionCounts:
    """`terminated`: those that count in a success rate. `fingerprint` differs when episodes or labels do.

    `splits`: (name, episodes) in the order of export. `tasks`: (slug, episodes), the most frequent first.
    """

    episodes: int
    frames: int
    human_frames: int
    successes: int
    terminated: int
    size_bytes: int
    archived_left_out: int
    fingerprint: str
    splits: list[tuple[str, int]]
    tasks: list[tuple[str, int]]


def selected_episodes(rows: QuerySet[Episode], *, dataset_id: uuid.UUID, selection: Selection) -> QuerySet[Episode]:
    """Return those of `rows` that are selected. Raises: InvalidRequest for ids that nobody has."""
    if selection.filter is not None:
        return episodes_filter(rows, selection.filter)
    return _named(rows, dataset_id, selection).filter(is_archived=False)


def selection_counts(
    rows: QuerySet[Episode],
    *,
    dataset_id: uuid.UUID,
    selection: Selection,
    splits: tuple[Split, ...],
    is_stratified: bool,
) -> SelectionCounts:
    """Count what would be frozen. Raises: InvalidRequest."""
    statement, parameters = columns_of(selected_episodes(rows, dataset_id=dataset_id, selection=selection))
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT COUNT(*), COALESCE(SUM(steps), 0), COALESCE(SUM(human_steps), 0),
                   COUNT(*) FILTER (WHERE outcome = %s), COUNT(*) FILTER (WHERE outcome <> %s),
                   COALESCE(SUM(size_bytes), 0), {FINGERPRINT}
            FROM ({statement}) AS e""",
            [Outcome.SUCCESS.value, Outcome.ABORTED.value, *parameters],
        )
        episodes, frames, human, successes, terminated, size, mark = cursor.fetchone()
        cursor.execute(
            f"""
            SELECT t.slug, COUNT(*) FROM ({statement}) AS e JOIN fleet_task t ON t.id = e.task_id
            GROUP BY t.slug ORDER BY COUNT(*) DESC, t.slug""",
            parameters,
        )
        tasks: list[tuple[str, int]] = cursor.fetchall()
    return SelectionCounts(
        episodes=episodes,
        frames=int(frames),
        human_frames=int(human),
        successes=successes,
        terminated=terminated,
        size_bytes=int(size),
        archived_left_out=archived_left_out(rows, dataset_id=dataset_id, selection=selection),
        fingerprint=fingerprint_of(episodes, mark),
        splits=_split(splits, [count for _, count in tasks] if is_stratified else [episodes]),
        tasks=tasks[:MAX_TASKS],
    )


def archived_left_out(rows: QuerySet[Episode], *, dataset_id: uuid.UUID, selection: Selection) -> int:
    """Count the episodes that are named but archived."""
    if selection.filter is not None:
        return 0
    return _named(rows, dataset_id, selection).filter(is_archived=True).count()


# Over all selected rows, in any order: labels and manifests are what a freeze writes down.
FINGERPRINT = """COALESCE(SUM(hashtextextended(
    concat_ws('|', id, manifest_sha256, outcome, array_to_string(tags, '|')), 0)::numeric), 0)"""


def fingerprint_of(episodes: int, mark: Any) -> str:
    """Return the text that stands for a selection between its preview and its freezing."""
    return hashlib.sha256(f"{episodes}:{mark}".encode()).hexdigest()[:32]


def columns_of(rows: QuerySet[Episode]) -> tuple[str, Sequence[Any]]:
    """Return the query, with its parameters, for what freezing needs of the rows."""
    statement, parameters = rows.select_related(None).order_by().values(*_COLUMNS).query.sql_with_params()
    return str(statement), list(parameters)


def _named(rows: QuerySet[Episode], dataset_id: uuid.UUID, selection: Selection) -> QuerySet[Episode]:
    if selection.ids is None:
        return rows.filter(id__in=DatasetCandidate.objects.filter(dataset=dataset_id).values("episode"))
    wanted = set(selection.ids)
    if not 0 < len(wanted) <= MAX_IDS:
        raise InvalidRequest(f"name 1 to {MAX_IDS} episodes, not {len(wanted)}", field="ids")
    found = rows.filter(id__in=wanted)
    missing = wanted - set(found.order_by().values_list("id", flat=True))
    if missing:
        some = ", ".join(str(each) for each in sorted(missing)[:5])
        raise InvalidRequest(f"{len(missing)} of these episodes do not exist: {some}", field="ids")
    return found


def _split(splits: tuple[Split, ...], parts: list[int]) -> list[tuple[str, int]]:
    counts = [split_counts(part, splits) for part in parts]
    return [(split.name, sum(count[k] for count in counts)) for k, split in enumerate(splits)]
