"""The distance by hand: whose frames count, which plan covers them, and what is cut off."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fleet.daemon.shadow_distance import NONE, Proposed, episode_distances
from fleet.protocol.authority import MODE_CODES, SOURCE_CODES, Mode, Source

P, H, S, X = "policy", "person", "scripted", "held"
MODES = {P: (Mode.AUTONOMOUS, Source.POLICY), H: (Mode.TELEOP, Source.PERSON), S: (Mode.TELEOP, Source.SCRIPTED),
         X: (Mode.PAUSED, Source.POLICY)}  # fmt: skip


def arrays(drivers: list[str], *, action: float = 0.0, own: float = 0.0, missing: set[int] = frozenset()) -> Any:
    """Columns of an episode on two axes in which every executed action is `action` and every own proposal `own`."""
    n = len(drivers)
    return {
        "action": np.full((n, 2), action, np.float32),
        "action.proposed": np.full((n, 2), own, np.float32),
        "proposed": np.array([step not in missing for step in range(n)]),
        "mode": np.array([MODE_CODES[MODES[driver][0]] for driver in drivers], np.int8),
        "source": np.array([SOURCE_CODES[MODES[driver][1]] for driver in drivers], np.int8),
    }


def chunk(*rows: tuple[float, float]) -> Any:
    return np.array(rows, np.float32)


def test_it_is_the_root_mean_square_over_frames_and_axes() -> None:
    """(0.3, 0.4) and (0, 0): squares .09 .16 0 0, mean .0625, root .25."""
    found = episode_distances([Proposed(0, 2, chunk((0.3, 0.4), (0.0, 0.0)))], arrays([P, P]))
    assert found.policy.proposals == 1
    assert found.policy.total == pytest.approx(0.25) == found.policy.p50
    assert found.human == found.own == NONE


def test_only_what_was_executed_before_the_next_plan_counts() -> None:
    """The third row was never due: the policy planned anew at step 2. The second chunk outlives the episode."""
    rows = chunk((0.5, 0.5), (0.5, 0.5), (2.0, 2.0))
    found = episode_distances([Proposed(0, 2, rows), Proposed(2, 9, chunk((0.1, 0.1)))], arrays([P, P, P]))
    assert found.policy.proposals == 2
    assert found.policy.total == pytest.approx(0.6)


def test_policy_and_human_frames_of_one_chunk_are_told_apart() -> None:
    """The human goes to 1, the executing policy wanted 0.2: it lay .8 away, the candidate's .7 only .3."""
    columns = arrays([P, H, S, X], own=0.2)
    columns["action"][1:3] = 1.0
    found = episode_distances([Proposed(0, 4, chunk(*[(0.7, 0.7)] * 4))], columns)
    assert found.policy.total == pytest.approx(0.7)
    assert (found.human.proposals, found.own.proposals) == (1, 1)
    assert found.human.total == pytest.approx(0.3)
    assert found.own.total == pytest.approx(0.8)


def test_frames_for_which_the_executing_policy_had_no_answer_are_not_paired() -> None:
    found = episode_distances([Proposed(0, 2, chunk((0.5, 0.5), (0.5, 0.5)))], arrays([H, H], missing={0, 1}))
    assert found.human == found.own == found.policy == NONE


def test_what_no_robot_would_be_sent_is_cut_off_at_the_range() -> None:
    found = episode_distances([Proposed(0, 1, chunk((50.0, -50.0)))], arrays([P]))
    assert found.policy.total == pytest.approx(1.0)


def test_quantiles_are_of_the_proposals() -> None:
    proposals = [Proposed(step, step + 1, chunk((step / 10, step / 10))) for step in range(5)]
    found = episode_distances(proposals, arrays([P] * 5)).policy
    assert (found.p50, found.p95) == (pytest.approx(0.2), pytest.approx(0.38))


def test_the_same_policy_has_no_distance_to_itself() -> None:
    columns = arrays([P, P, P], action=0.4, own=0.4)
    assert episode_distances([Proposed(0, 3, chunk(*[(0.4, 0.4)] * 3))], columns).policy.total == 0.0
