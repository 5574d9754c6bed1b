"""What a player and a plot read of an episode: its files with ranges, its steps thinned."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

from django.http import HttpResponseBase, HttpResponseRedirect
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.access import access_episode_by_id
from fleet.api.ranges import file_response
from fleet.errors import NotFound
from fleet.protocol.recording import MANIFEST_OBJECT, MAX_STEPS
from fleet.scopes import Needs, Scope
from fleet.selectors.episode_recording import MAX_POINTS, episode_manifest, episode_object_type, episode_steps
from fleet.selectors.objects import object_store
from fleet.storage import keys

REDIRECT_EXPIRES_S = 3600


class StepsIn(serializers.Serializer[Any]):
    start = serializers.IntegerField(min_value=0, max_value=MAX_STEPS, default=0)
    end = serializers.IntegerField(min_value=1, max_value=MAX_STEPS, default=None)
    max_points = serializers.IntegerField(min_value=1, max_value=MAX_POINTS, default=1000)


def _numbers(**options: Any) -> serializers.ListField:
    return serializers.ListField(child=serializers.FloatField(**options))


class StepsOut(serializers.Serializer[Any]):
    """Points are the frames in `frame`; vectors are lists [axis][point]. See `EpisodeSteps`."""

    steps = serializers.IntegerField()
    start = serializers.IntegerField()
    end = serializers.IntegerField()
    stride = serializers.IntegerField()
    frame = serializers.ListField(child=serializers.IntegerField())
    timestamp_s = _numbers()
    asked = serializers.ListField(child=_numbers())
    applied = serializers.ListField(child=_numbers())
    proposed = serializers.ListField(child=_numbers(allow_null=True))
    state = serializers.ListField(child=_numbers())
    reward = _numbers()
    success = serializers.ListField(child=serializers.BooleanField())
    mode = serializers.ListField(child=serializers.IntegerField())
    source = serializers.ListField(child=serializers.IntegerField())  # type: ignore[assignment]


class EpisodeStepsView(APIView):
    needs = Needs(read=Scope.EPISODES_READ)

    @extend_schema(parameters=[StepsIn], responses=StepsOut)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        """Return the steps [start, end) at no more than `max_points` points, fewer for robots with many axes."""
        episode = access_episode_by_id(request.user, pk)
        query = StepsIn(data=request.query_params)
        query.is_valid(raise_exception=True)
        # Not through StepsOut: its fields would look at each of up to 300,000 numbers.
        return Response(dataclasses.asdict(episode_steps(episode=episode, **query.validated_data)))


class EpisodeFileView(APIView):
    needs = Needs(read=Scope.EPISODES_READ)

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: uuid.UUID, name: str) -> HttpResponseBase:
        """Return a file of the episode, or the byte range asked for; a store in S3 is redirected to.

        A URL of this server, unlike a signed one, stays good for as long as somebody watches.
        """
        episode = access_episode_by_id(request.user, pk)
        if name != MANIFEST_OBJECT and name not in {each.name for each in episode_manifest(episode=episode).objects}:
            raise NotFound("the episode has no such file")
        store, key = object_store(), keys.episode_object(str(episode.id), name)
        path = store.path_or_none(key)
        if path is None:
            return HttpResponseRedirect(store.sign_get(key, expires_s=REDIRECT_EXPIRES_S))
        return file_response(request._request, path, content_type=episode_object_type(name))
