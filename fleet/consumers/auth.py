"""Who is on the other end: robot keys from the upgrade's header, people from the session cookie."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.utils.crypto import constant_time_compare

from fleet.errors import LinkReplaced
from fleet.protocol.errors import OutboxFull, PeerSilent, SopError, Unauthorised

CLOSE_PROTOCOL_ERROR = 4400
CLOSE_UNAUTHORISED = 4401
CLOSE_SILENT = 4408
CLOSE_REPLACED = 4409
CLOSE_OUTBOX_FULL = 4429
_CLOSES: dict[type[SopError], int] = {
    Unauthorised: CLOSE_UNAUTHORISED,
    PeerSilent: CLOSE_SILENT,
    LinkReplaced: CLOSE_REPLACED,
    OutboxFull: CLOSE_OUTBOX_FULL,
}

# Rows and files are read in these threads. Channels' default runs everything in one thread of the process, where the
# checking of one robot's episode would hold up the heartbeats of all others.
_threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="links")
# Deliveries ask the object store, which may be down: each then holds its thread for some 20 to 45 s (storage/s3.py),
# and read videos, which ends after SOP_VIDEO_CHECK_S.
_delivery_threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="deliveries")

_P = ParamSpec("_P")
_T = TypeVar("_T")


async def off_loop(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Run a service or selector outside of the event loop, with a database connection of its own."""
    return await _in_thread(_threads, functools.partial(function, *args, **kwargs))


async def off_loop_delivery(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """The same for what waits on the object store, in threads that no heartbeat needs."""
    return await _in_thread(_delivery_threads, functools.partial(function, *args, **kwargs))


async def _in_thread(threads: ThreadPoolExecutor, call: Callable[[], _T]) -> _T:
    result: _T = await database_sync_to_async(call, thread_sensitive=False, executor=threads)()
    return result


def close_code(error: SopError) -> int:
    """Return the code that a link ends with for this reason."""
    return _CLOSES.get(type(error), CLOSE_PROTOCOL_ERROR)


@dataclass(frozen=True)
class RobotCredentials:
    """From `Authorization: Bearer <robot_id>.<key>`."""

    robot_id: str
    key: str = field(repr=False)


def credentials_of(scope: dict[str, Any]) -> RobotCredentials:
    """Read the upgrade's header. Raises: Unauthorised if it is missing or has another form."""
    values = [value for name, value in scope["headers"] if name == b"authorization"]
    scheme, _, rest = (values[0] if len(values) == 1 else b"").decode("latin-1").partition(" ")
    robot_id, _, key = rest.partition(".")
    if scheme.lower() != "bearer" or not robot_id or not key or len(rest) > 500:
        raise Unauthorised("the upgrade carries no robot key")
    return RobotCredentials(robot_id, key)


def is_session_alive(session_key: str | None, user_id: int) -> bool:
    """Whether an HTTP request with this session would still be this user's: a socket outlives the session, its end
    by time, the user's right to sign in and the password it was opened with."""
    session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = get_user_model().objects.filter(pk=user_id, is_active=True).first()
    if user is None or session.get(SESSION_KEY) != str(user_id):  # an expired session is empty
        return False
    return constant_time_compare(session.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash())


def shared_task(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Start what serves many connections: its log lines carry the ids of none, also not of the one that came first."""
    return asyncio.create_task(work, context=Context())


async def cancel(*tasks: asyncio.Task[None] | None) -> None:
    """Cancel tasks and wait for their end; their own errors were logged where they arose."""
    waiting = [task for task in tasks if task is not None and task is not asyncio.current_task()]
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
