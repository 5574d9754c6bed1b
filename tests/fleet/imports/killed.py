"""A worker to be killed: works at an import of the test's database.

Arguments: the import's id and epoch, the database's name, which each of pytest-xdist's workers has its own of, and
"wait" to stand still before its second episode or "go" to work on. Prints "working" when it begins.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import django
from django.conf import settings


def main() -> None:
    import_id, epoch, database, manner = sys.argv[1:]
    settings.DATABASES["default"]["NAME"] = database
    django.setup()
    from fleet.services import dataset_import_work as work

    settings.SOP_IMPORT_SCRATCH_DIR = Path(settings.SOP_IMPORT_SCRATCH_DIR).parents[1] / "scratch"
    convert, made = work.convert_episode, []

    def slowly(origins: Any, found: Any, folder: Path) -> Any:
        made.append(folder)
        while len(made) > 1:
            time.sleep(1)  # until it is killed
        return convert(origins, found, folder)

    if manner == "wait":
        work.convert_episode = slowly
    sys.stdout.write("working\n")
    sys.stdout.flush()
    work.dataset_import_work(import_id=import_id, epoch=int(epoch))


if __name__ == "__main__":
    main()
