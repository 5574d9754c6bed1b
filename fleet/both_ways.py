"""The base of our Django middleware: works in sync and async chains alike, without a thread in between.

Called by sop_web and fleet.api; sop_web/metrics.py loads it before the settings, so it imports nothing of ours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

Finish = Callable[[HttpResponseBase], HttpResponseBase]


class BothWays:
    """Subclasses say in `around` what holds while a request is answered, and what becomes of the answer."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]) -> None:
        self._get_response: Any = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def around(self, request: HttpRequest) -> AbstractContextManager[Finish]:
        """Enter before the request is answered; what it gives finishes the answer, before it is left."""
        raise NotImplementedError

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._answer_async(request)
        with self.around(request) as finish:
            return finish(self._get_response(request))

    async def _answer_async(self, request: HttpRequest) -> HttpResponseBase:
        with self.around(request) as finish:
            return finish(await self._get_response(request))
