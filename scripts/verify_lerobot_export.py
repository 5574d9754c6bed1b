"""Export recorded episodes for scripts/verify-lerobot: `verify_lerobot_export.py EPISODES OUT`, in our environment.

OUT/v3      all but the last two episodes, three a file, every third labelled a failure by a person
OUT/other   the last two, to be merged
OUT/v21     all but the last two, in v2.1
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fleet.exports.base import DatasetInfo, Entry, ExportFormat
from fleet.exports.lerobot_v3 import LeRobotV3
from fleet.exports.lerobot_v21 import LeRobotV21
from fleet.exports.objects import FolderEpisodes
from fleet.exports.runner import run_export
from fleet.exports.sink import FolderSink
from fleet.protocol.recording import Outcome

OTHER = 2


class _Chosen(FolderEpisodes):
    def __init__(self, root: Path, entries: list[Entry]) -> None:
        super().__init__(root)
        self._entries = entries

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self._entries)


def main(root: Path, out: Path) -> None:
    entries = [
        Entry(manifest=entry.manifest, outcome=Outcome.FAILURE if index % 3 == 2 else Outcome.SUCCESS)
        for index, entry in enumerate(FolderEpisodes(root))
    ]
    if len(entries) < OTHER + 3:
        sys.exit(f"{len(entries)} episodes in {root}; {OTHER + 3} are needed")
    out.mkdir(parents=True)
    parts: dict[str, tuple[ExportFormat, list[Entry]]] = {
        "v3": (LeRobotV3(episodes=3), entries[:-OTHER]),
        "other": (LeRobotV3(), entries[-OTHER:]),
        "v21": (LeRobotV21(), entries[:-OTHER]),
    }
    for name, (fmt, chosen) in parts.items():
        done = run_export(fmt, DatasetInfo(name=name), _Chosen(root, chosen), FolderSink(out / name))
        assert done is not None
        print(f"exported {name}: {len(chosen)} episodes, {done.files} files, {done.size} bytes, {fmt.title}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
