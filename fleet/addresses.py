"""The address of who asks. Of X-Forwarded-For only as many entries are believed as there are proxies in front."""

from __future__ import annotations

import ipaddress
from typing import Any

from django.conf import settings


def http_address(request: Any) -> str | None:
    """Of a Django or DRF request."""
    return _address(request.META.get("REMOTE_ADDR") or "", request.META.get("HTTP_X_FORWARDED_FOR", ""))


def socket_address(scope: dict[str, Any]) -> str | None:
    """Of a websocket's ASGI scope."""
    forwarded = [value.decode("latin-1") for name, value in scope.get("headers", ()) if name == b"x-forwarded-for"]
    return _address((scope.get("client") or ("",))[0], ",".join(forwarded))


def _address(found: str, forwarded: str) -> str | None:
    proxies = int(str(settings.REST_FRAMEWORK["NUM_PROXIES"]))
    entries = [each.strip() for each in forwarded.split(",") if each.strip()]
    if proxies and entries:
        found = entries[-min(proxies, len(entries))]
    try:
        return str(ipaddress.ip_address(found))
    except ValueError:
        return None
