"""What the object store holds and which rows name it: the kinds of objects, and what each kind is kept for.

A kind is a prefix of keys with the question that its rows answer. Prefixes that no kind names are counted and never
touched. To add one: a line in KINDS.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db.models import Count, Max, OuterRef, Subquery, Sum, TextField
from django.db.models.functions import Cast

from fleet.models import (
    DatasetImport,
    Episode,
    Export,
    PolicyVersion,
    ReleaseTrack,
    Robot,
    Rollout,
    StorageState,
    TrainingRound,
    TrainingRun,
)
from fleet.storage import keys

Named = Callable[[Sequence[str]], set[str]]
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Kind:
    """`named`: which of these keys (all below `prefix`) a row names, or keeps for another reason."""

    name: str
    prefix: str
    named: Named


def storage_state() -> StorageState:
    """Return the row, or one with nothing in it."""
    return StorageState.objects.filter(id=1).first() or StorageState(id=1)


def usage_by_task() -> list[dict[str, object]]:
    """Return registered episodes and their bytes by task, the largest first."""
    rows = Episode.objects.order_by().values("task__slug").annotate(episodes=Count("id"), bytes=Sum("size_bytes"))
    return [
        {"task": row["task__slug"], "episodes": row["episodes"], "bytes": row["bytes"] or 0}
        for row in rows.order_by("-bytes", "task__slug")
    ]


def _of_episodes(found: Sequence[str]) -> set[str]:
    """All objects of a registered episode, also what its manifest does not name."""
    return _by_part(found, 1, lambda ids: Episode.objects.filter(id__in=ids).values_list("id", flat=True))


def _of_manifests(found: Sequence[str]) -> set[str]:
    return set(PolicyVersion.objects.filter(manifest_key__in=found).values_list("manifest_key", flat=True))


def _of_blobs(found: Sequence[str]) -> set[str]:
    wanted = {key.rpartition("/")[2].partition(".")[0]: key for key in found}
    rows = PolicyVersion.objects.filter(blobs__has_any_keys=list(wanted)).values_list("blobs", flat=True)
    return {wanted[sha256] for blobs in rows.iterator() for sha256 in blobs if sha256 in wanted}


def _of_patches(found: Sequence[str]) -> set[str]:
    """Patches from the version before to one of the newest SOP_PATCH_VERSIONS of its run, or to or from one in use."""
    wanted = {key.split("/")[2] for key in found if key.count("/") == 3}
    newest = PolicyVersion.objects.filter(run=OuterRef("run")).order_by().values("run").annotate(most=Max("number"))
    rows = PolicyVersion.objects.filter(blobs__has_any_keys=sorted(wanted)).annotate(
        newest=Subquery(newest.values("most")[:1])
    )
    in_use, kept = _versions_in_use(), set[str]()
    for row in rows.iterator():
        before = PolicyVersion.objects.filter(run=row.run_id, number=row.number - 1).first()
        is_new = row.number > row.newest - settings.SOP_PATCH_VERSIONS
        if before is not None and (is_new or not in_use.isdisjoint((row.id, before.id))):
            kept |= {keys.policy_patch(base, sha256) for sha256 in row.blobs for base in before.blobs}
    return kept.intersection(found)


def _versions_in_use() -> set[uuid.UUID]:
    """What a robot drives with, is pinned to, or gets by its run's track or an open rollout."""
    robots = Robot.objects.filter(retired_at__isnull=True).values_list("policy_version_id", "pinned_version_id")
    trying = Rollout.objects.filter(state__in=Rollout.OPEN).values_list("candidate_id", "baseline_id")
    current = ReleaseTrack.objects.filter(current__isnull=False).values_list("current_id", "current_id")
    return {version_id for row in (*robots, *trying, *current) for version_id in row if version_id is not None}


def _of_runs(found: Sequence[str]) -> set[str]:
    """The newest committed checkpoint of each run, and sidecars of episodes that exist; all else of a run goes."""
    checkpoints = [key for key in found if "/checkpoints/" in key]
    newest = TrainingRound.objects.filter(run=OuterRef("pk"), committed_at__isnull=False).order_by("-index")
    runs = TrainingRun.objects.annotate(newest=Subquery(newest.values("checkpoint_key")[:1]))
    kept = set(runs.filter(newest__in=checkpoints).values_list("newest", flat=True))
    sidecars = [key for key in found if "/sidecars/" in key]
    of_runs = _by_part(sidecars, 1, lambda ids: TrainingRun.objects.filter(id__in=ids).values_list("id", flat=True))
    return kept | _by_part(
        sorted(of_runs), 3, lambda ids: Episode.objects.filter(id__in=ids).values_list("id", flat=True)
    )


def _of_training_files(found: Sequence[str]) -> set[str]:
    """Files that the configuration of any run names by their SHA-256."""
    configs = TrainingRun.objects.annotate(text=Cast("config", TextField())).values_list("text", flat=True)
    left, kept = {key.rpartition("/")[2]: key for key in found}, set()
    for text in configs.iterator():
        kept |= {key for sha256, key in left.items() if sha256 in text}
    return kept


def _of_imports(found: Sequence[str]) -> set[str]:
    """Archives of imports that are not over. What a running one has staged below episodes/ is young by itself."""
    under_way = DatasetImport.objects.exclude(state__in=DatasetImport.ENDED)
    return _by_part(found, 1, lambda ids: under_way.filter(id__in=ids).values_list("id", flat=True))


def _of_exports(found: Sequence[str]) -> set[str]:
    """All files of an export that has a row: its row is there before them, and removed after them."""
    return _by_part(found, 1, lambda ids: Export.objects.filter(id__in=ids).values_list("id", flat=True))


def _by_part(found: Sequence[str], part: int, existing: Callable[[list[str]], Iterable[uuid.UUID]]) -> set[str]:
    """Return the keys whose path has, at this place, the id of a row that exists; "id.safetensors" counts as the id."""
    ids = {key: key.split("/")[part].partition(".")[0] for key in found if key.count("/") >= part}
    sound = sorted({text for text in ids.values() if _UUID.fullmatch(text)})
    there = {str(row_id) for row_id in existing(sound)}
    return {key for key, text in ids.items() if text in there}


KINDS: tuple[Kind, ...] = (
    Kind("episodes", keys.EPISODES, _of_episodes),
    Kind("policy manifests", keys.POLICY_MANIFESTS, _of_manifests),
    Kind("policy blobs", keys.POLICY_BLOBS, _of_blobs),
    Kind("policy patches", keys.POLICY_PATCHES, _of_patches),
    Kind("checkpoints and sidecars", keys.RUNS, _of_runs),
    Kind("training files", keys.TRAINING_FILES, _of_training_files),
    Kind("imports", keys.IMPORTS, _of_imports),
    Kind("exports", keys.EXPORTS, _of_exports),
)
