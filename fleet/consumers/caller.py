"""Who asks over a console's socket, looked up anew for every request: a role or session that ended drives nobody."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.utils.crypto import salted_hmac

from fleet import live
from fleet.access import (
    access_robot_by_id,
    access_robot_to_stop,
    access_robots,
    coverage_of,
    may,
    may_drive,
    refusal_words,
)
from fleet.acting import Actor, ActorKind
from fleet.addresses import socket_address
from fleet.consumers import auth
from fleet.consumers.matrix import MESSAGES
from fleet.coverage import NOWHERE, Coverage
from fleet.errors import DriveForbidden, Forbidden, InvalidRequest, NotFound, RobotOffline
from fleet.models import Robot
from fleet.permissions import Permission
from fleet.protocol import messages as m
from fleet.protocol.errors import Unauthorised


@dataclass(frozen=True)
class Caller:
    """One console connection. `connection`: the name of its leases and peers, see `caller_of`."""

    user_id: int
    name: str
    session_key: str | None
    connection: str


@dataclass(frozen=True)
class Rights:
    """What the rows allow a caller now. `robots`: those that it may see, of those asked about."""

    is_alive: bool
    may_drive: bool
    robots: frozenset[str]
    coverage: Coverage


def caller_of(scope: dict[str, Any]) -> Caller:
    """Name the connection by its browser tab, so that a tab that dials again finds its leases; else by chance.

    The tab's id is only half of the name: user and session are the other. So another person in the same tab, or one who
    learned the id, gets another name, whose leases and peers are their own.
    """
    user, session_key = scope["user"], scope["session"].session_key
    tabs = parse_qs(scope["query_string"].decode("latin-1")).get("tab", [])
    try:
        tab = uuid.UUID(tabs[0]) if len(tabs) == 1 else uuid.uuid4()
    except ValueError:
        tab = uuid.uuid4()
    digest = salted_hmac("fleet.console.connection", f"{user.pk}:{session_key}:{tab}", algorithm="sha256").digest()
    return Caller(user.pk, user.get_username(), session_key, str(uuid.UUID(bytes=digest[:16], version=5)))


def actor_of(caller: Caller, scope: dict[str, Any]) -> Actor:
    """Who a connection's changes are noted under; its name stands in the audit log as the request's."""
    address = socket_address(scope)
    return Actor(ActorKind.PERSON, str(caller.user_id), caller.name, address, request_id=caller.connection)


def user_of(caller: Caller) -> AbstractBaseUser:
    """Return the caller's row as it stands now. Raises: Unauthorised."""
    if not auth.is_session_alive(caller.session_key, caller.user_id):
        raise Unauthorised("this session is over")
    return get_user_model().objects.get(pk=caller.user_id)


def asker_of(caller: Caller, request: m.ConsoleClientMessage) -> AbstractBaseUser:
    """The same for who may send this message. Raises: Unauthorised, DriveForbidden, Forbidden."""
    user = user_of(caller)
    need = MESSAGES[type(request)]
    if need is not None and not may(user, need):
        kind = DriveForbidden if need is Permission.DRIVE else Forbidden
        raise kind(refusal_words(user, need))
    return user


def robot_of(user: AbstractBaseUser, robot_id: str) -> Robot:
    """Return a robot that the user sees. Raises: NotFound."""
    try:
        return access_robot_by_id(user, uuid.UUID(robot_id))
    except ValueError:
        raise NotFound("there is no such robot") from None


def online_robot_of(user: AbstractBaseUser, robot_id: str) -> Robot:
    """The same for a robot that is connected. Raises: NotFound, RobotOffline."""
    robot = robot_of(user, robot_id)
    if live.statuses_get([robot.id])[0] is None:
        raise RobotOffline("this robot is not connected")
    return robot


def rights_of(caller: Caller, robot_ids: Iterable[str]) -> Rights:
    """Look again at what was allowed when it was asked for."""
    if not auth.is_session_alive(caller.session_key, caller.user_id):
        return Rights(is_alive=False, may_drive=False, robots=frozenset(), coverage=NOWHERE)
    user = get_user_model().objects.get(pk=caller.user_id)
    seen = access_robots(user).filter(id__in=list(robot_ids)).values_list("id", flat=True)
    robots = frozenset(map(str, seen))
    return Rights(is_alive=True, may_drive=may_drive(user), robots=robots, coverage=_coverage(user))


def coverage_at_first(caller: Caller) -> Coverage:
    """Return what a connection sees that was opened just now, by a session that was looked at then."""
    return _coverage(get_user_model().objects.get(pk=caller.user_id))


def _coverage(user: AbstractBaseUser) -> Coverage:
    """Whoever may not look at all has an empty live page too."""
    return coverage_of(user) if may(user, Permission.SEE) else NOWHERE


def robot_to_stop(user: AbstractBaseUser, robot_id: str) -> Robot:
    """Return any robot by its id, also one that the user does not see. Raises: NotFound."""
    return access_robot_to_stop(user, uuid.UUID(canonical_uuid(robot_id, "robot_id")))


def canonical_uuid(text: str, field: str) -> str:
    """Return the id as this server spells it. Raises: InvalidRequest if it is no UUID."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise InvalidRequest(f"'{field}' must be a UUID", field=field) from None
