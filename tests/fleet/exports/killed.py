"""Exports that are killed: `python -m tests.fleet.exports.killed FORMAT EPISODES FOLDER TIMES`.

Each attempt is a process of its own that gets SIGKILL after a random part of the time that a whole export takes; the
next one goes on. Finished exports get another name, and a new one begins. Prints the number of kills, of finished
exports, and of kills after which there was something to go on with. Forked from here, where nothing has threads yet,
because starting Python and its libraries takes ten times as long as the export.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

from fleet.exports.base import Entry, ExportFormat
from fleet.exports.lerobot_v3 import LeRobotV3
from fleet.exports.objects import FolderEpisodes
from fleet.exports.registry import export_format
from fleet.exports.robomimic import Robomimic
from fleet.exports.runner import SUMS, run_export
from fleet.exports.sink import FolderSink
from tests.fleet.exports.made import DATASET, Made

SMALL: dict[str, ExportFormat] = {"lerobot-v3.0": LeRobotV3(episodes=2), "robomimic-hdf5": Robomimic(episodes=2)}


def attempt(fmt: ExportFormat, root: Path, target: Path, kill_after_s: float | None) -> bool:
    """Export in a child; return whether it was killed."""
    child = os.fork()
    if child == 0:
        entries = [Entry(manifest=entry.manifest) for entry in FolderEpisodes(root)]
        run_export(fmt, DATASET, Made(root, entries), FolderSink(target))
        os._exit(0)
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit("an attempt failed")
    return False


def main(name: str, root: Path, folder: Path, times: int) -> None:
    fmt = SMALL.get(name) or export_format(name)
    begun = time.monotonic()
    attempt(fmt, root, folder / "whole", None)
    whole_s = time.monotonic() - begun
    kills = exports = partial = 0
    while kills < times or not exports:
        target = folder / f"out-{exports}"
        # Once all kills have happened the last export may finish.
        wait_s = random.uniform(0, whole_s) if kills < times else None
        if attempt(fmt, root, target, wait_s):
            kills += 1
            partial += any((folder / f".{target.name}.export" / "files").rglob("*"))
            assert not target.exists() or (target / SUMS).is_file()  # its last file
        else:
            exports += 1
    if (folder / f".out-{exports}.export").exists() or (folder / f"out-{exports}").exists():
        attempt(fmt, root, folder / f"out-{exports}", None)
        exports += 1
    print(kills, exports, partial)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
