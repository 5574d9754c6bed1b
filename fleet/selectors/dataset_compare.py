"""What differs between two versions of a dataset, or of two datasets."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.db import connection

MAX_LISTED = 200  # of each kind, in the order of export; all are counted

_DIFFERENCES = """
SELECT kind, episode_id, old_split, new_split, old_outcome, new_outcome, total FROM (
    SELECT d.*, COUNT(*) OVER (PARTITION BY kind) AS total,
           ROW_NUMBER() OVER (PARTITION BY kind ORDER BY place, episode_id) AS rank
    FROM (
        SELECT COALESCE(b.episode_id, a.episode_id) AS episode_id, COALESCE(b.position, a.position) AS place,
               a.split AS old_split, b.split AS new_split, a.outcome AS old_outcome, b.outcome AS new_outcome,
               CASE WHEN a.id IS NULL THEN 'added' WHEN b.id IS NULL THEN 'removed'
                    WHEN a.outcome <> b.outcome OR a.tags <> b.tags THEN 'relabelled'
                    WHEN a.split <> b.split THEN 'moved' END AS kind
        FROM (SELECT * FROM fleet_datasetepisode WHERE version_id = %s) AS a
        FULL JOIN (SELECT * FROM fleet_datasetepisode WHERE version_id = %s) AS b ON a.episode_id = b.episode_id
    ) AS d WHERE kind IS NOT NULL
) AS r WHERE rank <= %s ORDER BY kind, rank"""


@dataclass(frozen=True)
class EpisodeDifference:
    """Split and outcome are None where the version does not hold the episode."""

    episode: uuid.UUID
    old_split: str | None
    new_split: str | None
    old_outcome: str | None
    new_outcome: str | None


@dataclass(frozen=True)
class Difference:
    """`episodes`: the first MAX_LISTED of `count`."""

    count: int
    episodes: list[EpisodeDifference]


@dataclass(frozen=True)
class VersionsCompared:
    """From the old version to the new one. `relabelled`: outcome or tags; `moved`: nothing but the split."""

    added: Difference
    removed: Difference
    relabelled: Difference
    moved: Difference


def dataset_versions_compare(*, old: uuid.UUID, new: uuid.UUID) -> VersionsCompared:
    """Return what changes from one version to the other."""
    counts = dict.fromkeys(("added", "removed", "relabelled", "moved"), 0)
    listed: dict[str, list[EpisodeDifference]] = {kind: [] for kind in counts}
    with connection.cursor() as cursor:
        cursor.execute(_DIFFERENCES, [old, new, MAX_LISTED])
        for kind, *values, total in cursor.fetchall():
            counts[kind] = total
            listed[kind].append(EpisodeDifference(*values))
    return VersionsCompared(**{kind: Difference(counts[kind], listed[kind]) for kind in counts})
