"""The control loop with a fake clock: what operators order of the running episode."""

from __future__ import annotations

import pytest

from fleet.protocol.messages import EpisodeOrder, OrderKind
from fleet.protocol.recording import Outcome, OutcomeSource
from tests.fleet.daemon.loop_made import Heard, driven_by_ana, runner, spec
from tests.fleet.daemon.point import ConstantPolicy


def order(kind: OrderKind, *, order_id: str = "1", epoch: int = 1, episode_id: str | None = None) -> EpisodeOrder:
    return EpisodeOrder(
        order_id=order_id, epoch=epoch, kind=kind, episode_id=episode_id or spec().episode_id, by="ana", reason=""
    )


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        (OrderKind.SUCCESS, Outcome.SUCCESS),
        (OrderKind.FAILURE, Outcome.FAILURE),
        (OrderKind.RESTART, Outcome.ABORTED),
        (OrderKind.END, Outcome.ABORTED),
    ],
)
def test_the_operators_word_ends_the_episode(kind: OrderKind, outcome: Outcome) -> None:
    inbox, heard = driven_by_ana(range(3, 30), dx=0.1, until=10**6), Heard()
    inbox.events[12] = lambda inbox: inbox.put_order(order(kind))
    loop = runner(inbox=inbox, events=heard)
    recording = loop.run(spec(), ConstantPolicy(dx=0.0))
    assert (recording.outcome, recording.outcome_source, recording.steps) == (outcome, OutcomeSource.PERSON, 13)
    assert recording.environment_outcome is None
    assert recording.outcome_reason == f"{kind.value} by ana"
    assert heard.answers == [("1", "")]
    assert loop.is_restart_wanted is (kind is OrderKind.RESTART)


def test_the_operators_word_wins_over_the_environments_and_both_are_kept() -> None:
    """The point arrives in the very step in which ana calls it a failure."""
    free = runner(inbox=driven_by_ana(range(3, 60), dx=1.0, until=10**6)).run(spec(), ConstantPolicy(dx=0.0))
    assert free.outcome is Outcome.SUCCESS
    inbox = driven_by_ana(range(3, 60), dx=1.0, until=10**6)
    drive = inbox.events[free.steps - 1]
    inbox.events[free.steps - 1] = lambda box: (drive(box), box.put_order(order(OrderKind.FAILURE)))
    labelled = runner(inbox=inbox).run(spec(), ConstantPolicy(dx=0.0))
    assert (labelled.outcome, labelled.environment_outcome) == (Outcome.FAILURE, Outcome.SUCCESS)


def test_orders_of_a_former_driver_or_about_another_episode_are_refused() -> None:
    inbox, heard = driven_by_ana(range(3, 30), dx=0.1, until=12), Heard()
    other = "00000000-0000-4000-8000-00000000000f"
    inbox.events[6] = lambda inbox: inbox.put_order(order(OrderKind.END, order_id="other", episode_id=other))
    inbox.events[7] = lambda inbox: inbox.put_order(order(OrderKind.END, order_id="old", epoch=0))
    inbox.events[15] = lambda inbox: inbox.put_order(order(OrderKind.END, order_id="gone"))
    loop = runner(inbox=inbox, events=heard)
    assert loop.run(spec(max_steps=20), ConstantPolicy(dx=0.0)).outcome is Outcome.TIMEOUT
    inbox.put_order(order(OrderKind.END, order_id="idle"))
    loop.idle_step()
    assert heard.answers == [
        ("other", "episode_over"),
        ("old", "lease_fenced"),
        ("gone", "lease_fenced"),
        ("idle", "no_episode"),
    ]
