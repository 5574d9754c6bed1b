"""The filters that a user keeps for the library."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.access import access_saved_filters
from fleet.api.episode_query import EpisodeFilterIn
from fleet.api.idempotency import idempotent
from fleet.models import SavedFilter
from fleet.scopes import Needs, Scope
from fleet.selectors.episode_page import SORT_NAMES
from fleet.services.saved_filter import saved_filter_remove, saved_filter_set


class SavedQuery(EpisodeFilterIn):
    sort = serializers.ChoiceField(choices=SORT_NAMES, required=False)


class SavedFilterIn(serializers.Serializer[Any]):
    name = serializers.RegexField(r"^[^\x00-\x1f\x7f]+$", max_length=100)
    query = SavedQuery()


class SavedFilterOut(serializers.ModelSerializer[SavedFilter]):
    query = SavedQuery(read_only=True)

    class Meta:
        model = SavedFilter
        fields = ("id", "name", "query", "created_at")


class SavedFiltersOut(serializers.Serializer[Any]):
    results = SavedFilterOut(many=True)


class SavedFilterList(APIView):
    needs = Needs(read=Scope.EPISODES_READ, write=Scope.EPISODES_WRITE)

    @extend_schema(responses=SavedFiltersOut)
    def get(self, request: Request) -> Response:
        """Return your filters by name, at most 100."""
        return Response(SavedFiltersOut({"results": access_saved_filters(request.user)}).data)

    @extend_schema(request=SavedFilterIn, responses={201: SavedFilterOut})
    @idempotent
    def post(self, request: Request) -> Response:
        """Keep a filter under a name, over what you had there."""
        body = SavedFilterIn(data=request.data)
        body.is_valid(raise_exception=True)
        assert isinstance(request.user, AbstractBaseUser)  # signed in, says the permission
        # As it was sent, not as it was read: dates are text in JSON.
        sent: Any = body.initial_data
        query = {name: sent["query"][name] for name in body.validated_data["query"]}
        row = saved_filter_set(user=request.user, name=body.validated_data["name"], query=query)
        return Response(SavedFilterOut(row).data, status=201)


class SavedFilterDetail(APIView):
    needs = Needs(read=Scope.EPISODES_READ, write=Scope.EPISODES_WRITE)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: uuid.UUID) -> Response:
        """Forget a filter."""
        assert isinstance(request.user, AbstractBaseUser)
        saved_filter_remove(user=request.user, filter_id=pk)
        return Response(status=204)
