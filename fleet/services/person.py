"""People: what they may do, whether they may sign in, their password."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from django.contrib.auth import get_user_model, password_validation
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db import connection, transaction

from fleet.errors import InvalidRequest, LastAdmin, NotFound
from fleet.events import hint_person
from fleet.models import PeopleGroup, Person
from fleet.permissions import Role
from fleet.selectors.person import admins_active, person_roles_given
from fleet.selectors.row_version import user_version
from fleet.services.audit import audit_record
from fleet.services.revision import version_check
from fleet.services.session import sessions_end

_LOCK = 0x50_50_05  # pg_advisory_xact_lock: one change of who is an admin at a time


@transaction.atomic
def person_roles_set(*, user: AbstractBaseUser, roles: Iterable[Role]) -> Person:
    """Give a user these roles and no others, at once. Admins, and nobody else, may use Django's own admin pages.

    Raises: LastAdmin if nobody would be left who can undo it.
    """
    _one_at_a_time()
    was = person_roles_given(user=user)
    wanted = [str(role) for role in Role if role in set(roles)]
    if Role.ADMIN in was and Role.ADMIN not in wanted:
        _require_another_admin(user)
    person, _ = Person.objects.update_or_create(user_id=user.pk, defaults={"roles": wanted})
    is_admin = Role.ADMIN in wanted
    get_user_model().objects.filter(pk=user.pk).update(is_staff=is_admin, is_superuser=is_admin)
    before, after = {"roles": list(map(str, was))}, {"roles": wanted}
    audit_record(action="person.roles", subject=person, name=user.get_username(), before=before, after=after)
    hint_person(user.pk)
    return person


@transaction.atomic
def person_active_set(*, user_id: int, is_active: bool) -> AbstractBaseUser:
    """Let a person sign in, or no more: then all their sessions end at once. Raises: NotFound, LastAdmin."""
    _one_at_a_time()
    user: Any = user_lock(user_id=user_id)
    if user.is_active == is_active:
        return user  # type: ignore[no-any-return]
    if not is_active:
        _require_another_admin(user, are_roles_counted=True)
        sessions_end(user=user)
    user.is_active = is_active
    user.save(update_fields=["is_active"])
    action = "person.activate" if is_active else "person.deactivate"
    audit_record(action=action, subject=user, kind="person", after={"is_active": is_active})
    hint_person(user.pk)
    return user  # type: ignore[no-any-return]


@transaction.atomic
def person_update(
    *,
    user_id: int,
    version: str,
    roles: Iterable[Role] | None = None,
    is_active: bool | None = None,
    name: str | None = None,
    email: str | None = None,
    is_limited: Literal[False] | None = None,
) -> AbstractBaseUser:
    """Change what is given of a person over the version that was read: all of it or nothing.

    `is_limited` False: they see the whole fleet again and leave every group. What limits them is a group.

    Raises: NotFound, LastAdmin; PreconditionFailed if somebody was quicker.
    """
    _one_at_a_time()
    user = user_lock(user_id=user_id)
    version_check(user_version(user), expected=version)
    if roles is not None:
        person_roles_set(user=user, roles=roles)
    if is_active is not None:
        person_active_set(user_id=user_id, is_active=is_active)
    if name is not None or email is not None:
        person_change(user_id=user_id, name=name, email=email)
    if is_limited is not None:
        _lift_limit(user)
    return user_lock(user_id=user_id)


@transaction.atomic
def person_change(*, user_id: int, name: str | None = None, email: str | None = None) -> AbstractBaseUser:
    """Change how a person is called and reached. Raises: NotFound."""
    user: Any = user_lock(user_id=user_id)
    before = {"name": user.first_name, "email": user.email}
    user.first_name = user.first_name if name is None else name.strip()[:150]
    user.last_name = user.last_name if name is None else ""
    user.email = user.email if email is None else email
    user.save(update_fields=["first_name", "last_name", "email"])
    after = {"name": user.first_name, "email": user.email}
    audit_record(action="person.change", subject=user, kind="person", before=before, after=after)
    return user  # type: ignore[no-any-return]


@transaction.atomic
def password_change(*, user: AbstractBaseUser, old: str, new: str) -> None:
    """Change one's own password. The caller ends the other sessions and keeps its own. Raises: InvalidRequest."""
    row: Any = user_lock(user_id=user.pk)
    if not row.check_password(old):
        raise InvalidRequest("this is not your password", field="old")
    password_set(user=row, password=new, field="new")
    audit_record(action="person.password", subject=row, kind="person")
    hint_person(user.pk)


def _lift_limit(user: Any) -> None:
    """Let somebody see the whole fleet again, and take them out of every group."""
    person = Person.objects.select_for_update().filter(user_id=user.pk, is_limited=True).first()
    if person is None:
        return
    groups = list(PeopleGroup.objects.select_for_update().filter(members=user))
    for group in groups:
        group.members.remove(user)
        group.revision += 1
        group.save(update_fields=["revision"])
    person.is_limited = False
    person.save(update_fields=["is_limited"])
    before = {"is_limited": True, "groups": [group.name for group in groups]}
    after = {"is_limited": False, "groups": []}
    audit_record(action="person.unlimit", subject=person, name=user.get_username(), before=before, after=after)
    hint_person(user.pk)


def password_set(*, user: Any, password: str, field: str) -> None:
    """Set a password that is good enough. Within a transaction; the caller notes it. Raises: InvalidRequest."""
    try:
        password_validation.validate_password(password, user)
    except ValidationError as error:
        raise InvalidRequest(" ".join(error.messages), field=field) from None
    user.set_password(password)
    user.save(update_fields=["password"])


def user_lock(*, user_id: int) -> AbstractBaseUser:
    """Return the user's row, locked until the transaction ends. Raises: NotFound."""
    user = get_user_model().objects.select_for_update().filter(pk=user_id).first()
    if user is None:
        raise NotFound("there is no such person")
    return user


def _one_at_a_time() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def _require_another_admin(user: AbstractBaseUser, *, are_roles_counted: bool = False) -> None:
    """`user` is about to be no admin any more. Raises: LastAdmin."""
    if are_roles_counted and Role.ADMIN not in person_roles_given(user=user):
        return
    if user.is_active and admins_active() <= 1:
        raise LastAdmin("this is the last admin: make another one first")
