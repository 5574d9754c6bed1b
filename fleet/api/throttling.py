"""Who may send how many requests: a token, a signed-in person, an address without either. See `fleet/rate_limit.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from fleet.addresses import http_address
from fleet.errors import RateLimited
from fleet.models import ApiToken
from fleet.rate_limit import rate_limit_take

if TYPE_CHECKING:
    from rest_framework.views import APIView  # which imports this module, as its default throttle


class RateLimit(BaseThrottle):
    """Counts every request; the outcome is left on it for `middleware.ApiHeaders`."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Raises: RateLimited."""
        if isinstance(request.auth, ApiToken):
            count_request(request._request, who=f"token:{request.auth.pk}", per_minute=settings.SOP_RATE_TOKEN_PER_MIN)
        elif request.user and request.user.is_authenticated:
            count_request(request._request, who=f"user:{request.user.pk}", per_minute=settings.SOP_RATE_USER_PER_MIN)
        else:
            count_stranger(request)
        return True


def count_stranger(request: Request) -> None:
    """Count a request without credentials that work, by address. Raises: RateLimited."""
    who = f"address:{http_address(request) or 'unknown'}"
    count_request(request._request, who=who, per_minute=settings.SOP_RATE_ADDRESS_PER_MIN)


def count_request(request: Any, *, who: str, per_minute: int) -> None:
    taken = rate_limit_take(who=who, per_minute=per_minute)
    if taken is None:
        return
    request.rate_limit = taken
    if not taken.is_allowed:
        raise RateLimited(f"more than {per_minute} requests a minute", wait_s=taken.wait_s)
