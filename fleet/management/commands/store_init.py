"""`manage.py store_init`: mark the folder of the object store, so that it is told from its volume's empty mount point.

Run once for a new folder, and by Compose at every start: a marked one stays as it is. A bucket needs no marker.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from fleet.models import Episode, PolicyVersion
from fleet.selectors.objects import object_store
from fleet.storage.local import LocalStore


class Command(BaseCommand):
    help = "Mark the folder of the object store; refused for an empty one when rows name objects."

    def handle(self, *args: Any, **options: Any) -> None:
        store = object_store()
        are_named = Episode.objects.exists() or PolicyVersion.objects.exists()
        if are_named and isinstance(store, LocalStore) and store.is_new:
            raise CommandError(
                f"{store.marker.parent} is empty, and rows name objects: mount its volume, or restore a backup. "
                f"If they are lost for good, make the empty file {store.marker}"
            )
        self.stdout.write("marked" if store.begin() else "nothing to do")
