"""A worker to be killed: works at an import of the test's database, and waits before its second episode.

Arguments: the import's id and epoch, and the database's name, which each of pytest-xdist's workers has its own of.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import django
from django.conf import settings


def main() -> None:
    settings.DATABASES["default"]["NAME"] = sys.argv[3]
    django.setup()
    from fleet.services import dataset_import_work as work

    settings.SOP_IMPORT_SCRATCH_DIR = Path(settings.SOP_IMPORT_SCRATCH_DIR).parents[1] / "scratch"
    convert, made = work.convert_episode, []

    def slowly(origins: Any, found: Any, folder: Path) -> Any:
        made.append(folder)
        while len(made) > 1:
            time.sleep(1)  # until it is killed
        return convert(origins, found, folder)

    work.convert_episode = slowly
    work.dataset_import_work(import_id=sys.argv[1], epoch=int(sys.argv[2]))


if __name__ == "__main__":
    main()
