"""Django middleware: names each request and says, when asked, who made it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from fleet.acting import Actor, ActorKind, acting_as, request_id_new, request_named
from fleet.addresses import http_address
from fleet.both_ways import BothWays, Finish

_GIVEN = re.compile(r"[A-Za-z0-9_.-]{8,64}")


class RequestActor(BothWays):
    """A proxy's X-Request-ID is kept if it is sound, so that its log and the audit log can be laid side by side."""

    @contextmanager
    def around(self, request: HttpRequest) -> Iterator[Finish]:
        given = request.headers.get("X-Request-ID", "")
        request_id = given if _GIVEN.fullmatch(given) else request_id_new()

        def finish(response: HttpResponseBase) -> HttpResponseBase:
            response.headers["X-Request-ID"] = request_id
            return response

        with request_named(request_id), acting_as(lambda: _actor(request, request_id)):
            yield finish


def _actor(request: HttpRequest, request_id: str) -> Actor:
    """The user is the session's, or the token's, which the API puts there."""
    user, address = getattr(request, "user", None), http_address(request)
    if user is None or not user.is_authenticated:
        return Actor(name="nobody signed in", address=address, request_id=request_id)
    return Actor(ActorKind.PERSON, str(user.pk), user.get_username(), address, request_id)
