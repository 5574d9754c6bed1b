"""Django middleware: names each request and says, when asked, who made it. Sync and async alike, without a thread."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse

from fleet.acting import Actor, ActorKind, acting_as, request_id_new, request_named
from fleet.addresses import http_address

_GIVEN = re.compile(r"[A-Za-z0-9_.-]{8,64}")


class RequestActor:
    """A proxy's X-Request-ID is kept if it is sound, so that its log and the audit log can be laid side by side."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        given = request.headers.get("X-Request-ID", "")
        request_id = given if _GIVEN.fullmatch(given) else request_id_new()
        if self._is_async:
            return self._answer_async(request, request_id)
        with request_named(request_id), acting_as(lambda: _actor(request, request_id)):
            response: Any = self._get_response(request)
        response.headers["X-Request-ID"] = request_id
        return response  # type: ignore[no-any-return]

    async def _answer_async(self, request: HttpRequest, request_id: str) -> HttpResponse:
        with request_named(request_id), acting_as(lambda: _actor(request, request_id)):
            response: HttpResponse = await self._get_response(request)  # type: ignore[misc]
        response.headers["X-Request-ID"] = request_id
        return response


def _actor(request: HttpRequest, request_id: str) -> Actor:
    """The user is the session's, or the token's, which the API puts there."""
    user, address = getattr(request, "user", None), http_address(request)
    if user is None or not user.is_authenticated:
        return Actor(name="nobody signed in", address=address, request_id=request_id)
    return Actor(ActorKind.PERSON, str(user.pk), user.get_username(), address, request_id)
