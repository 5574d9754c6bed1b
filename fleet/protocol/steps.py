"""`steps.parquet`: the one codec for step columns, used by the recorder, the server's checks and the learner.

Apart from `recording.py` because it needs pyarrow. LeRobot v3.0 stores vectors as fixed-size lists; so does this, and
an export copies the columns without conversion.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fleet.protocol.errors import InvalidEpisode
from fleet.protocol.recording import MAX_STEPS, STEP_COLUMNS, StepArrays

MAX_WIDTH = 256  # values of a vector column in a step, as the manifest allows


def encode_steps(steps: StepArrays) -> bytes:
    """Return the columns as one Parquet file with one row group, in the order of STEP_COLUMNS."""
    arrays: dict[str, pa.Array] = {}
    for column in STEP_COLUMNS:
        values = np.ascontiguousarray(steps[column.name])
        flat = pa.array(values.reshape(-1))
        arrays[column.name] = flat if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    sink = io.BytesIO()
    table = pa.table(arrays)
    pq.write_table(table, sink, compression="snappy", row_group_size=max(1, table.num_rows))
    return sink.getvalue()


def decode_steps(data: bytes) -> dict[str, np.ndarray[Any, Any]]:
    """Return the columns of a Parquet file as numpy arrays, scalars [T] and vectors [T, n].

    Raises: InvalidEpisode if the bytes are no Parquet file, or hold nulls, nested types other than vectors, a column
    twice, or more than any episode has: a few kilobytes of Parquet can stand for gigabytes, so that is seen first.
    """
    try:
        file = pq.ParquetFile(io.BytesIO(data))
        _check_extent(file)
        table = file.read()
        return {name: _to_numpy(table.column(name).combine_chunks()) for name in table.column_names}
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InvalidEpisode(f"steps do not parse: {type(error).__name__}", column="") from None


def _check_extent(file: pq.ParquetFile) -> None:
    """Raises: ValueError."""
    names, metadata = file.schema_arrow.names, file.metadata
    if len(set(names)) != len(names) or len(names) > 2 * len(STEP_COLUMNS):
        raise ValueError("columns twice, or too many")
    groups = [metadata.row_group(index) for index in range(min(metadata.num_row_groups, MAX_STEPS + 1))]
    values = max((sum(group.column(k).num_values for group in groups) for k in range(metadata.num_columns)), default=0)
    if metadata.num_rows > MAX_STEPS or values > MAX_STEPS * MAX_WIDTH:
        raise ValueError("more steps than an episode may have")


def _to_numpy(array: pa.Array) -> np.ndarray[Any, Any]:
    if array.null_count:
        raise ValueError("nulls")
    if isinstance(array, pa.FixedSizeListArray):
        values: np.ndarray[Any, Any] = array.flatten().to_numpy(zero_copy_only=False)
        return values.reshape(len(array), array.type.list_size)
    result: np.ndarray[Any, Any] = array.to_numpy(zero_copy_only=False)
    return result
