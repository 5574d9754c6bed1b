"""Which frames carry loss, on hand-made episodes."""

from __future__ import annotations

import numpy as np
import pytest

from fleet.protocol.authority import Mode, Source
from fleet.protocol.recording import Origin, Outcome
from learner.data.index import FrameClass, index_episode
from learner.data.masks import FrameRule, carrying_frames, chunk_mask, class_weights
from tests.learner.hand_made import AUTONOMOUS, HANDOVER, TELEOP, make_manifest

PAUSED = (Mode.PAUSED, Source.POLICY)


def test_only_expert_frames_carry_loss_under_intervention_only():
    """Frames of handover, pause and autonomy are left out; both interventions are in."""
    runs = [(20, AUTONOMOUS), (2, HANDOVER), (5, TELEOP), (3, PAUSED), (4, HANDOVER), (6, TELEOP)]
    episode = index_episode(make_manifest("a", runs))

    frames = carrying_frames(episode.classes_T, FrameRule.INTERVENTION_ONLY)

    assert frames.tolist() == [*range(22, 27), *range(34, 40)]


@pytest.mark.parametrize(
    ("outcome", "wanted"), [(Outcome.SUCCESS, list(range(10))), (Outcome.TIMEOUT, []), (Outcome.FAILURE, [])]
)
def test_autonomous_successes_are_added(outcome: Outcome, wanted: list[int]):
    """Under intervention_and_success an unassisted success carries loss, an unassisted failure none."""
    episode = index_episode(make_manifest("b", [(10, AUTONOMOUS)], outcome=outcome))

    assert carrying_frames(episode.classes_T, FrameRule.INTERVENTION_AND_SUCCESS).tolist() == wanted
    assert carrying_frames(episode.classes_T, FrameRule.INTERVENTION_ONLY).tolist() == []


def test_autonomous_part_of_an_assisted_success_is_no_autonomous_success():
    """What the policy did before it was rescued is not imitated."""
    episode = index_episode(make_manifest("c", [(20, AUTONOMOUS), (10, TELEOP)]))

    frames = carrying_frames(episode.classes_T, FrameRule.INTERVENTION_AND_SUCCESS)

    assert frames.tolist() == list(range(20, 30))


def test_a_demonstration_carries_loss_under_every_rule():
    """All steps of a demonstration are expert steps."""
    episode = index_episode(make_manifest("d", [(12, TELEOP)], origin=Origin.DEMONSTRATION))

    for rule in FrameRule:
        assert carrying_frames(episode.classes_T, rule).tolist() == list(range(12))


def test_evaluation_never_carries_loss():
    """Evaluation episodes are not trained on, whatever happened in them."""
    episode = index_episode(make_manifest("e", [(12, AUTONOMOUS)], origin=Origin.EVALUATION))

    for rule in FrameRule:
        assert carrying_frames(episode.classes_T, rule).tolist() == []


def test_chunks_are_masked_from_the_gate_change_on():
    """A chunk that starts three steps before the end of the expert's run keeps three actions."""
    episode = index_episode(make_manifest("f", [(20, TELEOP), (10, AUTONOMOUS)]))
    starts = np.array([0, 17, 25])

    mask = chunk_mask(starts, episode.run_end_T[starts], 12)

    assert mask.sum(axis=1).tolist() == [12, 3, 5]
    assert mask[1].tolist() == [1, 1, 1] + [0] * 9


def test_sirius_classes_and_weights():
    """Fifteen frames before a takeover are marked; shares become 0.5, 0.002, natural and the rest."""
    episode = index_episode(make_manifest("g", [(25, AUTONOMOUS), (2, HANDOVER), (20, TELEOP)]))
    kinds = [FrameClass(int(kind)) for kind in episode.classes_T]
    assert kinds[:10] == [FrameClass.ROLLOUT] * 10
    assert kinds[10:25] == [FrameClass.PRE_INTERVENTION] * 15
    assert kinds[25:27] == [FrameClass.OTHER] * 2

    counts = {
        FrameClass.DEMONSTRATION: 100,
        FrameClass.INTERVENTION: 200,
        FrameClass.PRE_INTERVENTION: 100,
        FrameClass.ROLLOUT: 500,
        FrameClass.ROLLOUT_SUCCESS: 100,
        FrameClass.OTHER: 77,
    }
    weights = class_weights(FrameRule.SIRIUS, counts)

    shares = {kind: weights[kind] * counts[kind] / 1000 for kind in counts}
    assert shares[FrameClass.DEMONSTRATION] == pytest.approx(0.1)
    assert shares[FrameClass.INTERVENTION] == pytest.approx(0.5)
    assert shares[FrameClass.PRE_INTERVENTION] == pytest.approx(0.002)
    assert shares[FrameClass.ROLLOUT] + shares[FrameClass.ROLLOUT_SUCCESS] == pytest.approx(0.398)
    assert weights[FrameClass.OTHER] == 0
