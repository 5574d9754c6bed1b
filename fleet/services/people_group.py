"""Groups of people: who is in one, which robots and tasks it covers. What follows for reading is in `fleet/access.py`.

Whoever is put into a group is limited from then on and stays so when the group goes: taking somebody out, or removing a
group, never shows them more. `person_update` alone does, in so many words.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction
from django.db.models import Model
from msgspec import UNSET, Struct, UnsetType

from fleet.errors import InvalidRequest, NameTaken, NotFound
from fleet.events import hint_person
from fleet.models import PeopleGroup, Person, Robot, Task
from fleet.selectors.people_group import MAX_GROUPS
from fleet.selectors.person import person_roles_given
from fleet.services.audit import audit_record
from fleet.services.person import user_lock
from fleet.services.revision import revision_advance
from fleet.services.robot_admin import MAX_TAG, MAX_TAGS
from fleet.services.text import clean_text

logger = logging.getLogger(__name__)

MAX_NAME = 100
MAX_MEMBERS = 1000  # and robots, and tasks, that are named one by one


class GroupChange(Struct, frozen=True, kw_only=True):
    """What to change of a group; what is UNSET stays. `members`: of users."""

    name: str | UnsetType = UNSET
    members: tuple[int, ...] | UnsetType = UNSET
    robot_tags: tuple[str, ...] | UnsetType = UNSET
    robots: tuple[uuid.UUID, ...] | UnsetType = UNSET
    covers_all_tasks: bool | UnsetType = UNSET
    tasks: tuple[uuid.UUID, ...] | UnsetType = UNSET


@transaction.atomic
def people_group_create(*, change: GroupChange) -> PeopleGroup:
    """Make a group; its members see what it covers and nothing else. Raises: InvalidRequest, NameTaken."""
    if PeopleGroup.objects.count() >= MAX_GROUPS:
        raise InvalidRequest(f"there are {MAX_GROUPS} groups already", field="name")
    if change.name is UNSET:
        raise InvalidRequest("a group has a name", field="name")
    row = PeopleGroup(name=_name(change.name))
    _save(row)
    _apply(row, change)
    audit_record(action="group.create", subject=row, kind="group", name=row.name, after=_shown(row))
    _tell(row)
    return row


@transaction.atomic
def people_group_change(*, group_id: uuid.UUID, change: GroupChange, revision: int) -> PeopleGroup:
    """Change a group over the revision that was read; open pages follow at once.

    Raises: NotFound, PreconditionFailed, InvalidRequest, NameTaken.
    """
    row = _lock(group_id)
    revision_advance(row, expected=revision)
    before, was = _shown(row), _member_ids(row)
    if change.name is not UNSET:
        row.name = _name(change.name)
    _save(row)
    _apply(row, change)
    audit_record(action="group.change", subject=row, kind="group", name=row.name, before=before, after=_shown(row))
    _tell(row, *was)
    return row


@transaction.atomic
def people_group_delete(*, group_id: uuid.UUID, revision: int) -> None:
    """Remove a group. Its members stay limited: who is in no other sees nothing.

    Raises: NotFound, PreconditionFailed.
    """
    row = _lock(group_id)
    revision_advance(row, expected=revision)
    before, was = _shown(row), _member_ids(row)
    audit_record(action="group.delete", subject=row, kind="group", name=row.name, before=before)
    row.delete()
    for user_id in was:
        hint_person(user_id)


@transaction.atomic
def people_limit(*, user_id: int, groups: Iterable[PeopleGroup] = ()) -> None:
    """Limit somebody to what these and their other groups cover. Raises: NotFound."""
    user: Any = user_lock(user_id=user_id)
    roles = [str(role) for role in person_roles_given(user=user)]  # a person's row without roles allows nothing
    person, _ = Person.objects.get_or_create(user_id=user.pk, defaults={"roles": roles})
    for group in groups:
        group.members.add(user)
        group.revision += 1
        group.save(update_fields=["revision"])
    if not person.is_limited:
        person.is_limited = True
        person.save(update_fields=["is_limited"])
        before, after = {"is_limited": False}, {"is_limited": True}
        audit_record(action="person.limit", subject=person, name=user.get_username(), before=before, after=after)
    hint_person(user.pk)


def _apply(row: PeopleGroup, change: GroupChange) -> None:
    """Write what is beside the name. Raises: InvalidRequest."""
    if change.robot_tags is not UNSET:
        row.robot_tags = _tags(change.robot_tags)
    if change.covers_all_tasks is not UNSET:
        row.covers_all_tasks = change.covers_all_tasks
    row.save()
    if change.robots is not UNSET:
        row.robots.set(_found(Robot, change.robots, "robots"))
    if change.tasks is not UNSET:
        row.tasks.set(_found(Task, change.tasks, "tasks"))
    if change.members is not UNSET:
        users = _found(get_user_model(), change.members, "members")
        row.members.set(users)
        for user in users:
            people_limit(user_id=user.pk)


def _found(model: type[Model], ids: Sequence[Any], field: str) -> list[Any]:
    wanted = set(ids)
    if len(wanted) > MAX_MEMBERS:
        raise InvalidRequest(f"name at most {MAX_MEMBERS}", field=field)
    found = list(model._default_manager.filter(pk__in=wanted).order_by("pk"))  # locked in this order
    if len(found) != len(wanted):
        raise InvalidRequest(f"{len(wanted) - len(found)} of these do not exist", field=field)
    return found


def _save(row: PeopleGroup) -> None:
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        raise NameTaken(f"a group named '{row.name}' exists already", field="name") from None


def _lock(group_id: uuid.UUID) -> PeopleGroup:
    row = PeopleGroup.objects.select_for_update().filter(id=group_id).first()
    if row is None:
        raise NotFound("there is no such group of people")
    return row


def _member_ids(row: PeopleGroup) -> list[int]:
    return list(row.members.order_by("pk").values_list("pk", flat=True))


def _tell(row: PeopleGroup, *others: int) -> None:
    for user_id in {*others, *_member_ids(row)}:
        hint_person(user_id)


def _name(name: str) -> str:
    cleaned = clean_text(name, field="name", limit=MAX_NAME)
    if not cleaned:
        raise InvalidRequest("a group has a name", field="name")
    return cleaned


def _tags(tags: Sequence[str]) -> list[str]:
    cleaned = list(dict.fromkeys(clean_text(tag, field="robot_tags", limit=MAX_TAG) for tag in tags))
    if "" in cleaned or len(cleaned) > MAX_TAGS:
        raise InvalidRequest(f"a group names at most {MAX_TAGS} tags, none empty", field="robot_tags")
    return cleaned


def _shown(row: PeopleGroup) -> dict[str, object]:
    """Return what the audit log shows of a group: names, as people read it."""
    return {
        "name": row.name,
        "members": list(row.members.order_by("username").values_list("username", flat=True)),
        "robot_tags": list(row.robot_tags),
        "robots": list(row.robots.order_by("name").values_list("name", flat=True)),
        "covers_all_tasks": row.covers_all_tasks,
        "tasks": list(row.tasks.order_by("slug").values_list("slug", flat=True)),
    }
