"""The demo's report: what the robots' own logs say beside what the rows say. Keys as issue 2 names them, and more.

`duplicates` counts rows that no robot's log accounts for, and ids that a log holds twice; `missing` the opposite.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sop_web.demo.checks import describe_machine
from sop_web.demo.config import DemoConfig
from sop_web.demo.evaluation import Success, total
from sop_web.demo.processes import Processes


def closed_episodes(data_dir: Path) -> list[str]:
    """Return the ids of every episode ever closed, from the logs in the state folders of all robots."""
    logs = sorted((data_dir / "robots").glob("*/spool/closed.log"))
    return [episode_id for log in logs for episode_id in log.read_text().split()]


def progress_line(rows: Mapping[str, Any], processes: Processes) -> str:
    """Return one line: episodes by outcome, autonomous success so far, frames, versions, restarts."""
    outcomes = ", ".join(f"{count} {name}" for name, count in sorted(rows["episodes"]["by_outcome"].items()))
    success = rows["autonomous_success"]
    rate = "-" if success is None else f"{success['rate']:.2f} of {success['n']}"
    applied = rows["versions"]["applied_by_robot"].values()
    least, most = min(applied, default=0), max(applied, default=0)
    restarts = sum(processes.get(name).restarts for name in processes.names())
    parts = [
        f"{rows['episodes']['registered']} episodes ({outcomes or 'none yet'})",
        f"autonomous {rate}",
        f"{rows['frames']['human']} of {rows['frames']['total']} frames human",
        f"{rows['versions']['published']} versions, applied {least}-{most} a robot",
        f"step {rows['run']['step'] if rows['run'] else 0}",
    ]
    return " | ".join(parts) + (f" | {restarts} restarts" if restarts else "")


def build_report(
    config: DemoConfig,
    rows: Mapping[str, Any],
    *,
    closed: list[str],
    registered: list[str],
    base: Mapping[str, Success],
    final: Mapping[str, Success],
    more: Mapping[str, object],
) -> dict[str, object]:
    """Return the report. `closed`, `registered`: episode ids on both sides, of all time in this data folder."""
    known = set(closed)
    return {
        "robots": config.robots,
        "minutes": config.minutes,
        "episodes": {
            **rows["episodes"],
            "closed_on_robots": len(known),
            "registered": len(registered),
            "duplicates": len(closed) - len(known) + len([one for one in registered if one not in known]),
            "missing": len(known - set(registered)),
        },
        "frames": rows["frames"],
        "interventions": rows["interventions"],
        "versions": rows["versions"],
        "success": {
            "base": total(base).as_json(),
            "final": total(final).as_json(),
            "by_task": {
                name: {task: success.as_json() for task, success in found.items()}
                for name, found in (("base", base), ("final", final))
            },
            "while_working": rows["autonomous_success"],
        },
        "latency_s": rows["latency_s"],
        "seeds": {
            "base_policy": config.base.seed,
            "robots": [config.robot_seed(index) for index in range(config.robots)],
            "evaluation": [config.eval_seeds().start, config.eval_seeds().stop - 1] if config.eval_episodes else [],
        },
        "settings": {"tasks": config.base.tasks, "speed": config.speed, "rate_hz": config.rate_hz},
        "run": rows["run"],
        "machine": describe_machine(),
        "written_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **more,
    }


def write_report(path: Path, report: Mapping[str, object]) -> None:
    """Write the report under a temporary name first, so that a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(report, indent=2) + "\n")
    partial.replace(path)
