"""Django's and WhiteNoise's middleware on the event loop.

Django goes through a thread before and after each of its own middleware, and WhiteNoise, which knows no async, holds
one for the whole request: half of the CPU of a short request, for code that looks at headers and waits for nothing.
What may ask the database still goes through a thread: a session that changed, messages that were read or left.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.common import CommonMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.security import SecurityMiddleware
from django.utils.deprecation import MiddlewareMixin
from whitenoise.middleware import WhiteNoiseMiddleware

_Asks = Callable[[Any], bool]


def _never(request: HttpRequest) -> bool:
    return False


# Whether what a middleware does with the answer may ask the database.
_ASKS: dict[type[MiddlewareMixin], _Asks] = {
    SecurityMiddleware: _never,
    SessionMiddleware: lambda request: request.session.modified,
    CommonMiddleware: _never,
    CsrfViewMiddleware: _never,
    AuthenticationMiddleware: _never,
    MessageMiddleware: lambda request: request._messages.used or request._messages.added_new,
    XFrameOptionsMiddleware: _never,
}


def keep_on_loop() -> None:
    """Let Django's middleware run on the loop, in this process. In place: `check --deploy` asks for these by name."""
    for kind, asks in _ASKS.items():
        kind.__acall__ = _on_loop(asks)  # type: ignore[method-assign, assignment]


def _on_loop(asks: _Asks) -> Callable[[Any, HttpRequest], Awaitable[Any]]:
    async def answer(self: Any, request: HttpRequest) -> Any:
        response = self.process_request(request) if hasattr(self, "process_request") else None
        response = response or await self.get_response(request)
        if not hasattr(self, "process_response"):
            return response
        if asks(request):
            return await sync_to_async(self.process_response, thread_sensitive=True)(request, response)
        return self.process_response(request, response)

    return answer


class StaticFiles(WhiteNoiseMiddleware):  # type: ignore[misc]
    """WhiteNoise in an async chain, too. A file is looked up in memory (production) or on the disk, and opened here."""

    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        answer = super().__call__(request)
        return _awaited(answer) if iscoroutinefunction(self.get_response) else answer


async def _awaited(answer: Any) -> Any:
    """Return a file's response as it is, and the following middleware's when it is there."""
    return await answer if isawaitable(answer) else answer
