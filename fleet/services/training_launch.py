"""Start a training run as people do: from a version's weights, with checked settings, alone or copied from another."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from django.db import transaction

from fleet.errors import InvalidRequest
from fleet.models import DatasetVersion, PolicyVersion, TrainingRun
from fleet.protocol.policy import decode_policy_manifest, encode_policy_manifest
from fleet.selectors.objects import object_store
from fleet.services.audit import audit_record
from fleet.services.policy import policy_version_publish
from fleet.services.rollout import version_require_weights
from fleet.services.text import clean_text
from fleet.services.training import training_run_create, training_run_start
from fleet.services.training_settings import settings_check
from fleet.storage import keys


@dataclass(frozen=True, kw_only=True)
class RunWish:
    """What a run shall be. `base`: whose weights become its version 0. `task_slugs`: none for all.

    `dataset_version`, `dataset_split` (empty: all), `takes_online`: as of `training_run_create`. `copied_from`: the run
    whose settings it was made from.
    """

    name: str
    algorithm: str
    base: PolicyVersion
    config: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    task_slugs: tuple[str, ...] = ()
    dataset_version: DatasetVersion | None = None
    dataset_split: str = ""
    takes_online: bool = True
    target_steps: int | None = None
    copied_from: TrainingRun | None = None


@transaction.atomic
def training_run_launch(*, wish: RunWish) -> TrainingRun:
    """Create the run, publish its version 0, start it. The version it began from is that version's parent.

    Raises: InvalidRequest, UnknownAlgorithm, SettingsInvalid, VersionUnusable if the weights are gone,
    StoreUnavailable.
    """
    name = clean_text(wish.name, field="name", limit=100)
    if not name:
        raise InvalidRequest("a run has a name", field="name")
    if not wish.takes_online and wish.target_steps is None:
        raise InvalidRequest("a run on a dataset alone needs a number of steps", field="target_steps")
    settings_check(algorithm=wish.algorithm, config=wish.config)
    version_require_weights(wish.base, field="base")
    run = training_run_create(
        name=name,
        algorithm=wish.algorithm,
        config=wish.config,
        seed=wish.seed,
        task_slugs=wish.task_slugs,
        target_steps=wish.target_steps,
        dataset_version=wish.dataset_version,
        dataset_split=wish.dataset_split,
        takes_online=wish.takes_online,
        copied_from=wish.copied_from,
        is_told=False,  # it locks every robot, which must not last as long as weights are copied; the start tells
    )
    _publish_base(run, wish.base)
    origin = {"base": str(wish.base.id), "copied_from": str(wish.copied_from.id) if wish.copied_from else None}
    audit_record(action="run.launch", subject=run, after=origin)
    return training_run_start(run_id=run.id)


def _publish_base(run: TrainingRun, base: PolicyVersion) -> None:
    store = object_store()
    stored = store.get(base.manifest_key)
    manifest = msgspec.structs.replace(
        decode_policy_manifest(stored),
        version_id=str(uuid.uuid5(run.id, hashlib.sha256(stored).hexdigest())),
        run_id=str(run.id),
        parent_id=str(base.id),
        step=0,
    )
    blobs = {blob.sha256: store.get(keys.policy_blob(blob.sha256)) for blob in manifest.blobs}
    policy_version_publish(run_id=str(run.id), manifest_bytes=encode_policy_manifest(manifest), blobs=blobs)
