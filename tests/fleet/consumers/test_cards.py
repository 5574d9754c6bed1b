"""Which cards the fleet page shows anew: what people act on at once, figures of so many at a time, nothing twice."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from asgiref.sync import async_to_sync

from fleet import live
from fleet.consumers import cards as module
from fleet.consumers.cards import Cards
from fleet.consumers.hub import Hub
from fleet.models import Robot, Task
from fleet.services.robot import robot_pause
from tests.fleet import builders

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def robots() -> list[str]:
    found = [str(builders.enrol(f"arm-{number}").robot.id) for number in range(6)]
    for robot_id in found:
        live.status_put(robot_id, "session", builders.status(step=1))
    return found


@pytest.fixture
def cards(robots: list[str]) -> Cards:
    made = Cards()
    changed, gone = async_to_sync(made.refresh)(None, set(), set())
    assert list(changed) == list(made.shown) == robots and not gone
    return made


def _beat(robot_id: str, **status: Any) -> None:
    live.status_put(robot_id, "session", builders.status(**status))


def _steps(changed: dict[str, bytes]) -> dict[str, int]:
    return {robot_id: msgspec.json.decode(card)["step"] for robot_id, card in changed.items()}


def test_figures_take_turns_and_what_people_act_on_goes_before_them(
    cards: Cards, robots: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIGURES_AT_ONCE", 2)
    for robot_id in robots:
        _beat(robot_id, step=2)
    _beat(robots[4], step=3, activity="resetting")
    refresh = async_to_sync(cards.refresh)
    changed, _ = refresh(set(), {robots[4]}, set(robots))
    assert robots[4] in changed and len(changed) == 2
    _beat(robots[0], step=9)  # its turn, whenever it comes, has the newest
    shown = {**_steps(changed), **_steps(refresh(set(), set(), {robots[0]})[0])}
    cards_sent = len(changed) + 2
    while more := _steps(refresh(set(), set(), set())[0]):
        assert len(more) <= 2
        shown |= more
        cards_sent += len(more)
    assert shown.keys() == set(robots) and cards_sent <= len(robots) + 1, "each once, but for the one that beat twice"
    assert {shown[robot_id] for robot_id in robots[1:4]} == {2} and shown[robots[4]] == 3
    assert msgspec.json.decode(cards.shown[robots[0]])["step"] == 9


def test_a_heartbeat_costs_no_row_and_rows_that_changed_are_read(
    cards: Cards, robots: list[str], django_assert_num_queries: Any
) -> None:
    _beat(robots[1], step=5)
    with django_assert_num_queries(0):
        cards._look(set(), {robots[1]})
    task = builders.task()
    _beat(robots[1], step=5, task_id=str(task.id))
    assert (
        msgspec.json.decode(async_to_sync(cards.refresh)(set(), {robots[1]}, {robots[1]})[0][robots[1]])["task"]
        == task.slug
    )
    robot_pause(robot_id=robots[2], is_paused=True)
    changed, _ = async_to_sync(cards.refresh)({robots[2]}, set(), set())
    assert msgspec.json.decode(changed[robots[2]])["is_paused"]
    Task.objects.filter(id=task.id).update(slug="renamed")
    changed, _ = async_to_sync(cards.refresh)(None, set(), set())  # with the refresh of all, names too
    assert msgspec.json.decode(changed[robots[1]])["task"] == "renamed"


def test_figures_that_a_look_at_all_found_have_their_turn_yet(cards: Cards, robots: list[str]) -> None:
    _beat(robots[1], step=7)
    refresh = async_to_sync(cards.refresh)
    assert refresh(None, set(), set()) == ({}, set())
    assert _steps(refresh(set(), set(), set())[0]) == {robots[1]: 7}


def test_a_robot_that_went_is_gone_and_one_that_came_is_there(cards: Cards, robots: list[str]) -> None:
    refresh = async_to_sync(cards.refresh)
    Robot.objects.filter(id=robots[3]).delete()
    assert refresh({robots[3]}, set(), set()) == ({}, {robots[3]})
    assert refresh(set(), {robots[3]}, {robots[3]}) == ({}, set()), "its last heartbeat comes late"
    new = str(builders.enrol("new arm").robot.id)
    changed, gone = refresh({new}, set(), set())
    assert list(changed) == [new] and not gone
    live.status_clear(robots[0], "session")
    changed, _ = refresh(None, set(), set())
    assert not msgspec.json.decode(changed[robots[0]])["is_online"]


def test_a_hint_of_the_release_before_counts_all_its_robots_as_acting() -> None:
    fresh = Hub()
    fresh._note({"type": "console.hint", "kind": "beats", "subject": "a b"})
    fresh._note({"type": "console.hint", "kind": "beats", "subject": "c d", "acting": "d"})
    assert (fresh._beaten, fresh._acting) == ({"a", "b", "c", "d"}, {"a", "b", "d"})


def test_registered_episodes_change_what_is_counted_and_no_robots_row() -> None:
    fresh = Hub()
    fresh._cards.shown = {"a": b"{}"}
    fresh._note({"type": "console.hint", "kind": "episodes", "subject": ""})
    assert fresh._is_metrics_changed and fresh._is_run_changed and not fresh._changed
    fresh._note({"type": "console.hint", "kind": "run", "subject": ""})
    assert fresh._changed == {"a"}
