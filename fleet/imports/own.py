"""Our own exports: steps, segments and provenance come back as they were, or it is said what contradicts what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from fleet.exports.lerobot_common import own_name
from fleet.imports.layout import EpisodeRow
from fleet.imports.mapping import outcome_of
from fleet.imports.tables import matrix
from fleet.protocol.calibration import Calibration
from fleet.protocol.errors import UNPARSABLE, InvalidEpisode
from fleet.protocol.recording import STEP_COLUMNS, OutcomeSource, Segment, segments_of

Array = np.ndarray[Any, Any]


def own_steps(table: pa.Table) -> dict[str, Array]:
    """Return the columns as they were exported. Raises: InvalidEpisode if one does not hold what was exported."""
    steps: dict[str, Array] = {"frame_index": np.arange(table.num_rows, dtype=np.int32)}
    for column in STEP_COLUMNS[1:]:
        name = own_name(column.name)
        try:
            values = matrix(table, name)
        except (KeyError, ValueError) as error:
            raise InvalidEpisode(f"column '{name}': {error}", column=column.name) from None
        exact = values.astype(column.dtype)
        if not np.array_equal(exact, values):
            raise InvalidEpisode(f"column '{name}' is not {column.dtype}", column=column.name)
        steps[column.name] = exact if column.width else exact[:, 0]
    return steps


def own_segments(row: EpisodeRow, steps: dict[str, Array]) -> tuple[Segment, ...]:
    """Return the segments with their operators and reasons. Raises: InvalidEpisode if the steps say otherwise."""
    try:
        segments = msgspec.json.decode(str(row.values["segments"]), type=tuple[Segment, ...])
    except UNPARSABLE:
        raise InvalidEpisode("'segments' of the episode's metadata does not parse", column="segments") from None
    stated = [(s.start, s.end, s.mode, s.source, s.lease_epoch) for s in segments]
    codes = steps["mode"], steps["source"]
    if any(bool(((code < 0) | (code > 100)).any()) for code in codes):
        raise InvalidEpisode("mode or source holds an unknown code", column="mode")
    try:
        found = segments_of(*codes, steps["lease_epoch"])
    except IndexError:
        raise InvalidEpisode("mode or source holds an unknown code", column="mode") from None
    if [(s.start, s.end, s.mode, s.source, s.lease_epoch) for s in found] != stated:
        raise InvalidEpisode("'segments' and the columns mode, source and lease_epoch differ", column="segments")
    return segments


def own_provenance(row: EpisodeRow) -> dict[str, Any]:
    """Return what our export said of the episode, as fields of its manifest.

    Ids of robots and versions stay behind: they are not ours here. Raises: InvalidEpisode.
    """
    values = row.values
    outcome = outcome_of(values["outcome"])
    try:
        if outcome is None:
            raise ValueError(f"outcome {values['outcome']!r:.40}")
        return {
            "outcome": outcome,
            "robot_name": str(values.get("robot_name", ""))[:200],
            "driver": str(values["driver"])[:100],
            "seed": int(values["seed"]),
            "started_ns": int(values["started_ns"]),
            "ended_ns": int(values["ended_ns"]),
            "outcome_source": OutcomeSource(str(values.get("outcome_source", OutcomeSource.ENVIRONMENT))),
            "outcome_reason": str(values.get("outcome_reason", ""))[:2000],
            "software": msgspec.json.decode(str(values.get("software", "{}")), type=dict[str, str]),
            "calibration": _calibration(values),
        }
    except (ValueError, TypeError, *UNPARSABLE) as error:
        raise InvalidEpisode(f"the episode's provenance does not parse: {error!s:.200}", column="provenance") from None


def _calibration(values: Mapping[str, Any]) -> Calibration | msgspec.UnsetType:
    """Return what was exported, if anything; `validate_manifest` looks into it."""
    document = str(values.get("calibration") or "")
    return (
        Calibration(document=document, sha256=str(values.get("calibration_sha256", ""))) if document else msgspec.UNSET
    )


def own_problem(row: EpisodeRow, table: pa.Table) -> str:
    """Return what contradicts what in an episode of our export, "" if nothing does."""
    try:
        own_segments(row, own_steps(table))
        own_provenance(row)
    except InvalidEpisode as error:
        return error.message
    return ""
