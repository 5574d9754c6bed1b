"""Hashes stored objects again and compares them with what their rows promise: the check for what disks do over years.

Called by `manage.py store_verify`. An episode that lost something is marked in its row: the library shows it, and the
learner leaves it out; found whole again later, the mark goes. Memory holds one piece of one object.
"""

from __future__ import annotations

import hashlib
import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime

from django.db.models import QuerySet
from django.utils import timezone

from fleet.models import Episode, PolicyVersion, StorageState, TrainingRound
from fleet.protocol.errors import InvalidManifest
from fleet.protocol.recording import EpisodeManifest, decode_manifest
from fleet.selectors.objects import object_store
from fleet.selectors.storage import storage_state
from fleet.storage import ObjectMissing, ObjectStore, keys

logger = logging.getLogger(__name__)

_PIECE = 1024 * 1024
_PROBLEMS = 200  # named in a report; all are counted
_CURSOR_EVERY = 50  # episodes, after which an unfinished --all goes on from there
Progress = Callable[[int, int, int], object]


@dataclass
class VerifyReport:
    """`damaged`: episodes, versions and checkpoints that lost something. `problems`: "what: object is missing"."""

    scope: str
    episodes: int = 0
    policies: int = 0
    checkpoints: int = 0
    objects: int = 0
    bytes: int = 0
    damaged: int = 0
    problems: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        return asdict(self)


class _Verifier:
    def __init__(self, store: ObjectStore, report: VerifyReport) -> None:
        self._store = store
        self.report = report

    def problem(self, key: str, *, sha256: str, size: int | None = None) -> str:
        """Return what is wrong with an object, "" if nothing is."""
        found, length = hashlib.sha256(), 0
        try:
            with self._store.open(key) as file:
                while piece := file.read(_PIECE):
                    found.update(piece)
                    length += len(piece)
        except ObjectMissing:
            return "is missing"
        self.report.objects += 1
        self.report.bytes += length
        is_same = found.hexdigest() == sha256 and size in (None, length)
        return "" if is_same else "differs from its SHA-256"

    def episode(self, row: Episode) -> str:
        """Return what an episode lost, "" if it is whole."""
        self.report.episodes += 1
        problem = self.problem(row.manifest_key, sha256=row.manifest_sha256)
        if problem:
            return f"the manifest {problem}"
        lost = (
            f"{record.name} {problem}"
            for record in self._manifest(row).objects
            if (problem := self.problem(
                keys.episode_object(str(row.id), record.name), sha256=record.sha256, size=record.size
            ))
        )  # fmt: skip
        return "; ".join(lost)

    def policy(self, version: PolicyVersion, seen: set[str]) -> str:
        """Return what a version lost. `seen`: blobs that an earlier version shares and that are whole."""
        self.report.policies += 1
        lost = []
        if problem := self.problem(version.manifest_key, sha256=version.manifest_sha256):
            lost.append(f"the manifest {problem}")
        for sha256, size in version.blobs.items():
            if sha256 in seen:
                continue
            if problem := self.problem(keys.policy_blob(sha256), sha256=sha256, size=size):
                lost.append(f"blob {sha256[:12]} {problem}")
            else:
                seen.add(sha256)
        return "; ".join(lost)

    def note(self, what: str, lost: str) -> None:
        if lost:
            self.report.damaged += 1
            if len(self.report.problems) < _PROBLEMS:
                self.report.problems.append(f"{what}: {lost}")
            logger.error("stored object damaged", extra={"event": {"what": what, "lost": lost}})

    def _manifest(self, row: Episode) -> EpisodeManifest:
        return decode_manifest(self._store.get(row.manifest_key))


def storage_verify(
    *,
    sample: int | None = None,
    since: datetime | None = None,
    is_resumed: bool = False,
    seed: int | None = None,
    progress: Progress = lambda *_: None,
) -> VerifyReport:
    """Verify episodes, then policy versions and the newest checkpoint of each run; keep the report.

    `sample`: so many episodes by chance. `since`: those registered from then on. `is_resumed`: go on where a run over
    all of them was interrupted. `progress`: called with episodes done, in all, and damaged so far.
    Raises: StoreUnavailable; what was found until then stays in the rows.
    """
    is_all = sample is None and since is None
    after = storage_state().verify_cursor if is_resumed and is_all else 0
    rows = Episode.objects.filter(index_seq__gt=after)
    rows = rows.filter(indexed_at__gte=since) if since is not None else rows
    report = VerifyReport(_scope(sample, since, after))
    verifier = _Verifier(object_store(), report)
    total = min(sample, rows.count()) if sample is not None else rows.count()
    for row in _chosen(rows, sample, seed):
        lost = _lost(verifier, row)
        if Episode.objects.filter(id=row.id).update(damage=lost[:300], verified_at=timezone.now()):
            verifier.note(f"episode {row.id}", lost)  # one that went meanwhile has lost nothing
        if is_all and report.episodes % _CURSOR_EVERY == 0:
            _keep(verify_cursor=row.index_seq)
        progress(report.episodes, total, report.damaged)
    seen: set[str] = set()
    for version in PolicyVersion.objects.order_by("published_at").iterator(chunk_size=100):
        verifier.note(f"policy version {version.id}", verifier.policy(version, seen))
    for committed in _newest_rounds().iterator(chunk_size=100):
        report.checkpoints += 1
        lost = verifier.problem(committed.checkpoint_key, sha256=committed.checkpoint_sha256)
        verifier.note(f"checkpoint of run {committed.run_id}", lost and f"it {lost}")
    _keep(verify_at=timezone.now(), verify_report=report.as_json(), verify_cursor=0)
    return report


def _lost(verifier: _Verifier, row: Episode) -> str:
    try:
        return verifier.episode(row)
    except (InvalidManifest, ObjectMissing) as error:  # its bytes are as promised, yet this version cannot read it
        return f"the manifest cannot be read: {error.message}"


def _chosen(rows: QuerySet[Episode], sample: int | None, seed: int | None) -> Iterator[Episode]:
    if sample is None:
        return rows.order_by("index_seq").iterator(chunk_size=200)
    numbers = list(rows.order_by().values_list("index_seq", flat=True))
    chosen = random.Random(seed).sample(numbers, min(sample, len(numbers)))
    return rows.filter(index_seq__in=sorted(chosen)).order_by("index_seq").iterator(chunk_size=200)


def _newest_rounds() -> QuerySet[TrainingRound]:
    committed = TrainingRound.objects.filter(committed_at__isnull=False)
    return committed.order_by("run_id", "-index").distinct("run_id")


def _scope(sample: int | None, since: datetime | None, after: int) -> str:
    if sample is not None:
        return f"{sample} episodes by chance"
    if since is not None:
        return f"episodes since {since.isoformat(timespec='minutes')}"
    return f"all, from number {after + 1} on" if after else "all"


def _keep(**values: object) -> None:
    StorageState.objects.update_or_create(id=1, defaults=values)
