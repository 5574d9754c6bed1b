"""Policy versions: publishing them, and what robots report of them."""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Mapping

import msgspec
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from fleet.clock import from_ns
from fleet.errors import NotFound
from fleet.events import hint_all_robots, hint_consoles
from fleet.models import PolicyDeployment, PolicyVersion, ReleaseTrack, Robot, TrainingRun
from fleet.protocol import tracing
from fleet.protocol.errors import ArtifactMismatch
from fleet.protocol.policy import PolicyManifest, decode_policy_manifest, encode_policy_manifest
from fleet.selectors.objects import object_store
from fleet.selectors.rollout import release_track, rollout_open
from fleet.services.audit import audit_record
from fleet.services.policy_patch import policy_patches_store
from fleet.services.robot import robots_bump
from fleet.services.rollout import try_next
from fleet.services.storage_guard import collections_counted, registration_lock
from fleet.services.training import run_lock
from fleet.services.webhook_event import policy_version_event
from fleet.storage import keys

logger = logging.getLogger(__name__)


def policy_version_publish(
    *, run_id: str, manifest_bytes: bytes, blobs: Mapping[str, bytes], epoch: int | None = None
) -> PolicyVersion:
    """Publish a version: blobs, then the manifest, then the row; robots are told when the row commits.

    `blobs`: SHA-256 -> bytes of every blob the manifest names. `epoch` fences the writer when given. A crash between
    the steps leaves unreferenced blobs and no version. Publishing the same version id again returns the row that
    exists, since a resumed round publishes what it published before.
    Raises: ArtifactMismatch, RunFenced, RunNotRunning, NotFound.
    """
    manifest = decode_policy_manifest(manifest_bytes)
    _check(manifest, run_id, blobs)
    collected = collections_counted()
    sha256 = _store(manifest_bytes, blobs)
    policy_patches_store(run_id=run_id, manifest=manifest, blobs=blobs)
    with transaction.atomic():
        run = run_lock(run_id=run_id, epoch=epoch)
        registration_lock()
        if collections_counted() != collected:  # a blob that was there already may be gone: nothing named it
            _store(manifest_bytes, blobs)
        return _insert(run, manifest, sha256)


def _store(manifest_bytes: bytes, blobs: Mapping[str, bytes]) -> str:
    """Put what is not stored yet; return the manifest's SHA-256."""
    store = object_store()
    for sha256, data in blobs.items():
        key = keys.policy_blob(sha256)
        if not store.exists(key) or store.digest(key) != (len(data), sha256):
            store.put(key, data)
    sha256 = hashlib.sha256(manifest_bytes).hexdigest()
    store.put(keys.policy_manifest(sha256), manifest_bytes)
    return sha256


def policy_version_import(*, run_id: str, manifest_bytes: bytes, blobs: Mapping[str, bytes]) -> PolicyVersion:
    """Publish a policy that was made without a run, such as a base, to one run or to several.

    A version belongs to one run, so a second run gets the same weights under an id that follows from the run and the
    manifest: importing again changes nothing there either. Raises: as policy_version_publish.
    """
    manifest = decode_policy_manifest(manifest_bytes)
    _check(manifest, run_id, blobs)
    run_uuid = uuid.UUID(run_id)
    if PolicyVersion.objects.filter(id=manifest.version_id).exclude(run_id=run_uuid).exists():
        own_id = uuid.uuid5(run_uuid, hashlib.sha256(manifest_bytes).hexdigest())
        manifest_bytes = encode_policy_manifest(msgspec.structs.replace(manifest, version_id=str(own_id)))
    return policy_version_publish(run_id=run_id, manifest_bytes=manifest_bytes, blobs=blobs)


def _check(manifest: PolicyManifest, run_id: str, blobs: Mapping[str, bytes]) -> None:
    try:
        uuid.UUID(manifest.version_id)
    except ValueError:
        raise ArtifactMismatch("version_id must be a UUID") from None
    if manifest.run_id not in (None, run_id):
        raise ArtifactMismatch("the manifest names another run", run=manifest.run_id)
    wanted = {blob.sha256: blob.size for blob in manifest.blobs}
    given = {hashlib.sha256(data).hexdigest(): len(data) for data in blobs.values()}
    if given != wanted or set(blobs) != set(wanted):
        raise ArtifactMismatch("the blobs differ from the manifest in number, size or SHA-256")


def _insert(run: TrainingRun, manifest: PolicyManifest, sha256: str) -> PolicyVersion:
    blobs = {blob.sha256: blob.size for blob in manifest.blobs}
    existing = PolicyVersion.objects.filter(id=manifest.version_id).first()
    if existing is not None:
        if (existing.run_id, existing.step, existing.blobs) != (run.id, manifest.step, blobs):
            raise ArtifactMismatch("this version id is published with other content", version=manifest.version_id)
        return existing
    newest = PolicyVersion.objects.filter(run=run).aggregate(newest=Max("number"))["newest"]
    now = timezone.now()
    version = PolicyVersion.objects.create(
        id=uuid.UUID(manifest.version_id),
        run=run,
        number=0 if newest is None else newest + 1,
        step=manifest.step,
        architecture=manifest.architecture[:100],
        manifest_key=keys.policy_manifest(sha256),
        manifest_sha256=sha256,
        blobs=blobs,
        size_bytes=manifest.size_bytes,
        trained_at=from_ns(manifest.trained_ns),
        published_at=now,
        parent=_parent(manifest),
        traceparent=tracing.current(),
    )
    _announce(run, version)
    policy_version_event(version=version)
    after = {"run": run.name, "number": version.number, "step": version.step, "size_bytes": version.size_bytes}
    audit_record(action="version.publish", subject=version, name=f"{run.name} version {version.number}", after=after)
    logger.info("policy published", extra={"event": {"run": run.name, "number": version.number, "step": version.step}})
    return version


def _parent(manifest: PolicyManifest) -> PolicyVersion | None:
    """Return what it was trained from, of whatever run; a name nobody knows is no reason to refuse weights."""
    try:
        return PolicyVersion.objects.filter(id=uuid.UUID(manifest.parent_id or "")).first()
    except ValueError:
        return None


def _announce(run: TrainingRun, version: PolicyVersion) -> None:
    """Let robots have it as the run's strategy says: at once, by a canary, or not before somebody promotes it."""
    strategy = release_track(run=run).strategy
    if strategy == ReleaseTrack.Strategy.CANARY and rollout_open(run=run) is None:
        try_next(run=run, version=version)
    if strategy == ReleaseTrack.Strategy.IMMEDIATE:
        _announce_to_all(version)
    hint_consoles("run", run.id)
    hint_consoles("metrics")


def _announce_to_all(version: PolicyVersion) -> None:
    """Count up every robot's revision. Ordered by id, so that two writers never lock robots in opposite orders."""
    robots = list(Robot.objects.select_for_update().order_by("id").values_list("id", "pinned_version_id"))
    robots_bump(robot_ids=[robot_id for robot_id, _ in robots], is_hinted=False)
    PolicyDeployment.objects.bulk_create(
        PolicyDeployment(robot_id=robot_id, version=version, announced_at=version.published_at)
        for robot_id, pinned in robots
        if pinned is None
    )
    hint_all_robots()


@transaction.atomic
def policy_version_applied(
    *, robot_id: str, version_id: str, fetched_ns: int, applied_ns: int, fetched_bytes: int
) -> PolicyDeployment:
    """Note that a robot runs a version; times are the robot's. Applied again after a restart keeps the first times,
    unless they were only inferred from a Hello (services/robot.py).

    Raises: NotFound if there is no such version, ArtifactMismatch if the times run backwards.
    """
    if not 0 < fetched_ns <= applied_ns < 2**63:
        raise ArtifactMismatch("the times of fetching and applying run backwards", version=version_id)
    deployment = _deployment(robot_id, version_id)
    if deployment.applied_at is None or deployment.fetched_at is None:
        deployment.fetched_at, deployment.applied_at = from_ns(fetched_ns), from_ns(applied_ns)
        deployment.refused_at, deployment.refused_code, deployment.refused_message = None, "", ""
        deployment.fetched_bytes = fetched_bytes
        deployment.save()
    Robot.objects.filter(id=robot_id).update(policy_version_id=deployment.version_id)
    hint_consoles("robot", robot_id)
    return deployment


@transaction.atomic
def policy_version_refused(*, robot_id: str, version_id: str, code: str, message: str) -> PolicyDeployment:
    """Note that a robot refused a version and goes on with its old one. Raises: NotFound."""
    deployment = _deployment(robot_id, version_id)
    deployment.refused_at, deployment.refused_code = timezone.now(), code[:100]
    deployment.refused_message = message[:2000]
    deployment.save()
    logger.warning("policy refused", extra={"event": {"robot": robot_id, "version": version_id, "code": code}})
    hint_consoles("robot", robot_id)
    return deployment


def _deployment(robot_id: str, version_id: str) -> PolicyDeployment:
    try:
        version = PolicyVersion.objects.filter(id=uuid.UUID(version_id)).first()
    except ValueError:
        version = None
    if version is None:
        raise NotFound("there is no such policy version", version=version_id[:100])
    defaults = {"announced_at": timezone.now()}  # for a robot that enrolled after the version was published
    PolicyDeployment.objects.get_or_create(robot_id=robot_id, version=version, defaults=defaults)
    return PolicyDeployment.objects.select_for_update().get(robot_id=robot_id, version=version)
