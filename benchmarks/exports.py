"""How fast a dataset is exported, against a plain copy of the same bytes, and how much memory it takes.

    python -m benchmarks.exports [--quick] [--frames 10000 100000 1000000] [--formats lerobot-v3.0 ...]
    python -m benchmarks.exports --writer var/lerobot-0.6.1/bin/python    # LeRobot's own writer on the recordings, too

Episodes of 150 frames with one camera of 64 x 48 pixels; of a few recordings that repeat under other ids, because
recording a million frames takes longer than exporting them. Each export is a process of its own whose resident memory
is read from the kernel: at the first report, and its peak. The copy reads and writes the same objects file by file with
an fsync each. Prints JSON; asserts nothing. Compare figures of one run alone.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import msgspec
import psutil

from fleet.exports.base import Control, DatasetInfo, Entry, Progress
from fleet.exports.objects import FolderEpisodes
from fleet.exports.registry import FORMATS, export_format
from fleet.exports.runner import run_export
from fleet.exports.sink import FolderSink
from tests.fleet.exports.made import write_episode

STEPS = 150  # of an episode
RECORDINGS = 20  # different ones; the rest are these again


class Repeated:
    """`Episodes` without end: recordings of a folder under new ids. Only one manifest is in memory at a time."""

    def __init__(self, root: Path, count: int) -> None:
        self._root = root
        self._count = count
        self._recordings = list(FolderEpisodes(root))

    def __iter__(self) -> Iterator[Entry]:
        for index in range(self._count):
            manifest = self._recordings[index % len(self._recordings)].manifest
            yield Entry(manifest=msgspec.structs.replace(manifest, episode_id=str(uuid.UUID(int=index))))

    def open(self, episode_id: str, name: str) -> IO[bytes]:
        recording = self._recordings[uuid.UUID(episode_id).int % len(self._recordings)].manifest.episode_id
        return (self._root / recording / name).open("rb")


def copy(root: Path, count: int, target: Path) -> dict[str, float]:
    """Copy every object of the episodes, synced, as the raw format lays them out."""
    episodes, begun, size = Repeated(root, count), time.monotonic(), 0
    for entry in episodes:
        folder = target / entry.manifest.episode_id
        folder.mkdir(parents=True)
        for record in entry.manifest.objects:
            with (
                episodes.open(entry.manifest.episode_id, record.name) as source,
                (folder / record.name).open("wb") as out,
            ):
                shutil.copyfileobj(source, out, 1024 * 1024)
                out.flush()
                os.fsync(out.fileno())
            size += record.size
    return {"seconds": time.monotonic() - begun, "bytes": size}


def export(name: str, root: Path, count: int, target: Path) -> dict[str, Any]:
    """Export in this process; memory in MB at the first report, at its quarters, and at most."""
    memory: list[float] = []
    process = psutil.Process()

    def watch(progress: Progress) -> None:
        if progress.bytes_read >= progress.bytes_total * len(memory) / 4:
            memory.append(process.memory_info().rss / 1e6)

    begun = time.monotonic()
    done = run_export(
        export_format(name),
        DatasetInfo(name="benchmark"),
        Repeated(root, count),
        FolderSink(target),
        Control(on_progress=watch),
    )
    assert done is not None
    return {
        "seconds": time.monotonic() - begun,
        "bytes": done.size,
        "files": done.files,
        "rss_mb_by_quarter": [round(value) for value in memory],
        "rss_mb_peak": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
    }


def measure(folder: Path, sizes: list[int], formats: list[str]) -> Iterator[dict[str, Any]]:
    root = folder / "recordings"
    for seed in range(1, RECORDINGS + 1):
        write_episode(root, seed, steps=STEPS, human=20)
    for frames in sizes:
        count = max(1, frames // STEPS)
        copied = child("copy", root, count, folder / "copy")
        for name in formats:
            found = child(name, root, count, folder / "export")
            yield {
                "format": name,
                "frames": count * STEPS,
                "frames_per_s": round(count * STEPS / found["seconds"]),
                "times_a_copy": round(found["seconds"] / copied["seconds"], 2),
                **{key: round(value, 1) if isinstance(value, float) else value for key, value in found.items()},
            }


def written(python: str, folder: Path) -> dict[str, Any]:
    """Let LeRobot record the recordings anew, and export these same frames: once each."""
    command = [python, "benchmarks/lerobot_writer.py", str(folder / "recordings"), str(folder / "written")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=3600)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    ours = child("lerobot-v3.0", folder / "recordings", RECORDINGS, folder / "export")
    ratio = round(found["seconds"] / ours["seconds"], 1)
    rate = round(found["frames"] / found["seconds"])
    return {"format": "LeRobot's writer", "frames_per_s": rate, "times_our_export": ratio, **found}


def child(what: str, root: Path, count: int, target: Path) -> dict[str, Any]:
    """Measure in a process of its own, and remove what it wrote."""
    command = [sys.executable, "-m", "benchmarks.exports", "--child", what, str(root), str(count), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=4 * 3600)
    shutil.rmtree(target)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        what, root, count, target = sys.argv[2:6]
        given = (Path(root), int(count), Path(target))
        print(json.dumps(copy(*given) if what == "copy" else export(what, *given)))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few thousand frames: whether it runs at all")
    parser.add_argument("--frames", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--formats", nargs="+", choices=[*FORMATS], default=["lerobot-v3.0", "lerobot-v2.1", "raw"])
    parser.add_argument("--writer", metavar="PYTHON", help="of scripts/verify-lerobot's environment")
    parser.add_argument("--folder", type=Path, help="on the disk to measure; the temporary one without")
    options = parser.parse_args()
    sizes = [1_500, 3_000] if options.quick else options.frames
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        rows = list(measure(Path(folder), sizes, options.formats))
        if options.writer:
            rows.append(written(options.writer, Path(folder)))
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print(json.dumps({"machine": machine, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
