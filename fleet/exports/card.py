"""README.md of an export: the dataset's card under the header that dataset hubs read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import IO

from fleet.exports.base import Job


def write_card(job: Job, out: IO[bytes], *, tags: Sequence[str] = (), data_files: str = "") -> None:
    """Write the card. JSON strings are YAML strings, so nothing in a name or licence can break out of its line."""
    dataset, summary = job.dataset, job.summary
    lines = ["---"]
    if dataset.licence:
        lines.append(f"license: {json.dumps(dataset.licence)}")
    lines += ["task_categories:", "- robotics"]
    if tags:
        lines += ["tags:", *(f"- {json.dumps(tag)}" for tag in tags)]
    if data_files:
        lines += ["configs:", "- config_name: default", f"  data_files: {json.dumps(data_files)}"]
    lines += ["---", "", f"# {_line(dataset.name)}, version {_line(dataset.version)}", ""]
    lines += [
        f"{summary.episodes} episodes, {summary.frames} frames at {summary.rate_hz:g} Hz; "
        f"{summary.successes} successes; people drove {summary.human_frames} frames.",
        f"Splits: {', '.join(f'{name} {count}' for name, count in summary.splits.items())}.",
    ]
    if dataset.digest:
        lines.append(f"Digest of the frozen dataset: {_line(dataset.digest)}.")
    if dataset.card:
        lines += ["", dataset.card]
    out.write(("\n".join(lines) + "\n").encode())


def _line(text: str) -> str:
    return " ".join(text.split())
