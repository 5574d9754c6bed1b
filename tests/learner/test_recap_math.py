"""RECAP's arithmetic: returns, advantage, threshold, indicator, and a value function with a closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from learner.algorithms.recap.advantage import advantages, returns, rewards, threshold
from learner.algorithms.recap.config import ValueConfig
from learner.algorithms.recap.losses import BINS, drop_indicators, two_hot
from learner.algorithms.recap.sidecar import indicator_of
from learner.algorithms.recap.value import ValueDiverged, fit_value
from learner.data.index import FrameClass
from learner.policies.base import Indicator


def test_two_hot_targets_keep_the_value():
    """Mass on the two neighbours, whose mean is the value; the ends and what lies beyond them are the end bins."""
    values_B = torch.tensor([-1.0, -0.5, -0.4975, -0.001, 0.0, -3.0])
    target_BV = two_hot(values_B)

    bins_V = torch.linspace(-1, 0, BINS)
    assert torch.allclose(target_BV @ bins_V, values_B.clamp(-1, 0), atol=1e-6)
    assert torch.allclose(target_BV.sum(1), torch.ones(6))
    assert (target_BV > 1e-4).sum(1).tolist() == [1, 1, 2, 2, 1, 1]
    assert target_BV[2, 100:102].tolist() == pytest.approx([0.5, 0.5], abs=1e-4)


def test_returns_count_the_steps_to_success_and_mark_failure():
    """Four steps of a task whose longest episode has eight, by hand; a pause costs nothing."""
    acting_T = np.array([True, True, False, True])

    success_T = rewards(acting_T, is_success=True, longest=8, failure_cost=1.0)
    failure_T = rewards(acting_T, is_success=False, longest=8, failure_cost=0.5)

    assert success_T.tolist() == [-0.125, -0.125, 0, 0]
    assert returns(success_T).tolist() == [-0.25, -0.125, 0, 0]
    assert returns(failure_T).tolist() == [-0.75, -0.625, -0.5, -0.5]
    assert returns(rewards(acting_T, is_success=False, longest=8, failure_cost=1.0)).tolist() == [-1] * 4


def test_advantage_looks_ahead_and_stops_at_the_end():
    """By hand: the values within reach count, past the end there are neither rewards nor values."""
    reward_T = np.array([-0.1, -0.1, -0.1, 0.0])
    value_T = np.array([-0.5, -0.4, -0.1, -0.2])

    assert advantages(reward_T, value_T, lookahead=2) == pytest.approx([-0.2 - 0.1 + 0.5, -0.2 - 0.2 + 0.4, 0.0, 0.2])
    assert advantages(reward_T, value_T, lookahead=50) == pytest.approx([0.2, 0.2, 0.0, 0.2])


def test_advantage_of_the_true_value_is_zero():
    """If the value is the return of this very episode, nothing was better or worse than expected."""
    reward_T = rewards(np.ones(30, dtype=bool), is_success=True, longest=60, failure_cost=1.0)
    for lookahead in (1, 7, 100):
        assert np.abs(advantages(reward_T, returns(reward_T), lookahead=lookahead)).max() < 1e-12


@pytest.mark.parametrize("share", [0.1, 0.3, 0.4, 0.5])
def test_threshold_leaves_the_stated_share_positive(share: float):
    """Of 1,000 different advantages the stated share is above; of equal ones none."""
    advantage_N = np.random.default_rng(0).normal(size=1000)
    assert (advantage_N > threshold(advantage_N, positive_share=share)).mean() == pytest.approx(share, abs=0.0011)
    assert not (np.ones(5) > threshold(np.ones(5), positive_share=share)).any()


def test_what_a_person_did_is_positive_whatever_its_advantage():
    """Corrections and demonstrations are forced; rollouts follow the threshold; unknown and idle frames say nothing."""
    for advantage in (-1.0, 1.0, math.nan):
        assert indicator_of(FrameClass.INTERVENTION, advantage, 0.0) is Indicator.POSITIVE
        assert indicator_of(FrameClass.DEMONSTRATION, advantage, 0.0) is Indicator.POSITIVE
        assert indicator_of(FrameClass.OTHER, advantage, 0.0) is Indicator.NONE
    for kind in (FrameClass.ROLLOUT, FrameClass.PRE_INTERVENTION, FrameClass.ROLLOUT_SUCCESS):
        assert indicator_of(kind, 0.1, 0.0) is Indicator.POSITIVE
        assert indicator_of(kind, 0.0, 0.0) is Indicator.NEGATIVE
        assert indicator_of(kind, math.nan, 0.0) is Indicator.NONE


def test_value_of_a_toy_chain_is_the_closed_form():
    """A chain of eight states: three of four episodes reach the end, one fails half-way.

    V(s) = p(success | s) (-(steps to the end)) + p(failure | s) (-1), in lengths of the longest episode.
    """
    states, half = 8, 4
    inputs, targets = [], []
    for length, is_success in ((states, True), (states, True), (states, True), (half, False)):
        reward_T = rewards(np.ones(length, dtype=bool), is_success=is_success, longest=states, failure_cost=1.0)
        inputs.append(np.eye(states, dtype=np.float32)[:length])
        targets.append(returns(reward_T).astype(np.float32))
    data = torch.from_numpy(np.concatenate(inputs)), torch.from_numpy(np.concatenate(targets))
    config = ValueConfig(steps=800, batch_size=64, width=32, learning_rate=5e-3)
    value = fit_value(*data, config, generator=torch.Generator().manual_seed(0))

    to_go = -np.arange(states - 1, -1, -1) / states
    expected = np.concatenate([0.75 * to_go[:half] - 0.25, to_go[half:]])
    assert value.values(torch.eye(states)).tolist() == pytest.approx(expected.tolist(), abs=0.01)


def test_a_diverged_value_function_is_an_error():
    """Inputs that are not finite end the fit with a typed error."""
    inputs_NX = torch.full((4, 3), float("nan"))
    with pytest.raises(ValueDiverged):
        fit_value(inputs_NX, torch.zeros(4), ValueConfig(steps=2), generator=torch.Generator())


def test_indicators_are_dropped_at_the_stated_rate():
    """30 % of 20,000, within four deviations; what is not dropped stays."""
    indicator_B = torch.randint(1, 3, (20_000,), generator=torch.Generator().manual_seed(0))
    told_B = drop_indicators(indicator_B, 0.3, torch.rand(20_000, generator=torch.Generator().manual_seed(1)))

    is_hidden_B = told_B == Indicator.NONE
    assert float(is_hidden_B.float().mean()) == pytest.approx(0.3, abs=4 * (0.21 / 20_000) ** 0.5)
    assert torch.equal(told_B[~is_hidden_B], indicator_B[~is_hidden_B])
