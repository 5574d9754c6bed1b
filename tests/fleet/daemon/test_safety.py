"""The last word before the driver: limits, slew, workspace, non-finite."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.daemon.config import ConfigError, SafetyConfig
from fleet.daemon.safety import ActionGuard

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
    guarded = guard.guard(asked, row(0.0, 0.0, 1.0), row(0.0))
    assert np.allclose(guarded.action, expected)
    assert not guarded.is_held


@pytest.mark.parametrize(
    "asked",
    [None, row(np.nan, 0, 0), row(0, np.inf, 0), row(0, 0, -np.inf), row(0.0, 0.0), np.zeros((1, 3), np.float32)],
)
def test_unusable_requests_hold_still_and_keep_the_grip(asked: Any) -> None:
    guarded = ActionGuard(SafetyConfig(), NAMES).guard(asked, row(0.7, -0.7, 0.9), row(0.0))
    assert guarded.is_held
    assert guarded.action.tolist() == pytest.approx([0.0, 0.0, 0.9])


@given(st.lists(st.tuples(any_float, any_float, any_float), max_size=20))
def test_whatever_is_asked_the_executed_action_is_finite_limited_and_slow(asked: list[tuple[float, ...]]) -> None:
    """Invariant over any sequence of requests; only holding still may change faster than the slew limit."""
    guard = ActionGuard(SafetyConfig(low=(-0.9,), high=(0.5,), max_change_per_step=(0.25,)), NAMES)
    previous = guard.rest
    for request in asked:
        guarded = guard.guard(row(*request), previous, row(0.0))
        assert guarded.action.dtype == np.float32
        assert np.isfinite(guarded.action).all()
        assert (guarded.action >= np.float32(-0.9)).all() and (guarded.action <= np.float32(0.5)).all()
        if not guarded.is_held:
            assert (np.abs(guarded.action - previous) <= 0.25 + 1e-6).all()
        previous = guarded.action


@pytest.mark.parametrize(
    "changes",
    [
        {"low": (-1.0, -1.0)},
        {"low": (1.0,), "high": (1.0,)},
        {"max_change_per_step": (1.0,) * 4},
        {"workspace_low": (0.0,) * 4, "workspace_high": (1.0,) * 4},
    ],
)
def test_limits_that_do_not_fit_the_axes_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ActionGuard(SafetyConfig(**changes), NAMES)


def test_the_handover_has_a_slew_of_its_own_and_says_what_it_changed() -> None:
    guard = ActionGuard(SafetyConfig(max_change_per_step=(0.9,), handover_change_per_step=(0.3,)), NAMES)
    asked, rest, state = row(1.0, 0.0, 0.0), row(0.0, 0.0, 0.0), row(0.0)
    assert guard.guard(asked, rest, state).action.tolist() == pytest.approx([0.9, 0.0, 0.0])
    handover = guard.guard(asked, rest, state, is_handover=True)
    assert handover.action.tolist() == pytest.approx([0.3, 0.0, 0.0])
    assert handover.limits == ("slew",)
    assert guard.guard(row(1.5, 0, 0), row(1, 0, 0), state).limits == ("rate",)
    assert guard.guard(row(0.5, 0, 0), rest, state).limits == ()


@pytest.mark.parametrize(
    ("at", "asked", "applied"),
    [
        (row(0.5, 0.5), row(0.2, -0.2, 1.0), row(0.2, -0.2, 1.0)),
        (row(1.0, 0.5), row(0.2, -0.2, 1.0), row(0.0, -0.2, 1.0)),  # at the wall: no further
        (row(1.3, 0.5), row(-0.2, -0.2, 1.0), row(-0.2, -0.2, 1.0)),  # beyond it: back is free
        (row(0.5, -0.1), row(0.2, -0.2, 1.0), row(0.2, 0.0, 1.0)),
    ],
)
def test_the_workspace_is_a_box_that_lets_back_in(at: Any, asked: Any, applied: Any) -> None:
    guard = ActionGuard(SafetyConfig(workspace_low=(0.0, 0.0), workspace_high=(1.0, 1.0)), NAMES)
    guarded = guard.guard(asked, row(0.0, 0.0, 1.0), at)
    assert np.allclose(guarded.action, applied)
    assert guarded.limits == (() if np.array_equal(asked, applied) else ("workspace",))


def test_slowing_leaves_the_grip_alone() -> None:
    guard = ActionGuard(SafetyConfig(), NAMES)
    assert guard.slowed(row(1.0, -0.5, 0.9), 0.5).tolist() == pytest.approx([0.5, -0.25, 0.9])
    assert guard.is_moving(row(0.0, 0.1, 0.0)) and not guard.is_moving(row(0.0, 0.0, 1.0))


@pytest.mark.parametrize("kept", [(), ("gripper", "dx"), ("dx",)])
def test_axes_that_only_one_of_driver_and_configuration_keeps_are_refused(kept: tuple[str, ...]) -> None:
    """Held at zero, an axis that is a place goes to the middle of its range; kept, one that is a speed goes on."""
    names = ("dx", "gripper")
    ActionGuard(SafetyConfig(), names, kept_axes=("gripper",))
    with pytest.raises(ConfigError) as raised:
        ActionGuard(SafetyConfig(), names, kept_axes=kept)
    assert raised.value.data["key"] == "safety.kept_axes"
