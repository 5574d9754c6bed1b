"""Who acts in this request, for the audit log: set at the edges, read by services/audit.py, passed by nobody.

HTTP sets it in `api/acting.py`, consoles' sockets in `consumers/console.py`; commands, workers and robots' links act
as the system unless a service says which robot it was.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum


class ActorKind(StrEnum):
    PERSON = "person"
    ROBOT = "robot"
    SYSTEM = "system"


@dataclass(frozen=True)
class Actor:
    """`id`: of the user or robot, empty for the system. `request_id`: in the answer's X-Request-ID as well."""

    kind: ActorKind = ActorKind.SYSTEM
    id: str = ""
    name: str = "system"
    address: str | None = None
    request_id: str = ""


_SYSTEM = Actor()
_acting: ContextVar[Callable[[], Actor]] = ContextVar("fleet_acting")
_request_id: ContextVar[str] = ContextVar("fleet_request_id", default="")


def acting() -> Actor:
    """Return who acts here and now."""
    found = _acting.get(None)
    return found() if found is not None else _SYSTEM


@contextmanager
def acting_as(actor: Callable[[], Actor]) -> Iterator[None]:
    """Let `actor` say who acts within the block; it is asked when something is recorded, so it may look late."""
    token = _acting.set(actor)
    try:
        yield
    finally:
        _acting.reset(token)


@contextmanager
def request_named(request_id: str) -> Iterator[None]:
    """Within the block, `request_id()` is this. Apart from the actor, whose look-up may take a query."""
    token = _request_id.set(request_id)
    try:
        yield
    finally:
        _request_id.reset(token)


def request_id() -> str:
    """Return the id of the request that is being answered; a new one where none is."""
    return _request_id.get() or request_id_new()


def request_id_or_empty() -> str:
    """Return the id of the request that is being answered, or that asked for this task; empty outside of both."""
    return _request_id.get()


def request_id_new() -> str:
    return uuid.uuid4().hex
