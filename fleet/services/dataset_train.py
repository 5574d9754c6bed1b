"""Train from a dataset: a run of its own, whose offline source is one split of a frozen version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from fleet.models import DatasetVersion, PolicyVersion, TrainingRun
from fleet.services.audit import audit_record
from fleet.services.training_launch import RunWish, training_run_launch


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
    Raises: as `training_run_launch`.
    """
    wish = RunWish(
        name=name,
        algorithm=algorithm,
        base=base,
        config=config,
        seed=seed,
        dataset_version=version,
        dataset_split=split,
        takes_online=takes_online,
        target_steps=target_steps,
    )
    run = training_run_launch(wish=wish)
    source = {"dataset": str(version.dataset_id), "version": version.number, "split": split, "base": str(base.id)}
    audit_record(action="dataset.train", subject=run, name=run.name, after=source)
    return run
