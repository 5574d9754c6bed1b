"""Groups of people, and what they let somebody see."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Q, QuerySet

from fleet.coverage import WHOLE, Coverage, Part
from fleet.errors import NotFound
from fleet.models import PeopleGroup, Robot
from fleet.selectors.person import PersonStanding, person_standing

MAX_GROUPS = 200


def person_coverage(*, user: AbstractBaseUser | AnonymousUser, standing: PersonStanding | None = None) -> Coverage:
    """Return what of the fleet somebody sees, as the rows say now; whoever may not sign in sees nothing.

    `standing`: theirs, if the caller has it already.
    """
    if not (standing or person_standing(user=user)).is_limited:
        return WHOLE
    owner: Any = user.pk
    groups = PeopleGroup.objects.filter(members=owner) if owner is not None else PeopleGroup.objects.none()
    return groups_coverage(groups=groups)


def groups_coverage(*, groups: QuerySet[PeopleGroup]) -> Coverage:
    """Return what these groups cover together."""
    rows = list(groups.prefetch_related("robots", "tasks"))
    tagged = _robots_by_tag({tag for row in rows for tag in row.robot_tags})
    return Coverage(
        frozenset(
            Part(
                robots=frozenset(robot.pk for robot in row.robots.all()).union(
                    *(tagged.get(tag, frozenset()) for tag in row.robot_tags)
                ),
                tasks=None if row.covers_all_tasks else frozenset(task.pk for task in row.tasks.all()),
            )
            for row in rows
        )
    )


def group_robots(*, group: PeopleGroup) -> QuerySet[Robot]:
    """Return the robots that a group covers, retired ones too, by name."""
    return Robot.objects.filter(Q(tags__overlap=group.robot_tags) | Q(people_groups=group)).distinct().order_by("name")


def people_groups() -> list[PeopleGroup]:
    """Return all groups by name, with members, robots and tasks."""
    return list(PeopleGroup.objects.prefetch_related("members", "robots", "tasks")[:MAX_GROUPS])


def people_group_find(*, group_id: uuid.UUID) -> PeopleGroup:
    """Return one group with members, robots and tasks. Raises: NotFound."""
    found = PeopleGroup.objects.prefetch_related("members", "robots", "tasks").filter(id=group_id).first()
    if found is None:
        raise NotFound("there is no such group of people")
    return found


def group_names(*, user: AbstractBaseUser) -> list[str]:
    """Return the groups that somebody is in, by name."""
    return list(PeopleGroup.objects.filter(members=user.pk).values_list("name", flat=True))


def covering_tags() -> frozenset[str]:
    """Return the tags by which some group covers robots."""
    return frozenset(tag for tags in PeopleGroup.objects.values_list("robot_tags", flat=True) for tag in tags)


def _robots_by_tag(tags: Iterable[str]) -> dict[str, frozenset[uuid.UUID]]:
    wanted = frozenset(tags)
    if not wanted:
        return {}
    found: dict[str, set[uuid.UUID]] = {}
    for pk, own in Robot.objects.filter(tags__overlap=sorted(wanted)).values_list("id", "tags"):
        for tag in wanted.intersection(own):
            found.setdefault(tag, set()).add(pk)
    return {tag: frozenset(ids) for tag, ids in found.items()}
