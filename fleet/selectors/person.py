"""People and what they may do, as the rows say now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.contrib.sessions.models import Session
from django.db.models import Count
from django.utils import timezone

from fleet.models import Person, PersonLink, UserSession
from fleet.permissions import Role

User = AbstractBaseUser | AnonymousUser


@dataclass(frozen=True)
class PersonCard:
    """A person as the people page shows them."""

    id: int
    username: str
    name: str
    email: str
    roles: tuple[Role, ...]
    is_active: bool
    has_totp: bool
    needs_totp: bool
    sessions: int
    joined_at: datetime
    last_login_at: datetime | None
    is_limited: bool
    groups: tuple[str, ...]


@dataclass(frozen=True)
class PersonStanding:
    """`roles`: in force. `is_limited`: sees no more than their groups cover; admins never are."""

    roles: frozenset[Role]
    is_limited: bool


def person_roles(*, user: User) -> frozenset[Role]:
    """Return the roles in force of somebody who may sign in; none for anybody else.

    Of a person whose role requires a second factor (SOP_TOTP_ROLES) none is in force until they set it up.
    """
    return person_standing(user=user).roles


def person_standing(*, user: User) -> PersonStanding:
    """Return what decides over what somebody sees and may do, by one look at their row."""
    if not (user.is_authenticated and user.is_active):
        return PersonStanding(frozenset(), is_limited=True)
    person = _person(user)
    given = _given(user, person)
    roles = frozenset[Role]() if _lacks_totp(given, person) else given
    return PersonStanding(roles, is_limited=person is not None and person.is_limited and Role.ADMIN not in given)


def person_roles_given(*, user: User) -> tuple[Role, ...]:
    """Return the roles that a user has, in force or not, the least first.

    A user to whom nobody gave roles came from Django's own commands: superusers and staff are admins, all others have
    SOP_DEFAULT_ROLE.
    """
    given = _given(user, _person(user))
    return tuple(role for role in Role if role in given)


def person_lacks_totp(*, user: User) -> bool:
    """Whether this person's roles wait for a second factor."""
    person = _person(user)
    return _lacks_totp(_given(user, person), person)


def people_cards() -> list[PersonCard]:
    """Return everybody by name, at most 1,000."""
    live = Session.objects.filter(expire_date__gt=timezone.now()).values("session_key")
    counts = dict(
        UserSession.objects.filter(session_key__in=live).values_list("user").annotate(n=Count("id")).order_by()
    )
    people: Any = get_user_model().objects.select_related("person").prefetch_related("people_groups")
    users = people.order_by("username")[:1000]
    return [_card(user, counts.get(user.pk, 0)) for user in users]


def admins_active() -> int:
    """Return how many people may manage people."""
    users: Any = get_user_model().objects.filter(is_active=True).select_related("person")
    return sum(Role.ADMIN in _given(user, getattr(user, "person", None)) for user in users)


def invitations_open() -> list[PersonLink]:
    """Return the invitations that can still be taken, the newest first."""
    rows = PersonLink.objects.filter(used_at__isnull=True, revoked_at__isnull=True, expires_at__gt=timezone.now())
    return list(rows.filter(is_reset=False).prefetch_related("groups")[:500])


def user_sessions(*, user: AbstractBaseUser) -> list[UserSession]:
    """Return where this person is signed in, the newest use first."""
    rows = list(UserSession.objects.filter(user_id=user.pk)[:200])
    found = Session.objects.filter(session_key__in=[row.session_key for row in rows], expire_date__gt=timezone.now())
    live = set(found.values_list("session_key", flat=True))
    return [row for row in rows if row.session_key in live]


def _person(user: User) -> Person | None:
    pk: Any = user.pk
    return Person.objects.filter(user_id=pk).first()


def _given(user: Any, person: Person | None) -> frozenset[Role]:
    if person is not None:
        return frozenset(map(Role, person.roles))
    is_staff = getattr(user, "is_superuser", False) or getattr(user, "is_staff", False)
    return frozenset({Role.ADMIN if is_staff else Role(settings.SOP_DEFAULT_ROLE)})


def _lacks_totp(roles: frozenset[Role], person: Person | None) -> bool:
    is_needed = not roles.isdisjoint(settings.SOP_TOTP_ROLES)
    return is_needed and (person is None or person.totp_confirmed_at is None)


def _card(user: Any, sessions: int) -> PersonCard:
    person = getattr(user, "person", None)
    given = _given(user, person)
    return PersonCard(
        id=user.pk,
        username=user.get_username(),
        name=user.get_full_name(),
        email=user.email,
        roles=tuple(role for role in Role if role in given),
        is_active=user.is_active,
        has_totp=person is not None and person.totp_confirmed_at is not None,
        needs_totp=_lacks_totp(given, person),
        sessions=sessions,
        joined_at=user.date_joined,
        last_login_at=user.last_login,
        is_limited=person is not None and person.is_limited,
        groups=tuple(sorted(group.name for group in user.people_groups.all())),
    )
