"""The last word before the driver: limits, slew, non-finite, deadman, stop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.daemon.config import ConfigError, SafetyConfig
from fleet.daemon.safety import ActionGuard, StopLatch, has_lapsed

NAMES = ("dx", "dy", "gripper")
any_float = st.floats(width=32, allow_nan=True, allow_infinity=True)


def row(*values: float) -> np.ndarray[Any, Any]:
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (row(0.1, -0.1, 1.0), row(0.1, -0.1, 1.0)),
        (row(3.0, -3.0, 0.5), row(0.8, -0.8, 0.5)),  # limits of the axis
        (row(0.0, 0.0, -1.0), row(0.0, 0.0, -0.5)),  # 1.5 a step is the most the gripper may change
    ],
)
def test_actions_are_limited_per_axis(asked: Any, expected: Any) -> None:
    guard = ActionGuard(SafetyConfig(low=(-0.8, -0.8, -1), high=(0.8, 0.8, 1), max_change_per_step=(1.5,)), NAMES)
    guarded = guard.guard(asked, row(0.0, 0.0, 1.0))
    assert np.allclose(guarded.action, expected)
    assert not guarded.is_held


@pytest.mark.parametrize(
    "asked",
    [None, row(np.nan, 0, 0), row(0, np.inf, 0), row(0, 0, -np.inf), row(0.0, 0.0), np.zeros((1, 3), np.float32)],
)
def test_unusable_requests_hold_still_and_keep_the_grip(asked: Any) -> None:
    guarded = ActionGuard(SafetyConfig(), NAMES).guard(asked, row(0.7, -0.7, 0.9))
    assert guarded.is_held
    assert guarded.action.tolist() == pytest.approx([0.0, 0.0, 0.9])


@given(st.lists(st.tuples(any_float, any_float, any_float), max_size=20))
def test_whatever_is_asked_the_executed_action_is_finite_limited_and_slow(asked: list[tuple[float, ...]]) -> None:
    """Invariant over any sequence of requests; only holding still may change faster than the slew limit."""
    guard = ActionGuard(SafetyConfig(low=(-0.9,), high=(0.5,), max_change_per_step=(0.25,)), NAMES)
    previous = guard.rest
    for request in asked:
        guarded = guard.guard(row(*request), previous)
        assert guarded.action.dtype == np.float32
        assert np.isfinite(guarded.action).all()
        assert (guarded.action >= np.float32(-0.9)).all() and (guarded.action <= np.float32(0.5)).all()
        if not guarded.is_held:
            assert (np.abs(guarded.action - previous) <= 0.25 + 1e-6).all()
        previous = guarded.action


@pytest.mark.parametrize(
    "changes",
    [{"low": (-1.0, -1.0)}, {"low": (1.0,), "high": (1.0,)}, {"max_change_per_step": (1.0,) * 4}],
)
def test_limits_that_do_not_fit_the_axes_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ActionGuard(SafetyConfig(**changes), NAMES)


@pytest.mark.parametrize(
    ("now_s", "commanded_at_s", "timeout_s", "lapsed"),
    [
        (1.0, 0.9, 0.5, False),
        (1.0, 0.5, 0.5, False),  # exactly at the limit
        (1.0, 0.49, 0.5, True),
        (1.0, None, 0.5, True),
        (1.0, None, None, False),  # the supervisor in this process sends no commands
        (2.0, 1.99, 0.5, True),  # the lease itself is over
        (2.0, None, None, True),
    ],
)
def test_the_deadman(now_s: float, commanded_at_s: float | None, timeout_s: float | None, lapsed: bool) -> None:
    found = has_lapsed(now_s=now_s, expires_at_s=2.0, commanded_at_s=commanded_at_s, command_timeout_s=timeout_s)
    assert found is lapsed


def test_the_stop_latch_keeps_the_first_reason_until_cleared() -> None:
    latch = StopLatch()
    assert latch.reason is None
    latch.stop("button")
    latch.stop("again")
    assert latch.reason == "button"
    latch.clear()
    assert latch.reason is None
