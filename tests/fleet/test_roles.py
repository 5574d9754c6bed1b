"""Roles: what users have who were given some, and those who were not."""

from __future__ import annotations

import importlib
from io import StringIO
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import AnonymousUser
from django.core.management import call_command
from django.db import IntegrityError, transaction

from fleet.access import may, may_clear_stop, permissions
from fleet.models import Person
from fleet.permissions import Permission, Role, needed_words
from fleet.selectors.person import person_roles
from fleet.services.person import person_roles_set

pytestmark = pytest.mark.django_db


def test_rights_of_several_roles_add_up(django_user_model: Any) -> None:
    ann = django_user_model.objects.create_user("ann")
    person_roles_set(user=ann, roles=[Role.EXPORTER])
    assert (may(ann, Permission.EXPORT), may(ann, Permission.DRIVE)) == (True, False)
    person_roles_set(user=ann, roles=[Role.OPERATOR, Role.EXPORTER])
    assert (may(ann, Permission.EXPORT), may(ann, Permission.DRIVE)) == (True, True)
    person_roles_set(user=ann, roles=[])
    assert permissions(ann) == frozenset()


def test_nobody_who_may_not_sign_in_may_anything(django_user_model: Any) -> None:
    bob = django_user_model.objects.create_user("bob", is_active=False)
    person_roles_set(user=bob, roles=[Role.ADMIN])
    assert permissions(bob) == permissions(AnonymousUser()) == frozenset()


def test_admins_alone_may_use_django_s_admin(django_user_model: Any) -> None:
    ann = django_user_model.objects.create_user("ann")
    person_roles_set(user=django_user_model.objects.create_user("other"), roles=[Role.ADMIN])
    for roles, is_staff in (([Role.ADMIN], True), ([Role.MANAGER], False)):
        person_roles_set(user=ann, roles=roles)
        ann.refresh_from_db()
        assert (ann.is_staff, ann.is_superuser) == (is_staff, is_staff)


def test_users_of_django_s_commands_have_the_configured_role(django_user_model: Any, settings: Any) -> None:
    settings.SOP_DEFAULT_ROLE = "viewer"
    plain, root = django_user_model.objects.create_user("a"), django_user_model.objects.create_superuser("b")
    assert (person_roles(user=plain), person_roles(user=root)) == ({Role.VIEWER}, {Role.ADMIN})


def test_the_migration_keeps_what_users_could_do(django_user_model: Any) -> None:
    django_user_model.objects.create_user("plain")
    django_user_model.objects.create_user("staff", is_staff=True)
    django_user_model.objects.create_user("gone", is_active=False)
    given = django_user_model.objects.create_user("given")
    person_roles_set(user=given, roles=[Role.VIEWER])
    importlib.import_module("fleet.migrations.0016_keep_what_users_could_do").give_roles(apps, None)
    found = dict(Person.objects.values_list("user__username", "roles"))
    assert found == {"plain": ["operator"], "staff": ["admin"], "given": ["viewer"]}


def test_rows_hold_known_roles_only(django_user_model: Any) -> None:
    ann = django_user_model.objects.create_user("ann")
    with pytest.raises(IntegrityError), transaction.atomic():
        Person.objects.create(user=ann, roles=["emperor"])


def test_a_stop_is_cleared_by_its_robot_s_driver_or_an_admin(django_user_model: Any) -> None:
    people: dict[Role, Any] = {}
    for role in Role:
        people[role] = django_user_model.objects.create_user(role.value)
        person_roles_set(user=people[role], roles=[role])
    assert [role for role in Role if may_clear_stop(people[role], holder_id=None)] == [Role.ADMIN]
    holds = [role for role in Role if may_clear_stop(people[role], holder_id=people[role].pk)]
    assert holds == [Role.OPERATOR, Role.MANAGER, Role.ADMIN]


def test_a_refusal_is_in_words() -> None:
    assert needed_words(Permission.CLEAR_STOP) == "this needs the role admin"
    assert needed_words(Permission.EXPORT) == "this needs the role manager or admin or exporter"


def test_the_matrix_can_be_read() -> None:
    out = StringIO()
    call_command("access_matrix", stdout=out)
    lines = out.getvalue().splitlines()
    assert "| | needs | viewer | operator | manager | admin | exporter | within groups |" in lines
    assert "| PUT help-ranking | rank_help | - | - | yes | yes | - | refused |" in lines
    assert "| ConsoleTake | drive | - | yes | yes | yes | - | covered |" in lines
    assert "| GET session | anyone | yes | yes | yes | yes | yes | own |" in lines
