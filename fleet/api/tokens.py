"""A person's API tokens. For people signed in to the console alone: a token cannot make or revoke tokens."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.access import access_api_tokens
from fleet.api.person import person_of
from fleet.models import ApiToken
from fleet.scopes import ABOUT, SESSION_ONLY, Scope
from fleet.services.api_token import MAX_KEPT, MAX_LIVE, api_token_create, api_token_revoke

SCOPES = [str(scope) for scope in Scope]


class TokenIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=100)
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=SCOPES), min_length=1, max_length=len(SCOPES))
    valid_s = serializers.FloatField(min_value=60, help_text="How long it works, in seconds.")


class TokenOut(serializers.ModelSerializer[ApiToken]):
    """`prefix`: how the secret begins. `last_used_at`: exact to a minute."""

    scopes = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = ApiToken
        fields = (
            "id",
            "name",
            "prefix",
            "scopes",
            "created_at",
            "expires_at",
            "revoked_at",
            "last_used_at",
            "last_used_ip",
        )


class TokenCreatedOut(TokenOut):
    """`secret` is in this answer alone; the server keeps a hash."""

    secret = serializers.CharField(read_only=True)

    class Meta(TokenOut.Meta):
        fields = (*TokenOut.Meta.fields, "secret")  # type: ignore[assignment]


class ScopeOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    about = serializers.CharField()


class TokensOut(serializers.Serializer[Any]):
    """`max_valid_s`: the longest life of a new token. `scopes`: all there are."""

    results = TokenOut(many=True)
    scopes = ScopeOut(many=True)
    max_valid_s = serializers.FloatField()


class TokenList(APIView):
    needs = SESSION_ONLY
    idempotency_exempt = "its answer holds a secret, which must not be kept"

    @extend_schema(operation_id="tokens_list", responses=TokensOut)
    def get(self, request: Request) -> Response:
        """Return your tokens, the newest first, and what a new one may be."""
        rows = access_api_tokens(request.user)[: MAX_LIVE + MAX_KEPT]
        scopes = [{"name": str(scope), "about": about} for scope, about in ABOUT.items()]
        body = {"results": rows, "scopes": scopes, "max_valid_s": settings.SOP_TOKEN_LIFE_S}
        return Response(TokensOut(body).data)

    @extend_schema(operation_id="tokens_create", request=TokenIn, responses={201: TokenCreatedOut})
    def post(self, request: Request) -> Response:
        """Make a token; its secret is shown only in this answer."""
        body = TokenIn(data=request.data)
        body.is_valid(raise_exception=True)
        scopes = [Scope(name) for name in body.validated_data.pop("scopes")]
        made = api_token_create(user=person_of(request), scopes=scopes, **body.validated_data)
        answer = {**TokenOut(made.token).data, "secret": made.secret}
        return Response(answer, status=201, headers={"Cache-Control": "no-store"})


class TokenDetail(APIView):
    needs = SESSION_ONLY

    @extend_schema(operation_id="tokens_revoke", responses={204: None})
    def delete(self, request: Request, pk: uuid.UUID) -> Response:
        """Revoke a token, at once and for good; it stays in the list."""
        api_token_revoke(user=person_of(request), token_id=pk)
        return Response(status=204)
