"""`manage.py policy_import DIR --run NAME`: publish a policy folder, as `learner pretrain` writes it, to a run.

DIR holds manifest.json and <sha256>.safetensors. The first version of a run is its base, number 0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from fleet.models import TrainingRun
from fleet.protocol.errors import SopError
from fleet.protocol.policy import decode_policy_manifest
from fleet.services.policy import policy_version_import


class Command(BaseCommand):
    help = "Publish a policy folder to a training run; publishing it again changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--run", required=True, help="name of the training run")

    def handle(self, *args: Any, folder: Path, **options: Any) -> None:
        run = TrainingRun.objects.filter(name=options["run"]).first()
        if run is None:
            raise CommandError(f"there is no training run named '{options['run']}'")
        try:
            data = (folder / "manifest.json").read_bytes()
            wanted = [blob.sha256 for blob in decode_policy_manifest(data).blobs]
            blobs = {sha256: (folder / f"{sha256}.safetensors").read_bytes() for sha256 in wanted}
            version = policy_version_import(run_id=str(run.id), manifest_bytes=data, blobs=blobs)
        except (SopError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"version {version.number} of run {run.name}: {version.id}")
