"""What every format says of an episode besides its steps: who drove, what ran, how it ended. One scalar a column."""

from __future__ import annotations

import msgspec

from fleet.exports.base import Entry, Row


def provenance(entry: Entry) -> Row:
    """Return the columns, the same for every episode and never null, so that a filter needs no case for it."""
    manifest = entry.manifest
    calibration = manifest.calibration or None
    operators = sorted({segment.operator for segment in manifest.segments if segment.operator})
    return {
        "episode_id": manifest.episode_id,
        "split": entry.split,
        "success": entry.is_success,
        "outcome": str(entry.final_outcome),
        "outcome_source": "person" if entry.outcome else str(manifest.outcome_source),
        "outcome_reason": manifest.outcome_reason,
        "tags": ",".join(entry.tags),
        "origin": str(manifest.origin),
        "task_id": manifest.task_id or "",
        "task_slug": manifest.task_slug,
        "robot_id": manifest.robot_id or "",
        "robot_name": manifest.robot_name,
        "driver": manifest.driver,
        "policy_version": manifest.policy_version_id or "",
        "intervention_frames": manifest.human_steps,
        "operators": ",".join(operators),
        "lease_epochs": ",".join(str(e) for e in sorted({s.lease_epoch for s in manifest.segments if s.lease_epoch})),
        "seed": manifest.seed,
        "started_ns": manifest.started_ns,
        "ended_ns": manifest.ended_ns,
        "segments": msgspec.json.encode(manifest.segments, order="sorted").decode(),
        "calibration": calibration.document if calibration else "",
        "calibration_sha256": calibration.sha256 if calibration else "",
        "software": msgspec.json.encode(manifest.software, order="sorted").decode(),
    }
