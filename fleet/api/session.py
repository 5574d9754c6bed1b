"""Signing in and out with a session cookie."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import login, logout
from django.middleware.csrf import get_token
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.views import APIView

from fleet.access import permissions
from fleet.addresses import http_address
from fleet.api.throttling import RateLimit
from fleet.permissions import Role
from fleet.scopes import PUBLIC
from fleet.selectors.people_group import group_names
from fleet.selectors.person import person_lacks_totp, person_standing
from fleet.services.session import session_forget, session_noted
from fleet.services.sign_in import sign_in_check


class Credentials(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=200, trim_whitespace=False)
    code = serializers.CharField(max_length=40, default="", allow_blank=True)


class UserOut(serializers.Serializer[Any]):
    """`is_limited`: sees what `groups` cover, and nothing else."""

    username = serializers.CharField()
    is_staff = serializers.BooleanField()
    roles = serializers.ListField(child=serializers.CharField())
    permissions = serializers.ListField(child=serializers.CharField())
    lacks_totp = serializers.BooleanField()
    is_limited = serializers.BooleanField()
    groups = serializers.ListField(child=serializers.CharField())


class SessionOut(serializers.Serializer[Any]):
    user = UserOut(allow_null=True)


class LoginThrottle(ScopedRateThrottle):
    """Counts sign-in attempts only; reading the session is free."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        return request.method != "POST" or super().allow_request(request, view)


# DRF exempts views from CSRF and checks it for signed-in users alone; signing in must be protected too, or a foreign
# page could sign the browser in under another name.
@method_decorator(csrf_protect, name="dispatch")
class SessionView(APIView):
    needs = PUBLIC
    idempotency_exempt = "a stranger signs in, and twice does no harm"
    throttle_classes = (LoginThrottle, RateLimit)
    throttle_scope = "login"

    @extend_schema(responses=SessionOut)
    def get(self, request: Request) -> Response:
        """Say who is signed in, and set the CSRF cookie."""
        get_token(request._request)
        return Response(_session(request))

    @extend_schema(request=Credentials, responses=SessionOut)
    def post(self, request: Request) -> Response:
        """Sign in; 401 tells a wrong name, a wrong password and a disabled user apart for nobody.

        401 with code "second_factor": the password is right; send it again with the code of the second factor.
        """
        body = Credentials(data=request.data)
        body.is_valid(raise_exception=True)
        address = http_address(request)
        user = sign_in_check(request=request._request, address=address, **body.validated_data)
        login(request._request, user)  # type: ignore[arg-type]
        agent, key = request.headers.get("User-Agent", ""), request._request.session.session_key or ""
        session_noted(user=user, session_key=key, address=address, agent=agent)
        request.user = user  # type: ignore[assignment]
        return Response(_session(request))

    @extend_schema(responses={204: None})
    def delete(self, request: Request) -> Response:
        """Sign out."""
        session_forget(session_key=request._request.session.session_key or "")
        logout(request._request)
        return Response(status=204)


def _session(request: Request) -> dict[str, object]:
    user = request.user
    if not user.is_authenticated:
        return {"user": None}
    standing = person_standing(user=user)
    shown = {
        "username": user.get_username(),
        "is_staff": user.is_staff,
        "roles": [role.value for role in Role if role in standing.roles],
        "permissions": sorted(permissions(user)),
        "lacks_totp": person_lacks_totp(user=user),
        "is_limited": standing.is_limited,
        "groups": group_names(user=user) if standing.is_limited else [],
    }
    return {"user": shown}
