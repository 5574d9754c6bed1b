"""`make demo-reset`: asks, then removes what the demo keeps. The cached base policy stays."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from sop_web.demo.steps import say
from sop_web.embedded import system

# Named one by one: a SOP_DATA_DIR that points somewhere wrong must not lose foreign files.
_KEPT_BY_DEMO = (
    "postgres", "redis", "objects", "robots", "demo", "logs", "celerybeat-schedule", "postgres.secret",
    "redis.secret", "django.secret", "static", "learner", "tensorboard", "features",
)  # fmt: skip


def reset(data_dir: Path, *, is_confirmed: bool) -> bool:
    """Remove the demo's data after asking; return whether it was removed.

    Raises: DataFolderLocked while a demo runs on the folder.
    """
    found = [data_dir / name for name in _KEPT_BY_DEMO if (data_dir / name).exists()]
    if not found:
        say(f"Nothing to clear in {data_dir}.")
        return True
    with system.folder_lock(data_dir):
        say(f"This removes every episode, policy version and account of the demo in {data_dir}:")
        say("  " + ", ".join(path.name for path in found))
        say("The base policy in its cache stays.")
        if not is_confirmed and not _is_agreed():
            say("Nothing was removed.")
            return False
        for path in found:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        say("Cleared.")
    return True


def _is_agreed() -> bool:
    if not sys.stdin.isatty():
        say("No terminal to ask on: pass --yes.")
        return False
    return input("Type 'yes' to go on: ").strip().lower() == "yes"
