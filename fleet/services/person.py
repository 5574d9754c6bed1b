"""People: what they may do."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from fleet.models import Person
from fleet.permissions import Role
from fleet.selectors.person import person_roles
from fleet.services.audit import audit_record


@transaction.atomic
def person_roles_set(*, user: AbstractBaseUser, roles: Iterable[Role]) -> Person:
    """Give a user these roles and no others. Admins, and nobody else, may use Django's own admin pages."""
    wanted = [str(role) for role in Role if role in set(roles)]
    before = {"roles": [str(role) for role in Role if role in person_roles(user=user)]}
    person, _ = Person.objects.update_or_create(user_id=user.pk, defaults={"roles": wanted})
    is_admin = Role.ADMIN in wanted
    get_user_model().objects.filter(pk=user.pk).update(is_staff=is_admin, is_superuser=is_admin)
    audit_record(
        action="person.roles", subject=person, name=user.get_username(), before=before, after={"roles": wanted}
    )
    return person
