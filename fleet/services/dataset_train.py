"""Train from a dataset: a run of its own, whose offline source is one split of a frozen version."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec
from django.db import transaction

from fleet.errors import InvalidRequest
from fleet.models import DatasetVersion, PolicyVersion, TrainingRun
from fleet.protocol.policy import decode_policy_manifest, encode_policy_manifest
from fleet.selectors.objects import object_store
from fleet.services.audit import audit_record
from fleet.services.policy import policy_version_publish
from fleet.services.text import clean_text
from fleet.services.training import training_run_create, training_run_start
from fleet.storage import keys


@transaction.atomic
def dataset_train(
    *,
    version: DatasetVersion,
    base: PolicyVersion,
    name: str,
    algorithm: str,
    config: Mapping[str, Any],
    seed: int,
    split: str,
    takes_online: bool,
    target_steps: int | None,
) -> TrainingRun:
    """Start a run from the weights of `base`, which become its version 0. `split`: empty for all episodes.

    A run that does not take online episodes needs `target_steps`: its data never changes, so it would never end.
    Raises: InvalidRequest, ObjectMissing if the weights are gone, StoreUnavailable.
    """
    cleaned = clean_text(name, field="name", limit=100)
    if not cleaned:
        raise InvalidRequest("a run has a name", field="name")
    if not takes_online and target_steps is None:
        raise InvalidRequest("a run on a dataset alone needs a number of steps", field="target_steps")
    run = training_run_create(
        name=cleaned,
        algorithm=algorithm,
        config=config,
        seed=seed,
        target_steps=target_steps,
        dataset_version=version,
        dataset_split=split,
        takes_online=takes_online,
    )
    _publish_base(run, base)
    source = {"dataset": str(version.dataset_id), "version": version.number, "split": split, "base": str(base.id)}
    audit_record(action="dataset.train", subject=run, name=run.name, after=source)
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
