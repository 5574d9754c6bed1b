"""One's own account: password, second factor, where one is signed in. For people at the console, never for tokens."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model, update_session_auth_hash
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.views import APIView

from fleet.api.etag import IF_MATCH, text_etag_of, version_read
from fleet.api.person import person_of
from fleet.api.throttling import RateLimit
from fleet.errors import InvalidRequest
from fleet.models import Person
from fleet.scopes import SESSION_ONLY
from fleet.selectors.person import person_roles_given, user_sessions
from fleet.selectors.row_version import user_version
from fleet.services.person import password_change, person_update
from fleet.services.session import session_end, session_forget, sessions_end
from fleet.services.totp import recovery_codes_renew, totp_begin, totp_confirm, totp_remove

_NO_STORE = {"Cache-Control": "no-store"}


class SessionRowOut(serializers.Serializer[Any]):
    """`is_this`: the one that asks."""

    id = serializers.UUIDField()
    created_at = serializers.DateTimeField()
    last_seen_at = serializers.DateTimeField()
    address = serializers.CharField(allow_null=True)
    agent = serializers.CharField()
    is_this = serializers.BooleanField()


class ProfileOut(serializers.Serializer[Any]):
    """`totp_needed`: a role of this person requires a second factor. `version`: of account and roles, the ETag."""

    username = serializers.CharField()
    name = serializers.CharField()
    email = serializers.CharField()
    roles = serializers.ListField(child=serializers.CharField())
    has_totp = serializers.BooleanField()
    totp_needed = serializers.BooleanField()
    recovery_codes_left = serializers.IntegerField()
    version = serializers.CharField()
    sessions = SessionRowOut(many=True)


class ProfileIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=150, allow_blank=True, required=False)
    email = serializers.EmailField(allow_blank=True, required=False)


class PasswordIn(serializers.Serializer[Any]):
    old = serializers.CharField(max_length=200, trim_whitespace=False)
    new = serializers.CharField(max_length=200, trim_whitespace=False)


class TotpSetupOut(serializers.Serializer[Any]):
    secret = serializers.CharField()
    uri = serializers.CharField()
    qr_svg = serializers.CharField()


class FactorCodeIn(serializers.Serializer[Any]):
    code = serializers.CharField(max_length=40)


class PasswordCheckIn(serializers.Serializer[Any]):
    password = serializers.CharField(max_length=200, trim_whitespace=False)


class RecoveryOut(serializers.Serializer[Any]):
    """Each works once; they are in this answer alone."""

    recovery_codes = serializers.ListField(child=serializers.CharField())


class EndedOut(serializers.Serializer[Any]):
    ended = serializers.IntegerField()


class ProfileView(APIView):
    needs = SESSION_ONLY

    @extend_schema(responses=ProfileOut)
    def get(self, request: Request) -> Response:
        """Return one's own account."""
        return _answer(request)

    @extend_schema(request=ProfileIn, responses=ProfileOut, parameters=[IF_MATCH])
    def patch(self, request: Request) -> Response:
        """Change one's name or address, over the version in If-Match."""
        version = version_read(request)
        body = ProfileIn(data=request.data)
        body.is_valid(raise_exception=True)
        person_update(user_id=person_of(request).pk, version=version, **body.validated_data)
        return _answer(request)


class PasswordView(APIView):
    needs = SESSION_ONLY
    idempotency_exempt = "the second time the old password no longer fits"
    throttle_classes = (ScopedRateThrottle, RateLimit)
    throttle_scope = "login"

    @extend_schema(request=PasswordIn, responses={204: None})
    def post(self, request: Request) -> Response:
        """Change one's password; every other session ends."""
        body = PasswordIn(data=request.data)
        body.is_valid(raise_exception=True)
        user, django_request = person_of(request), request._request
        password_change(user=user, **body.validated_data)
        former = django_request.session.session_key or ""
        sessions_end(user=user, but=former)
        user.refresh_from_db()
        update_session_auth_hash(django_request, user)  # type: ignore[arg-type]
        session_forget(session_key=former)
        return Response(status=204)


class OwnSessionsView(APIView):
    needs = SESSION_ONLY

    @extend_schema(operation_id="profile_sessions_end", responses={200: EndedOut})
    def delete(self, request: Request) -> Response:
        """Sign out everywhere else."""
        return Response({"ended": sessions_end(user=person_of(request), but=_key(request))})


class OwnSessionView(APIView):
    needs = SESSION_ONLY

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: uuid.UUID) -> Response:
        """Sign one browser out."""
        session_end(user=person_of(request), session_id=pk)
        return Response(status=204)


class TotpView(APIView):
    """POST begins, PUT confirms, DELETE removes. One's password is asked for before a factor begins or ends."""

    needs = SESSION_ONLY
    idempotency_exempt = "the secret is shown in one answer alone, which is kept nowhere"
    throttle_classes = (ScopedRateThrottle, RateLimit)
    throttle_scope = "login"

    @extend_schema(request=PasswordCheckIn, responses={201: TotpSetupOut})
    def post(self, request: Request) -> Response:
        """Return a new secret for an authenticator app; it counts once a code of it is confirmed."""
        _check_password(request)
        setup = totp_begin(user=person_of(request))
        return Response(dataclasses.asdict(setup), status=201, headers=_NO_STORE)

    @extend_schema(request=FactorCodeIn, responses=RecoveryOut)
    def put(self, request: Request) -> Response:
        """Set the second factor up by a code of the app; return the recovery codes."""
        body = FactorCodeIn(data=request.data)
        body.is_valid(raise_exception=True)
        codes = totp_confirm(user=person_of(request), code=body.validated_data["code"])
        return Response({"recovery_codes": codes}, headers=_NO_STORE)

    @extend_schema(request=PasswordCheckIn, responses={204: None})
    def delete(self, request: Request) -> Response:
        """Do without a second factor."""
        _check_password(request)
        totp_remove(user=person_of(request), is_own=True)
        return Response(status=204)


class RecoveryCodesView(APIView):
    needs = SESSION_ONLY
    idempotency_exempt = "the codes are shown in one answer alone, which is kept nowhere"
    throttle_classes = (ScopedRateThrottle, RateLimit)
    throttle_scope = "login"

    @extend_schema(request=FactorCodeIn, responses=RecoveryOut)
    def post(self, request: Request) -> Response:
        """Return new recovery codes for a code of the app; the old ones end."""
        body = FactorCodeIn(data=request.data)
        body.is_valid(raise_exception=True)
        codes = recovery_codes_renew(user=person_of(request), code=body.validated_data["code"])
        return Response({"recovery_codes": codes}, headers=_NO_STORE)


def _check_password(request: Request) -> None:
    """Raises: InvalidRequest."""
    body = PasswordCheckIn(data=request.data)
    body.is_valid(raise_exception=True)
    if not person_of(request).check_password(body.validated_data["password"]):
        raise InvalidRequest("this is not your password", field="password")


def _answer(request: Request) -> Response:
    shown = _profile(request)
    return Response(shown, headers=text_etag_of(shown["version"]))


def _key(request: Request) -> str:
    return request._request.session.session_key or ""


def _profile(request: Request) -> Any:
    user: Any = get_user_model().objects.get(pk=person_of(request).pk)
    person = Person.objects.filter(user_id=user.pk).first()
    roles = person_roles_given(user=user)
    sessions = [
        {
            "id": row.id,
            "created_at": row.created_at,
            "last_seen_at": row.last_seen_at,
            "address": row.address,
            "agent": row.agent,
            "is_this": row.session_key == _key(request),
        }
        for row in user_sessions(user=user)
    ]
    shown = {
        "username": user.get_username(),
        "name": user.get_full_name(),
        "email": user.email,
        "roles": roles,
        "has_totp": person is not None and person.totp_confirmed_at is not None,
        "totp_needed": not set(roles).isdisjoint(settings.SOP_TOTP_ROLES),
        "recovery_codes_left": len(person.recovery_sha256) if person else 0,
        "version": user_version(user),
        "sessions": sessions,
    }
    return ProfileOut(shown).data
