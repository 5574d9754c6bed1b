"""What a person's lists return equals what their groups say, computed anew row by row."""

from __future__ import annotations

import itertools
import random
import uuid
from typing import Any

import pytest

from fleet.access import access_episodes, access_robots, access_tasks
from fleet.coverage import NOWHERE, WHOLE, Coverage, Part
from fleet.models import Episode, Robot, Task
from fleet.permissions import Role
from fleet.selectors.buckets import widened
from fleet.selectors.episode_counts import episode_counts
from fleet.selectors.episode_filter import EpisodeFilter
from fleet.selectors.metrics import MetricFilter, metrics_total
from fleet.selectors.people_group import person_coverage
from fleet.services.people_group import GroupChange, people_group_create
from tests.fleet.two_sites import episode_row, person

pytestmark = pytest.mark.django_db
TAGS = ("north", "south", "west")


def _fleet() -> tuple[list[Robot], list[Task], list[Episode]]:
    robots = [
        Robot.objects.create(name=f"r{k}", tags=[tag for place, tag in enumerate(TAGS) if (k >> place) & 1])
        for k in range(6)
    ]
    tasks = [Task.objects.create(slug=f"t{k}", instruction="do", driver_task="do", max_steps=10) for k in range(3)]
    rows = [episode_row(robot, task) for robot, task in itertools.product([*robots, None], tasks)]
    return robots, tasks, rows


@pytest.mark.parametrize("seed", range(12))
def test_lists_counts_and_sums_equal_an_independent_computation(seed: int, django_user_model: Any) -> None:
    robots, tasks, rows = _fleet()
    chance = random.Random(seed)
    user = person(django_user_model, "ann", Role.MANAGER)
    groups = []
    for number in range(chance.randint(1, 4)):
        tags = chance.sample(TAGS, chance.randint(0, 2))
        named = chance.sample(robots, chance.randint(0, 2))
        own = None if chance.random() < 0.3 else chance.sample(tasks, chance.randint(0, 2))
        people_group_create(
            change=GroupChange(
                name=f"g{number}",
                members=(user.pk,),
                robot_tags=tuple(tags),
                robots=tuple(robot.id for robot in named),
                covers_all_tasks=own is None,
                tasks=tuple(task.id for task in own or ()),
            )
        )
        groups.append((tags, named, own))

    def has_robot(group: Any, robot: Robot) -> bool:
        return robot in group[1] or bool(set(robot.tags) & set(group[0]))

    def has_task(group: Any, task: Task) -> bool:
        return group[2] is None or task in group[2]

    wanted_robots = {robot for robot in robots if any(has_robot(group, robot) for group in groups)}
    wanted_tasks = {task for task in tasks if any(has_task(group, task) for group in groups)}
    wanted = {
        row
        for row in rows
        if row.robot is not None and any(has_robot(g, row.robot) and has_task(g, row.task) for g in groups)
    }
    assert set(access_robots(user)) == wanted_robots
    assert set(access_tasks(user)) == wanted_tasks
    assert set(access_episodes(user)) == wanted
    counts = episode_counts(access_episodes(user), EpisodeFilter())
    assert counts.total == len(wanted)
    assert {value.label for value in counts.facets["robot"]} == {row.robot.name for row in wanted if row.robot}
    start, end = widened(min(row.started_at for row in rows), max(row.indexed_at for row in rows))
    asked = MetricFilter(start=start, end=end, coverage=person_coverage(user=user))
    assert metrics_total(asked=asked, measures=["success"])[0].all.episodes == len(wanted)


def test_nobody_sees_an_episode_by_the_robot_of_one_group_and_the_task_of_another(django_user_model: Any) -> None:
    robots, tasks, _ = _fleet()
    user = person(django_user_model, "ann", Role.MANAGER)
    for robot, task in ((robots[0], tasks[0]), (robots[1], tasks[1])):
        named = GroupChange(
            name=robot.name, members=(user.pk,), robots=(robot.id,), covers_all_tasks=False, tasks=(task.id,)
        )
        people_group_create(change=named)
    assert {(row.robot, row.task) for row in access_episodes(user)} == {(robots[0], tasks[0]), (robots[1], tasks[1])}


def test_who_is_in_no_group_sees_all_and_admins_do_in_any(django_user_model: Any) -> None:
    _, _, rows = _fleet()
    ann, root = (person(django_user_model, name, role) for name, role in (("ann", Role.VIEWER), ("root", Role.ADMIN)))
    people_group_create(change=GroupChange(name="empty", members=(root.pk,)))
    assert [access_episodes(user).count() for user in (ann, root)] == [len(rows)] * 2


def test_coverages_without_anything_make_statements_that_run() -> None:
    for coverage in (NOWHERE, Coverage(frozenset({Part(frozenset(), frozenset())}))):
        found = Episode.objects.filter(coverage.episodes())
        found.query.sql_with_params()  # raises EmptyResultSet for an empty list of ids
        assert not found.exists() and not Robot.objects.filter(coverage.robots()).exists()
        assert not Task.objects.filter(coverage.tasks()).exists()
    assert WHOLE.robots_at(uuid.uuid4()) is None and NOWHERE.robots_at(uuid.uuid4()) == frozenset()
