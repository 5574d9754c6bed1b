"""The second factor: time-based one-time codes (RFC 6238) from an app on the person's telephone, and recovery codes.

The secret must be read to check a code, so it is kept encrypted under a key of SOP_SECRET_KEY's: a copy of the database
alone gives nobody codes. Recovery codes are 80 random bits each and kept as SHA-256. No code works twice.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import secrets
import time
from dataclasses import dataclass
from typing import Any

import pyotp
import segno
from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from fleet.errors import InvalidRequest
from fleet.events import hint_person
from fleet.models import Person
from fleet.selectors.person import person_roles_given
from fleet.services.audit import audit_record

STEP_S = 30
DRIFT = 1  # steps before and after, for telephones whose clock is off
RECOVERY_CODES = 10
ISSUER = "SOP"


@dataclass(frozen=True)
class Setup:
    """What an app needs, shown once: `secret` to type in, `qr_svg` to film."""

    secret: str
    uri: str
    qr_svg: str


@transaction.atomic
def totp_begin(*, user: AbstractBaseUser) -> Setup:
    """Make a new secret, which counts once a code of it is confirmed. Raises: InvalidRequest if one is set up."""
    person = _lock(user)
    if person.totp_confirmed_at is not None:
        raise InvalidRequest("a second factor is set up; remove it first", field="totp")
    secret = pyotp.random_base32()
    person.totp_sealed, person.totp_step = _fernet().encrypt(secret.encode()).decode(), 0
    person.save(update_fields=["totp_sealed", "totp_step"])
    uri = pyotp.TOTP(secret, interval=STEP_S).provisioning_uri(name=user.get_username(), issuer_name=ISSUER)
    picture = io.BytesIO()
    segno.make(uri, error="m").save(picture, kind="svg", xmldecl=False, svgns=True, scale=4, border=3, light="#fff")
    return Setup(secret, uri, picture.getvalue().decode())


@transaction.atomic
def totp_confirm(*, user: AbstractBaseUser, code: str) -> tuple[str, ...]:
    """Set the second factor up and return the recovery codes, which are shown only here. Raises: InvalidRequest."""
    person = _lock(user)
    if person.totp_confirmed_at is not None or not person.totp_sealed:
        raise InvalidRequest("begin with a new secret", field="code")
    if not _fits(person, code):
        raise InvalidRequest("this code does not fit: is the telephone's clock right?", field="code")
    person.totp_confirmed_at = timezone.now()
    codes = _new_codes(person)
    person.save()
    audit_record(action="person.totp_set", subject=user, kind="person")
    hint_person(user.pk)
    return codes


@transaction.atomic
def totp_use(*, user: AbstractBaseUser, code: str) -> bool:
    """Whether this is a good code, of the app or for recovery; it is used up with that."""
    person = _lock(user)
    if person.totp_confirmed_at is None:
        return False
    if _fits(person, code):
        person.save(update_fields=["totp_step"])
        return True
    used = _sha256(_plain(code))
    left = [each for each in person.recovery_sha256 if not hmac.compare_digest(each, used)]
    if len(left) == len(person.recovery_sha256):
        return False
    person.recovery_sha256 = left
    person.save(update_fields=["recovery_sha256"])
    audit_record(action="person.recovery_used", subject=user, kind="person", after={"left": len(left)})
    return True


@transaction.atomic
def totp_remove(*, user: AbstractBaseUser, is_own: bool) -> None:
    """Do without a second factor; again changes nothing. The caller has checked password or right.

    Raises: InvalidRequest if it is one's own and one's role requires it.
    """
    person = _lock(user)
    if is_own and not set(person_roles_given(user=user)).isdisjoint(settings.SOP_TOTP_ROLES):
        raise InvalidRequest("your role requires a second factor", field="totp")
    if not person.totp_sealed:
        return
    was = person.totp_confirmed_at is not None
    person.totp_sealed, person.totp_confirmed_at, person.totp_step, person.recovery_sha256 = "", None, 0, []
    person.save()
    if was:
        audit_record(action="person.totp_remove", subject=user, kind="person")
    hint_person(user.pk)


@transaction.atomic
def recovery_codes_renew(*, user: AbstractBaseUser, code: str) -> tuple[str, ...]:
    """Return new recovery codes; the old ones end. Raises: InvalidRequest without a good code."""
    if not totp_use(user=user, code=code):
        raise InvalidRequest("this code is wrong or was used already", field="code")
    person = _lock(user)
    codes = _new_codes(person)
    person.save(update_fields=["recovery_sha256"])
    audit_record(action="person.recovery_renew", subject=user, kind="person")
    return codes


def _lock(user: Any) -> Person:
    """Return the person's row, locked; two sign-ins with one code take turns."""
    roles = [str(role) for role in person_roles_given(user=user)]
    Person.objects.get_or_create(user_id=user.pk, defaults={"roles": roles})
    return Person.objects.select_for_update().get(user_id=user.pk)


def _fits(person: Person, code: str) -> bool:
    """Whether the code is of a step near now and after the last used one, which it becomes."""
    try:
        secret = _fernet().decrypt(person.totp_sealed.encode()).decode()
    except InvalidToken:  # SOP_SECRET_KEY was changed: an admin removes the factor, it is set up anew
        return False
    totp, now = pyotp.TOTP(secret, interval=STEP_S), int(time.time()) // STEP_S
    given = _plain(code)
    for step in range(now - DRIFT, now + DRIFT + 1):
        if step > person.totp_step and hmac.compare_digest(totp.generate_otp(step), given):
            person.totp_step = step
            return True
    return False


def _new_codes(person: Person) -> tuple[str, ...]:
    raw = [base64.b32encode(secrets.token_bytes(10)).decode().lower() for _ in range(RECOVERY_CODES)]
    person.recovery_sha256 = [_sha256(code) for code in raw]
    return tuple("-".join(code[i : i + 4] for i in range(0, 16, 4)) for code in raw)


def _plain(code: str) -> str:
    return "".join(char for char in code.lower() if char.isascii() and char.isalnum())


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _fernet() -> Fernet:
    key = salted_hmac("fleet.totp.seal", "1", algorithm="sha256").digest()
    return Fernet(base64.urlsafe_b64encode(key))
