"""People and what they may do, as the rows say now."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

from fleet.models import Person
from fleet.permissions import Role


def person_roles(*, user: AbstractBaseUser | AnonymousUser) -> frozenset[Role]:
    """Return the roles of somebody who may sign in; none for anybody else.

    A user to whom nobody gave roles came from Django's own commands: superusers and staff are admins, all others have
    SOP_DEFAULT_ROLE.
    """
    if not (user.is_authenticated and user.is_active):
        return frozenset()
    found = Person.objects.filter(user_id=user.pk).values_list("roles", flat=True).first()
    if found is not None:
        return frozenset(map(Role, found))
    is_staff = getattr(user, "is_superuser", False) or getattr(user, "is_staff", False)
    return frozenset({Role.ADMIN if is_staff else Role(settings.SOP_DEFAULT_ROLE)})
