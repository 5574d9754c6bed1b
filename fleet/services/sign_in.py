"""Signing in: password, second factor, and a lock against guessing that opens by itself.

Wrong tries are counted by account and by address, each for SOP_SIGN_IN_LOCK_S from the last one. Whether a name exists
shows in neither: names that nobody has are counted and locked alike.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Any

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.models import AbstractBaseUser
from django.core.cache import cache
from django.db import transaction

from fleet.acting import Actor, ActorKind, acting
from fleet.errors import SecondFactorNeeded, SignInLocked
from fleet.models import Person
from fleet.protocol.errors import Unauthorised
from fleet.services.audit import audit_record
from fleet.services.totp import totp_use

logger = logging.getLogger(__name__)

ADDRESS_FACTOR = 5  # a whole laboratory may sit behind one address


def sign_in_check(
    *, request: Any, username: str, password: str, code: str = "", address: str | None = None
) -> AbstractBaseUser:
    """Return the user whom name, password and (where it is set up) second factor prove.

    Raises: SignInLocked; Unauthorised, the same for a wrong name, a wrong password and a disabled user;
    SecondFactorNeeded if the password is right and the code is missing or wrong.
    """
    keys = {f"sign-in:name:{_hash(username.lower())}": settings.SOP_SIGN_IN_FAILURES}
    if address is not None:
        keys[f"sign-in:address:{address}"] = settings.SOP_SIGN_IN_FAILURES * ADDRESS_FACTOR
    _refuse_if_locked(keys)
    user = authenticate(request, username=username, password=password)
    if user is None:
        _failed(keys, username, "password")
        raise Unauthorised("this name and password do not fit")
    person = Person.objects.filter(user_id=user.pk, totp_confirmed_at__isnull=False).first()
    if person is not None:
        if not code:
            raise SecondFactorNeeded("send the code of your second factor as well", is_wrong=False)
        if not totp_use(user=user, code=code):
            _failed(keys, username, "code")
            raise SecondFactorNeeded("this code is wrong or was used already", is_wrong=True)
    cache.delete_many(list(keys))
    _note(user, address)
    return user


def sign_in_unlock(*, username: str) -> None:
    """Forget the wrong tries at this account."""
    cache.delete(f"sign-in:name:{_hash(username.lower())}")


def _refuse_if_locked(keys: dict[str, int]) -> None:
    counts = cache.get_many(list(keys))
    if any(counts.get(key, 0) >= most for key, most in keys.items()):
        wait_s = int(settings.SOP_SIGN_IN_LOCK_S)
        raise SignInLocked(f"too many wrong tries: wait {_minutes(wait_s)}", wait_s=wait_s)


def _failed(keys: dict[str, int], username: str, what: str) -> None:
    for key, most in keys.items():
        cache.add(key, 0, timeout=settings.SOP_SIGN_IN_LOCK_S)
        try:
            count = cache.incr(key)
        except ValueError:  # it ended between the two
            continue
        cache.touch(key, settings.SOP_SIGN_IN_LOCK_S)
        if count == most:
            _note_lock(username, key.split(":")[1])
    logger.warning("sign-in failed", extra={"event": {"name": username[:150], "what": what}})


@transaction.atomic
def _note_lock(username: str, by: str) -> None:
    audit_record(action="sign_in.lock", kind="person", name=username, after={"locked_by": by})


@transaction.atomic
def _note(user: AbstractBaseUser, address: str | None) -> None:
    actor = Actor(ActorKind.PERSON, str(user.pk), user.get_username(), address, acting().request_id)
    audit_record(action="sign_in.done", subject=user, kind="person", actor=actor)


def _minutes(seconds: int) -> str:
    return f"{max(1, round(seconds / 60))} min"


def _hash(name: str) -> str:
    """Cache keys hold no names that anybody may type."""
    return hashlib.sha256(name.encode()).hexdigest()
