"""People for who manages them: the list, roles, whether they may sign in, invitations, resets."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.views import APIView

from fleet.api.etag import IF_MATCH, text_etag_of, version_read
from fleet.api.person import person_of
from fleet.api.throttling import RateLimit
from fleet.errors import NotFound
from fleet.models import PersonLink
from fleet.permissions import ROLE_PERMISSIONS, Role
from fleet.scopes import PUBLIC, SESSION_ONLY
from fleet.selectors.people_group import MAX_GROUPS
from fleet.selectors.person import PersonCard, invitations_open, people_cards
from fleet.selectors.row_version import person_version, user_version
from fleet.services.person import person_update
from fleet.services.person_link import (
    Link,
    invitation_accept,
    invitation_create,
    invitation_revoke,
    link_find,
    reset_accept,
    reset_create,
)
from fleet.services.totp import totp_remove

ROLES = [str(role) for role in Role]


def _roles(**options: Any) -> serializers.ListField:
    return serializers.ListField(child=serializers.ChoiceField(choices=ROLES), max_length=len(ROLES), **options)


class PersonOut(serializers.Serializer[Any]):
    """`needs_totp`: their roles wait until they set a second factor up. `version`: what If-Match names. `is_limited`:
    they see what `groups` cover, and nothing without any; admins see all the same."""

    id = serializers.IntegerField()
    username = serializers.CharField()
    name = serializers.CharField()
    email = serializers.CharField()
    roles = serializers.ListField(child=serializers.CharField())
    is_active = serializers.BooleanField()
    has_totp = serializers.BooleanField()
    needs_totp = serializers.BooleanField()
    sessions = serializers.IntegerField()
    is_limited = serializers.BooleanField()
    groups = serializers.ListField(child=serializers.CharField())
    joined_at = serializers.DateTimeField()
    last_login_at = serializers.DateTimeField(allow_null=True)
    version = serializers.CharField()


class RoleOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    permissions = serializers.ListField(child=serializers.CharField())


class PeopleOut(serializers.Serializer[Any]):
    results = PersonOut(many=True)
    roles = RoleOut(many=True)


class PersonIn(serializers.Serializer[Any]):
    """What is left out stays. `is_limited` false: they see the whole fleet again, and leave every group."""

    roles = _roles(required=False)
    is_limited = serializers.ChoiceField(choices=[False], required=False)
    is_active = serializers.BooleanField(required=False)
    name = serializers.CharField(max_length=150, allow_blank=True, required=False)
    email = serializers.EmailField(allow_blank=True, required=False)


class InvitationIn(serializers.Serializer[Any]):
    """`groups`: ids; who joins sees what these cover and nothing else."""

    roles = _roles(min_length=1)
    email = serializers.EmailField(allow_blank=True, default="")
    groups = serializers.ListField(child=serializers.UUIDField(), max_length=MAX_GROUPS, default=list)


class InvitationOut(serializers.ModelSerializer[PersonLink]):
    roles = serializers.ListField(child=serializers.CharField(), read_only=True)
    groups = serializers.SlugRelatedField[Any](slug_field="name", many=True, read_only=True)

    class Meta:
        model = PersonLink
        fields = ("id", "email", "roles", "is_limited", "groups", "created_at", "created_by_name", "expires_at")


class InvitationsOut(serializers.Serializer[Any]):
    results = InvitationOut(many=True)


class LinkOut(serializers.Serializer[Any]):
    """`url` is in this answer alone; the server keeps a hash."""

    id = serializers.UUIDField()
    url = serializers.CharField()
    expires_at = serializers.DateTimeField()
    is_mailed = serializers.BooleanField()


class LinkSecretIn(serializers.Serializer[Any]):
    secret = serializers.CharField(max_length=200)


class LinkShownOut(serializers.Serializer[Any]):
    """What a link is for. `username`: whose password it sets; empty for an invitation."""

    is_reset = serializers.BooleanField()
    username = serializers.CharField()
    email = serializers.CharField()
    roles = serializers.ListField(child=serializers.CharField())
    invited_by = serializers.CharField()
    expires_at = serializers.DateTimeField()


class LinkAcceptIn(LinkSecretIn):
    """`username`: of an invitation; a reset has one."""

    username = serializers.CharField(max_length=150, default="", allow_blank=True)
    name = serializers.CharField(max_length=150, default="", allow_blank=True)
    password = serializers.CharField(max_length=200, trim_whitespace=False)


class AcceptedOut(serializers.Serializer[Any]):
    username = serializers.CharField()


class PeopleList(APIView):
    needs = SESSION_ONLY

    @extend_schema(operation_id="people_list", responses=PeopleOut)
    def get(self, request: Request) -> Response:
        """Return everybody by name, and what each role may do."""
        roles = [{"name": role.value, "permissions": sorted(ROLE_PERMISSIONS[role])} for role in Role]
        people = [_shown(card) for card in people_cards()]
        return Response(PeopleOut({"results": people, "roles": roles}).data)


class PersonDetail(APIView):
    needs = SESSION_ONLY

    @extend_schema(request=PersonIn, responses=PersonOut, parameters=[IF_MATCH])
    def patch(self, request: Request, pk: int) -> Response:
        """Change a person's roles, name, address, or whether they may sign in; at once, open pages included.

        Over the `version` in If-Match: all that is given, or nothing.
        """
        version = version_read(request)
        body = PersonIn(data=request.data)
        body.is_valid(raise_exception=True)
        asked = dict(body.validated_data)
        if "roles" in asked:
            asked["roles"] = [Role(role) for role in asked["roles"]]
        user = person_update(user_id=pk, version=version, **asked)
        found = next((card for card in people_cards() if card.id == pk), None)
        if found is None:
            raise NotFound("there is no such person")
        return Response(PersonOut(_shown(found)).data, headers=text_etag_of(user_version(user)))


class PersonResetView(APIView):
    needs = SESSION_ONLY
    idempotency_exempt = "the link is shown in one answer alone, which is kept nowhere"

    @extend_schema(request=None, responses={201: LinkOut})
    def post(self, request: Request, pk: int) -> Response:
        """Make a link by which this person chooses a new password."""
        return _link(reset_create(user_id=pk, by=person_of(request)))


class PersonTotpView(APIView):
    needs = SESSION_ONLY

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """Remove a person's second factor, as when their telephone is lost."""
        totp_remove(user=_user(pk), is_own=False)
        return Response(status=204)


class InvitationList(APIView):
    needs = SESSION_ONLY
    idempotency_exempt = "the link is shown in one answer alone, which is kept nowhere"

    @extend_schema(operation_id="invitations_list", responses=InvitationsOut)
    def get(self, request: Request) -> Response:
        """Return the invitations that are open."""
        return Response(InvitationsOut({"results": invitations_open()}).data)

    @extend_schema(operation_id="invitations_create", request=InvitationIn, responses={201: LinkOut})
    def post(self, request: Request) -> Response:
        """Invite somebody; the link is shown only in this answer."""
        body = InvitationIn(data=request.data)
        body.is_valid(raise_exception=True)
        roles = [Role(role) for role in body.validated_data["roles"]]
        asked = body.validated_data
        by = person_of(request)
        return _link(invitation_create(roles=roles, by=by, email=asked["email"], groups=asked["groups"]))


class InvitationDetail(APIView):
    needs = SESSION_ONLY

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: uuid.UUID) -> Response:
        """Withdraw an invitation."""
        invitation_revoke(link_id=pk)
        return Response(status=204)


class WelcomeView(APIView):
    """No session: the link's secret is the credential."""

    needs = PUBLIC
    idempotency_exempt = "POST only reads; it carries a secret that belongs into no URL"
    authentication_classes = ()
    throttle_classes = (ScopedRateThrottle, RateLimit)
    throttle_scope = "welcome"

    @extend_schema(request=LinkSecretIn, responses=LinkShownOut)
    def post(self, request: Request) -> Response:
        """Say what a link is for. The secret travels in the body, which no log holds."""
        body = LinkSecretIn(data=request.data)
        body.is_valid(raise_exception=True)
        row = link_find(secret=body.validated_data["secret"])
        shown = {
            "is_reset": row.is_reset,
            "username": row.user.get_username() if row.user else "",
            "email": row.email,
            "roles": row.roles,
            "invited_by": row.created_by_name,
            "expires_at": row.expires_at,
        }
        return Response(LinkShownOut(shown).data, headers={"Cache-Control": "no-store"})

    @extend_schema(request=LinkAcceptIn, responses={201: AcceptedOut})
    def put(self, request: Request) -> Response:
        """Use a link: join under a name and password, or set a new password. Then sign in."""
        body = LinkAcceptIn(data=request.data)
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        if link_find(secret=asked["secret"]).is_reset:
            user = reset_accept(secret=asked["secret"], password=asked["password"])
        else:
            user = invitation_accept(**asked)
        return Response({"username": user.get_username()}, status=201)


def _shown(card: PersonCard) -> dict[str, Any]:
    version = person_version(roles=card.roles, is_active=card.is_active, name=card.name, email=card.email)
    return {**dataclasses.asdict(card), "version": version}


def _user(pk: int) -> AbstractBaseUser:
    user = get_user_model().objects.filter(pk=pk).first()
    if user is None:
        raise NotFound("there is no such person")
    return user


def _link(link: Link) -> Response:
    shown = {"id": link.row.id, "url": link.url, "expires_at": link.row.expires_at, "is_mailed": link.is_mailed}
    return Response(LinkOut(shown).data, status=201, headers={"Cache-Control": "no-store"})
