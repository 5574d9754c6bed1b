"""`manage.py import_episodes DIR`: register recorded episodes, such as demonstrations, from a folder.

DIR/<episode id>/ holds manifest.json and the objects it names. Importing again registers nothing twice.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from fleet.models import Episode
from fleet.protocol.errors import SopError
from fleet.protocol.recording import MANIFEST_OBJECT, EpisodeManifest, decode_manifest
from fleet.selectors.objects import object_store
from fleet.services.episode import episode_register
from fleet.storage import keys


class Command(BaseCommand):
    help = "Store and register every episode in a folder; what is registered already is skipped."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path)

    def handle(self, *args: Any, folder: Path, **options: Any) -> None:
        manifests = sorted(folder.glob(f"*/{MANIFEST_OBJECT}"))
        if not manifests:
            raise CommandError(f"no <episode>/{MANIFEST_OBJECT} in {folder}")
        before = Episode.objects.count()
        for path in tqdm(manifests, desc="importing", unit="episode", disable=options["verbosity"] == 0):
            try:
                manifest = decode_manifest(path.read_bytes())
                _store(path.parent, manifest)
                episode_register(robot_id=None, manifest=manifest, uploaded_ns=None)
            except (SopError, OSError) as error:
                raise CommandError(f"{path.parent.name}: {error}") from error
        self.stdout.write(f"{Episode.objects.count() - before} new of {len(manifests)} episodes")


def _store(folder: Path, manifest: EpisodeManifest) -> None:
    """Put the episode's files where uploads go, unless it is registered, when its objects are not to be touched."""
    if Episode.objects.filter(id=manifest.episode_id).exists():
        return
    for name in (*(record.name for record in manifest.objects), MANIFEST_OBJECT):
        object_store().put(keys.episode_object(manifest.episode_id, name), (folder / name).read_bytes())
