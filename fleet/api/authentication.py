"""`Authorization: Bearer sop_...`: a token in place of a session. Sessions, and their CSRF check, stay as they are."""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from fleet.addresses import http_address
from fleet.api.throttling import count_stranger
from fleet.errors import ScopeMissing, SessionRequired
from fleet.models import ApiToken
from fleet.protocol.errors import Unauthorised
from fleet.scopes import Needs, Public, SessionOnly, scope_needed, scopes_allow
from fleet.selectors.api_token import api_token_find
from fleet.services.api_token import api_token_use
from fleet.services.session import session_noted

logger = logging.getLogger(__name__)


class BearerAuthentication(BaseAuthentication):
    """Finds the token's owner, and refuses at once what the token's scopes do not allow: no view can forget to ask."""

    def authenticate(self, request: Request) -> tuple[Any, ApiToken] | None:
        """Raises: Unauthorised, ScopeMissing, SessionRequired."""
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        token = api_token_find(secret=secret.strip())
        if token is None:
            count_stranger(request)
            raise Unauthorised("this token is unknown, revoked or expired")
        _check_scope(token, request)
        api_token_use(token=token, address=http_address(request))
        return token.created_by, token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def _check_scope(token: ApiToken, request: Request) -> None:
    view = (request.parser_context or {}).get("view")
    declared = getattr(view, "needs", None)
    if isinstance(declared, Public):
        return
    if isinstance(declared, SessionOnly):
        raise SessionRequired("a token cannot do this; sign in to the console")
    if not isinstance(declared, Needs):
        logger.error("a view declares no scope", extra={"event": {"view": type(view).__name__}})
        raise ScopeMissing("no token may do this")
    scope = scope_needed(declared, is_read=request.method in SAFE_METHODS)
    if scope is None or not scopes_allow(token.scopes, scope):
        raise ScopeMissing(f"this token lacks the scope {scope}" if scope else "no token may do this")


class SessionNoted(SessionAuthentication):
    """Django's session with its CSRF check; its person sees in their profile where and when it was used."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        found = super().authenticate(request)
        key = request._request.session.session_key
        if found is not None and key:
            agent = request.headers.get("User-Agent", "")
            session_noted(user=found[0], session_key=key, address=http_address(request), agent=agent)
        return found


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = SessionNoted
    name = "cookieAuth"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the schema names it."""

    target_class = BearerAuthentication
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "A token of /settings/tokens, with its scopes."}
