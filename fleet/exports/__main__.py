"""Export recorded episodes from a folder: `python -m fleet.exports --format lerobot-v3.0 --episodes DIR --out DIR`.

Started again after a crash with the same arguments it goes on where it was. Exit status: 0, or 1 with the error's code.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from fleet.exports.base import Control, DatasetInfo, Progress
from fleet.exports.objects import FolderEpisodes
from fleet.exports.registry import FORMATS, export_format
from fleet.exports.runner import run_export
from fleet.exports.sink import FolderSink
from fleet.protocol.errors import SopError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fleet.exports", description=__doc__)
    parser.add_argument("--format", required=True, choices=[*FORMATS])
    parser.add_argument("--episodes", type=Path, required=True, metavar="DIR", help="holds one folder an episode")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="must not exist")
    parser.add_argument("--name", help="of the dataset; the output folder's name without it")
    parser.add_argument("--licence", default="", help="for example cc-by-4.0")
    parser.add_argument("--quiet", action="store_true")
    given = parser.parse_args()
    dataset = DatasetInfo(name=given.name or given.out.name, licence=given.licence)
    control = Control() if given.quiet else Control(on_progress=_show)
    try:
        done = run_export(
            export_format(given.format), dataset, FolderEpisodes(given.episodes), FolderSink(given.out), control
        )
    except SopError as error:
        print(f"{error.code}: {error.message}", file=sys.stderr)
        return 1
    print(msgspec.json.encode(done).decode() if done else "finished before")
    return 0


def _show(progress: Progress) -> None:
    share = progress.bytes_read / max(1, progress.bytes_total)
    print(f"\r{share:6.1%}  {progress.frames} frames  {progress.file[-60:]:60}", end="", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
