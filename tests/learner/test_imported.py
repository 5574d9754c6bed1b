"""Imported episodes are experience like any other: a run's offline buffer draws from them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fleet.imports.mapping import CameraTarget
from fleet.models import DatasetImport, Episode, PolicyVersion
from fleet.protocol.recording import Origin
from fleet.services import dataset_import_work as work
from fleet.services.dataset_import import (
    dataset_import_check,
    dataset_import_create,
    dataset_import_map,
    dataset_import_run,
    import_mapping,
)
from tests.learner.hand_made import TELEOP, make_manifest
from tests.learner.lerobot_made import VIDEO, write_dataset
from tests.learner.rounds_made import start, train

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("services", "cold_process")]


def test_a_run_trains_on_imported_episodes(tmp_path: Path, settings: Any) -> None:
    """A dataset of v3.0 with the policy's axes and its one camera: a round draws from it and publishes versions."""
    settings.SOP_IMPORT_SCRATCH_DIR = tmp_path / "scratch"
    settings.SOP_IMPORTS = dataclasses.replace(settings.SOP_IMPORTS, roots=(tmp_path,))
    demonstrations = [make_manifest(f"demo {k}", [(30, TELEOP)], origin=Origin.DEMONSTRATION) for k in range(2)]
    write_dataset(tmp_path / "set", [demonstrations])
    row, _ = dataset_import_create(user=None, name="set", folder=str(tmp_path / "set"))
    row = _worked(dataset_import_check(import_id=row.id))
    mapping = import_mapping(row)
    camera = mapping.cameras[VIDEO]
    named = {VIDEO: CameraTarget(name="front", width=camera.width, height=camera.height)}
    mapping = msgspec.structs.replace(mapping, cameras=named)
    dataset_import_map(import_id=row.id, mapping=mapping, revision=row.mapping_revision)
    assert _worked(dataset_import_run(import_id=row.id)).registered == 2

    run = start("on imports")
    train(run)

    assert PolicyVersion.objects.filter(run=run).count() > 1
    assert Episode.objects.filter(first_sampled_at__isnull=False).count() == 2


def _worked(row: DatasetImport) -> DatasetImport:
    work.dataset_import_work(import_id=str(row.id), epoch=row.epoch)
    row.refresh_from_db()
    assert row.error_code == ""
    return row
