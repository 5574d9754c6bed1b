"""Training rounds as Celery tasks: the only file that knows Celery and the fleet's services, selectors and storage.

`learner.train_round(run_id, epoch)` runs one bounded round and ends; committing it enqueues the next. Every write is
fenced by the epoch. What a round learns from is fixed when it begins: episodes are ingested up to the bound recorded
with it, in order, and it ends after a fixed number of steps. So a round that was killed and is run again ends in the
same weights, and the versions it publishes again are the versions that exist. Time decides only which steps are
published, never what is learned.

Between rounds the trainer stays in this process, used again only if it stands exactly at the committed checkpoint.
Torch and the trainer are imported inside the task: the other workers import this module too.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
import os
import re
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from celery import shared_task
from django.conf import settings
from django.db import close_old_connections, connection

from fleet.errors import RunFenced, RunNotRunning
from fleet.protocol.errors import ArtifactMismatch, PolicyError, RecordingError, SopError
from fleet.protocol.policy import decode_policy_manifest, encode_policy_manifest
from fleet.protocol.recording import EpisodeManifest, Outcome
from fleet.selectors.episode import LearnerEpisode, episodes_for_learner
from fleet.selectors.episode_recording import stored_manifest
from fleet.selectors.objects import object_store
from fleet.selectors.policy import policy_version_base
from fleet.services.episode import episodes_mark_sampled
from fleet.services.policy import policy_version_publish
from fleet.services.training import (
    RoundPlan,
    RunClaim,
    run_metrics_record,
    training_round_begin,
    training_round_commit,
    training_run_claim,
    training_run_fail,
    training_run_heartbeat,
)
from fleet.storage import ObjectStore, keys
from fleet.storage.base import ObjectMissing, StoreUnavailable
from learner import telemetry, tracing

if TYPE_CHECKING:
    from learner.config import RunConfig
    from learner.metrics import Versions
    from learner.policies.base import PolicyNetwork
    from learner.tensorboard import Board
    from learner.trainer import Trainer

logger = logging.getLogger(__name__)

HEARTBEAT_S = 5.0
FLUSH_S = 2.0
PREFETCHED_EPISODES = 200  # looked for at once
IDLE_DELAY_S = 3.0  # until the next round when there was nothing to learn from
KEPT_CHECKPOINTS = 2
SIDECARS_PER_ROUND = 200  # the rest follows in the next rounds
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass
class _Warm:
    """A trainer that stands at a committed checkpoint, and up to which episode it has ingested and prefetched."""

    run_id: str
    trainer: Trainer
    config: RunConfig
    versions: Versions
    board: Board
    checkpoint_sha256: str | None = None
    cursor: int = 0
    prefetched: int = 0
    draws: tracing.Draws = field(default_factory=tracing.Draws)


@dataclass
class _Process:
    """State of this worker process. One worker runs one task at a time (`-P solo`)."""

    warm: _Warm | None = None


_process = _Process()


@dataclass
class _Outbox:
    """Rows on their way to the database, written at most every FLUSH_S."""

    rows: list[tuple[int, Mapping[str, float]]] = field(default_factory=list)
    flushed_at: float = 0.0
    sampled: list[str] = field(default_factory=list)


@shared_task(name="learner.train_round")  # type: ignore[untyped-decorator]
def train_round(run_id: str, epoch: int) -> None:
    """Run one round of a training run. Ends quietly when fenced; a terminal error fails the run."""
    holder = f"{socket.gethostname()}/{os.getpid()}"
    try:
        claim = training_run_claim(run_id=run_id, epoch=epoch, holder=holder)
        with _heartbeat(run_id, epoch, holder) as is_lost, telemetry.round_timed():
            _run_round(claim, holder, is_lost)
    except (RunFenced, RunNotRunning) as error:
        _process.warm = None
        logger.info("round ended: %s", error.message, extra={"event": {"run": run_id, "epoch": epoch}})
    except Exception as error:
        _process.warm = None
        if not _is_terminal(error):
            raise  # the reaper enqueues the round again once the heartbeats have been silent
        logger.exception("training run fails", extra={"event": {"run": run_id, "epoch": epoch}})
        with contextlib.suppress(RunFenced, RunNotRunning):
            code = error.code if isinstance(error, SopError) else "invalid_config"
            training_run_fail(run_id=run_id, epoch=epoch, code=code, message=str(error))


def _is_terminal(error: Exception) -> bool:
    """Whether trying again would give the same error. The last good version goes on serving."""
    from learner.config import ConfigError
    from learner.trainer import NonFiniteLoss

    return isinstance(error, PolicyError | NonFiniteLoss | ConfigError)


def _run_round(claim: RunClaim, holder: str, is_lost: threading.Event) -> None:
    from learner.data.batches import BuffersEmpty
    from learner.loop import Schedule, run_steps

    plan = training_round_begin(run_id=claim.run_id, epoch=claim.epoch, holder=holder)
    warm = _warm_trainer(claim, plan)
    _ingest(warm, claim, upto=plan.ingest_upto)
    hooks = _RoundHooks(warm, claim, plan, is_lost)
    config = warm.config.round
    schedule = Schedule(publish_steps=config.publish_steps, publish_interval_s=config.publish_interval_s)
    until = _end_step(claim, plan, warm)
    with contextlib.suppress(BuffersEmpty):  # what was left turned out unreadable
        run_steps(warm.trainer, until=until, schedule=schedule, versions=warm.versions, hooks=telemetry.Counted(hooks))
    _flush(warm, claim, hooks.outbox)
    _commit(warm, claim, plan)


@dataclass
class _RoundHooks:
    """`learner.loop.Hooks` of a round: rows and TensorBoard, versions, and an end when the heartbeat is refused."""

    warm: _Warm
    claim: RunClaim
    plan: RoundPlan
    is_lost: threading.Event
    outbox: _Outbox = field(default_factory=_Outbox)

    def after_step(self, step: int) -> None:
        if self.is_lost.is_set():
            raise RunFenced("the heartbeat was refused")
        if time.monotonic() - self.outbox.flushed_at >= FLUSH_S:
            _flush(self.warm, self.claim, self.outbox)
            _prefetch(self.warm, self.claim)

    def publish(self, step: int) -> None:
        _note_drawn(self.warm, self.outbox)
        with self.warm.draws.published(step):
            artifact = self.warm.trainer.artifact(run_id=self.claim.run_id, parent_id=self.plan.newest_version_id)
            policy_version_publish(
                run_id=self.claim.run_id,
                manifest_bytes=encode_policy_manifest(artifact.manifest),
                blobs=artifact.blobs,
                epoch=self.claim.epoch,
            )

    def report(self, step: int, values: Mapping[str, float]) -> None:
        self.outbox.rows.append((step, values))
        self.warm.board.write(step, values)


def _end_step(claim: RunClaim, plan: RoundPlan, warm: _Warm) -> int:
    if not warm.trainer.replay.sizes():
        return plan.start_step
    end_step = plan.start_step + warm.config.round.steps
    return min(end_step, claim.target_steps) if claim.target_steps is not None else end_step


def _warm_trainer(claim: RunClaim, plan: RoundPlan) -> _Warm:
    """Return a trainer at the round's start: the one of the last round, or a new one from base and checkpoint."""
    import torch

    from learner.checkpoint import decode_checkpoint
    from learner.config import RunConfig as Config
    from learner.config import from_mapping
    from learner.data.index import StoredEpisodes
    from learner.metrics import Versions
    from learner.tensorboard import Board, run_folder
    from learner.trainer import build_trainer

    warm = _process.warm
    _process.warm = None  # put back by the commit; an error on the way leaves nothing half-trained behind
    if warm is not None and _stands_at(warm, claim, plan):
        return warm
    config = from_mapping(Config, {"seed": claim.seed, **claim.config, "algorithm": claim.algorithm})
    if config.data.cache_dir is None:
        cached = dataclasses.replace(config.data, cache_dir=str(settings.SOP_FEATURES_DIR))
        config = dataclasses.replace(config, data=cached)
    torch.set_num_threads(config.threads)
    store = object_store()
    source = StoredEpisodes(lambda episode_id, name: _episode_object(store, episode_id, name))
    warm = _Warm(
        claim.run_id,
        build_trainer(
            _base_network(store, claim.run_id), source, config, read_file=lambda name: _training_file(store, name)
        ),
        config,
        Versions(count=plan.newest_version_number or 0),
        Board(run_folder(settings.SOP_TENSORBOARD_DIR, claim.name), first_step=plan.start_step + 1),
    )
    if plan.checkpoint_key is not None:
        data = store.get(plan.checkpoint_key)
        if hashlib.sha256(data).hexdigest() != plan.checkpoint_sha256:
            raise ArtifactMismatch("the checkpoint differs from its hash", key=plan.checkpoint_key)
        # Episodes first: the buffers must be those of the committed round before its windows are put on top.
        _ingest(warm, claim, upto=decode_checkpoint(data)[0].cursor)
        warm.trainer.restore(data)
        warm.checkpoint_sha256 = plan.checkpoint_sha256
    return warm


def _stands_at(warm: _Warm, claim: RunClaim, plan: RoundPlan) -> bool:
    is_same = (warm.run_id, warm.checkpoint_sha256) == (claim.run_id, plan.checkpoint_sha256)
    return is_same and warm.trainer.gradient_steps == plan.start_step and plan.checkpoint_sha256 is not None


def _base_network(store: ObjectStore, run_id: str) -> PolicyNetwork:
    """Load version 0 of the run. Raises: ArtifactMismatch, UnknownArchitecture."""
    from learner.policies.registry import load_network

    base = policy_version_base(run_id=run_id)
    if base is None:
        raise ArtifactMismatch("the run has no base policy: publish version 0 before starting it")
    manifest = decode_policy_manifest(store.get(base.manifest_key))
    with tempfile.TemporaryDirectory(prefix="sop-base-") as folder:
        paths = {ref.sha256: _local_blob(store, ref.sha256, Path(folder)) for ref in manifest.blobs}
        return load_network(manifest, paths)


def _local_blob(store: ObjectStore, sha256: str, folder: Path) -> Path:
    key = keys.policy_blob(sha256)
    path = store.path_or_none(key)
    if path is None:
        path = folder / f"{sha256}.safetensors"
        path.write_bytes(store.get(key))
    return path


def _episode_object(store: ObjectStore, episode_id: str, name: str) -> bytes:
    """Raises: FileNotFoundError if it was deleted; StoreUnavailable."""
    try:
        return store.get(keys.episode_object(episode_id, name))
    except ObjectMissing as error:
        raise FileNotFoundError(error.message) from None


def _training_file(store: ObjectStore, sha256: str) -> bytes:
    """Read a file that a run's configuration names. Raises: ConfigError, ArtifactMismatch."""
    from learner.config import ConfigError

    if not _SHA256.fullmatch(sha256):
        raise ConfigError(f"'{sha256[:100]}' is not the SHA-256 of a stored file")
    try:
        data = store.get(keys.training_file(sha256))
    except ObjectMissing:
        raise ConfigError(f"there is no file {sha256}: `manage.py training_file_import` stores one") from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ArtifactMismatch("the file differs from its hash", key=keys.training_file(sha256))
    return data


def _ingest(warm: _Warm, claim: RunClaim, *, upto: int) -> None:
    """Ingest episodes up to a sequence number, in order. One without a manifest is left out, here and on resume."""
    from learner.data.limits import Provenance

    for row in episodes_for_learner(run_id=claim.run_id, after_seq=warm.cursor, upto_seq=upto):
        if (manifest := _manifest_or_none(claim, row)) is not None:
            known = Provenance(added_s=row.indexed_at.timestamp(), policy_step=row.policy_step, is_frozen=row.is_frozen)
            warm.trainer.ingest([manifest], {row.id: known})
            warm.draws.known(manifest)
    warm.cursor = max(warm.cursor, upto)


def _prefetch(warm: _Warm, claim: RunClaim) -> None:
    """Let the next round's episodes be decoded and encoded while this one trains."""
    after = max(warm.cursor, warm.prefetched)
    with contextlib.suppress(StoreUnavailable):  # then the next round waits for them
        for row in episodes_for_learner(run_id=claim.run_id, after_seq=after, upto_seq=after + PREFETCHED_EPISODES):
            manifest = _manifest_or_none(claim, row)
            if manifest is not None:
                warm.trainer.replay.prefetch(manifest)
            warm.prefetched = row.index_seq


def _manifest_or_none(claim: RunClaim, row: LearnerEpisode) -> EpisodeManifest | None:
    """Return the manifest with the outcome that counts, a person's or the frozen one. Raises: StoreUnavailable."""
    try:
        manifest = stored_manifest(key=row.manifest_key, sha256=row.manifest_sha256)
        return msgspec.structs.replace(manifest, outcome=Outcome(row.outcome))
    except (RecordingError, ObjectMissing) as error:
        event = {"run": claim.name, "episode": row.id, "code": error.code, "message": error.message}
        logger.warning("episode left out of training", extra={"event": event})
        return None


def _flush(warm: _Warm, claim: RunClaim, outbox: _Outbox) -> None:
    if outbox.rows:
        run_metrics_record(run_id=claim.run_id, epoch=claim.epoch, rows=outbox.rows)
    if sampled := _note_drawn(warm, outbox):
        episodes_mark_sampled(episode_ids=sampled)
    outbox.rows, outbox.sampled = [], []
    outbox.flushed_at = time.monotonic()


def _note_drawn(warm: _Warm, outbox: _Outbox) -> list[str]:
    warm.draws.drawn(drawn := warm.trainer.replay.take_first_sampled())
    outbox.sampled += drawn
    return outbox.sampled


def _commit(warm: _Warm, claim: RunClaim, plan: RoundPlan) -> None:
    """Store sidecars and checkpoint, then commit the round with its hash; older checkpoints go afterwards."""
    store = object_store()
    _store_sidecars(warm, store)
    data = warm.trainer.checkpoint(cursor=warm.cursor)
    key, sha256 = keys.run_checkpoint(claim.run_id, plan.index, claim.epoch), hashlib.sha256(data).hexdigest()
    store.put(key, data)
    training_round_commit(
        run_id=claim.run_id,
        epoch=claim.epoch,
        index=plan.index,
        end_step=warm.trainer.gradient_steps,
        checkpoint_key=key,
        checkpoint_sha256=sha256,
        next_delay_s=IDLE_DELAY_S if warm.trainer.gradient_steps == plan.start_step else 0.0,
    )
    _forget_checkpoints(store, claim.run_id, before=plan.index - KEPT_CHECKPOINTS + 1)
    warm.checkpoint_sha256 = sha256
    _process.warm = warm


def _store_sidecars(warm: _Warm, store: ObjectStore) -> None:
    """Put what the algorithm derived of frames beside the episodes. The checkpoint that follows counts what was put."""
    import safetensors.numpy

    for episode_id, columns in warm.trainer.take_sidecars(limit=SIDECARS_PER_ROUND):
        store.put(keys.run_sidecar(warm.run_id, episode_id), safetensors.numpy.save(columns))


def _forget_checkpoints(store: ObjectStore, run_id: str, *, before: int) -> None:
    """Delete those of earlier rounds, also what fenced holders left there."""
    oldest_kept = keys.run_checkpoint(run_id, max(0, before), 0)
    for key in list(store.list(keys.run_checkpoints(run_id))):
        if key < oldest_kept:
            store.delete(key)


@contextlib.contextmanager
def _heartbeat(run_id: str, epoch: int, holder: str) -> Iterator[threading.Event]:
    """Beat from a thread while the block runs; the event is set when the service says that this holder must stop."""
    is_over, is_lost = threading.Event(), threading.Event()

    def beat() -> None:
        try:
            while not is_over.wait(HEARTBEAT_S):
                close_old_connections()
                training_run_heartbeat(run_id=run_id, epoch=epoch, holder=holder)
        except (RunFenced, RunNotRunning):
            is_lost.set()
        except Exception:
            logger.exception("heartbeat failed; the run may be given to another worker")
            is_lost.set()
        finally:
            connection.close()

    thread = threading.Thread(target=beat, name="round-heartbeat", daemon=True)
    thread.start()
    try:
        yield is_lost
    finally:
        is_over.set()
        thread.join(timeout=5.0)
