"""One-time links: to join with some roles, and to choose a new password. The server keeps a hash of the secret.

The secret stands behind the `#` of the link, which browsers send to nobody: it is in no log and no Referer. A link is
shown to whoever made it, to be passed on, and mailed too where SOP_SMTP_URL is set and an address is known.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.core.mail import send_mail
from django.db import IntegrityError, transaction
from django.utils import timezone

from fleet.errors import InvalidRequest, LinkInvalid, NameTaken, NotFound
from fleet.models import PeopleGroup, PersonLink
from fleet.permissions import Role
from fleet.services.audit import audit_record
from fleet.services.people_group import people_limit
from fleet.services.person import password_set, person_roles_set, user_lock
from fleet.services.session import sessions_end
from fleet.services.sign_in import sign_in_unlock

logger = logging.getLogger(__name__)

MAX_OPEN = 200  # invitations at a time
REFUSAL = "this link is unknown, used or expired: ask for a new one"


@dataclass(frozen=True)
class Link:
    """A new link; `url` holds the secret and is shown only here."""

    row: PersonLink
    url: str
    is_mailed: bool


@transaction.atomic
def invitation_create(
    *, roles: Sequence[Role], by: AbstractBaseUser, email: str = "", groups: Sequence[uuid.UUID] = ()
) -> Link:
    """Invite somebody to have these roles, limited to these groups if there are any. Raises: InvalidRequest."""
    if not roles:
        raise InvalidRequest("choose at least one role", field="roles")
    open_now = PersonLink.objects.filter(is_reset=False, used_at=None, revoked_at=None, expires_at__gt=timezone.now())
    if open_now.count() >= MAX_OPEN:
        raise InvalidRequest(f"{MAX_OPEN} invitations are open; withdraw some first", field="roles")
    chosen = list(PeopleGroup.objects.filter(id__in=groups))
    if len(chosen) != len(set(groups)):
        raise InvalidRequest("there is no such group of people", field="groups")
    wanted = [str(role) for role in Role if role in set(roles)]
    link = _create(by, email=email, roles=wanted, is_limited=bool(chosen))
    link.row.groups.set(chosen)
    names = [group.name for group in chosen]
    after = {"roles": wanted, "email": email, "expires_at": link.row.expires_at, "groups": names}
    audit_record(action="person.invite", subject=link.row, name=email or "invitation", after=after)
    return link


@transaction.atomic
def invitation_revoke(*, link_id: uuid.UUID) -> None:
    """Withdraw an invitation that nobody took. Raises: NotFound."""
    row = PersonLink.objects.select_for_update().filter(id=link_id, is_reset=False, used_at__isnull=True).first()
    if row is None:
        raise NotFound("there is no such open invitation")
    if row.revoked_at is None:
        row.revoked_at = timezone.now()
        row.save(update_fields=["revoked_at"])
        before = {"roles": row.roles, "email": row.email}
        audit_record(action="person.invite_revoke", subject=row, name=row.email or "invitation", before=before)


@transaction.atomic
def reset_create(*, user_id: int, by: AbstractBaseUser) -> Link:
    """Let a person choose a new password; an earlier such link ends. Raises: NotFound."""
    user: Any = user_lock(user_id=user_id)
    PersonLink.objects.filter(user=user, is_reset=True, used_at=None).update(revoked_at=timezone.now())
    link = _create(by, email=user.email, is_reset=True, user=user)
    audit_record(action="person.reset", subject=user, kind="person", after={"expires_at": link.row.expires_at})
    return link


def link_find(*, secret: str) -> PersonLink:
    """Return the link with this secret, if it can still be used. Raises: LinkInvalid, the same for every reason."""
    row = PersonLink.objects.select_related("user").filter(secret_sha256=_sha256(secret)).first()
    if row is None or row.used_at or row.revoked_at or row.expires_at <= timezone.now():
        raise LinkInvalid(REFUSAL)
    if row.is_reset and (row.user is None or not row.user.is_active):
        raise LinkInvalid(REFUSAL)
    return row


@transaction.atomic
def invitation_accept(*, secret: str, username: str, password: str, name: str = "") -> AbstractBaseUser:
    """Make the user that an invitation is for. Raises: LinkInvalid, InvalidRequest, NameTaken."""
    row = _take(secret, is_reset=False)
    username = get_user_model().normalize_username(username.strip())
    try:
        UnicodeUsernameValidator()(username)
    except ValidationError:
        raise InvalidRequest("a user name has letters, digits and @ . + - _", field="username") from None
    if not 1 <= len(username) <= 150:
        raise InvalidRequest("a user name has 1 to 150 characters", field="username")
    if get_user_model().objects.filter(username__iexact=username).exists():
        raise NameTaken(f"somebody is called '{username}' already", field="username")
    try:
        with transaction.atomic():
            user = get_user_model().objects.create(username=username, email=row.email, first_name=name.strip()[:150])
    except IntegrityError:
        raise NameTaken(f"somebody is called '{username}' already", field="username") from None
    password_set(user=user, password=password, field="password")
    person_roles_set(user=user, roles=[Role(role) for role in row.roles])
    groups = list(row.groups.select_for_update().order_by("pk"))
    if row.is_limited:  # also if none of its groups is left: then they see nothing until an admin says otherwise
        people_limit(user_id=user.pk, groups=groups)
    _used(row, user)
    names = [group.name for group in groups]
    after = {"roles": row.roles, "invited_by": row.created_by_name, "groups": names}
    audit_record(action="person.join", subject=user, kind="person", after=after)
    return user


@transaction.atomic
def reset_accept(*, secret: str, password: str) -> AbstractBaseUser:
    """Set the new password and end every session of its person. Raises: LinkInvalid, InvalidRequest."""
    row = _take(secret, is_reset=True)
    assert row.user is not None  # a constraint of the row
    user = user_lock(user_id=row.user.pk)
    password_set(user=user, password=password, field="password")
    sessions_end(user=user)
    sign_in_unlock(username=user.get_username())
    _used(row, user)
    audit_record(action="person.password_reset", subject=user, kind="person", after={"by": row.created_by_name})
    return user


def _take(secret: str, *, is_reset: bool) -> PersonLink:
    link = link_find(secret=secret)
    row = PersonLink.objects.select_for_update(of=("self",)).select_related("user").get(pk=link.pk)
    if row.used_at or row.revoked_at or row.is_reset != is_reset:  # two at once: the first has it
        raise LinkInvalid(REFUSAL)
    return row


def _used(row: PersonLink, user: AbstractBaseUser) -> None:
    row.used_at, row.user_id = timezone.now(), user.pk
    row.save(update_fields=["used_at", "user"])


def _create(by: AbstractBaseUser, *, email: str, **values: Any) -> Link:
    secret, now = secrets.token_urlsafe(32), timezone.now()
    row = PersonLink.objects.create(
        secret_sha256=_sha256(secret),
        email=email,
        created_at=now,
        created_by_name=by.get_username(),
        expires_at=now + timedelta(seconds=settings.SOP_LINK_LIFE_S),
        **values,
    )
    url = f"{settings.SOP_PUBLIC_URL}/welcome#{secret}"
    is_mailed = bool(email and settings.SOP_MAIL_FROM)
    if is_mailed:
        transaction.on_commit(lambda: _mail(row, url))
    return Link(row, url, is_mailed)


def _mail(row: PersonLink, url: str) -> None:
    """Whoever made the link sees it as well, so a server that takes no mail costs nothing but a line in the log."""
    what = "choose a new password" if row.is_reset else f"{row.created_by_name} invites you to the SOP console"
    text = f"{what[0].upper()}{what[1:]}:\n\n{url}\n\nThe link works once, until {row.expires_at:%Y-%m-%d %H:%M} UTC.\n"
    try:
        send_mail("SOP console", text, settings.SOP_MAIL_FROM, [row.email])
    except OSError:  # smtplib's errors are
        logger.warning("link not mailed", extra={"event": {"link": str(row.id)}}, exc_info=True)


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
