"""Inputs that are nearly right: samples with bytes changed, cut out, repeated and cut off. Used by the fuzz tests."""

from __future__ import annotations

import os
from collections.abc import Sequence

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("SOP_FUZZ_INPUTS", "200"))  # inputs a decoder
DEEP = 100_000  # of nesting: more than any parser's stack takes

fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

_edits = st.lists(
    st.tuples(st.sampled_from(("set", "drop", "insert", "repeat", "cut")), st.floats(0, 1), st.binary(max_size=9)),
    min_size=1,
    max_size=6,
)


def _edited(data: bytes, edits: Sequence[tuple[str, float, bytes]]) -> bytes:
    for kind, where, piece in edits:
        at = int(where * len(data))
        if kind == "set":
            data = data[:at] + piece + data[at + len(piece) :]
        elif kind == "drop":
            data = data[:at] + data[at + max(1, len(piece)) :]
        elif kind == "insert":
            data = data[:at] + piece + data[at:]
        elif kind == "repeat":
            data = data[:at] + data[at : at + 40] * 3 + data[at:]
        else:
            data = data[:at]
    return data


def near(samples: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Samples with a few edits, and now and then bytes out of nothing."""
    mutated = st.builds(_edited, st.sampled_from(list(samples)), _edits)
    return st.one_of(mutated, mutated, mutated, st.binary(max_size=300))
