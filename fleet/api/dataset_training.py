"""Train from a version of a dataset."""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.access import access_dataset_version, access_policy_versions
from fleet.api.dataset_query import Strict
from fleet.api.idempotency import idempotent
from fleet.errors import InvalidRequest
from fleet.scopes import Needs, Scope
from fleet.services.dataset_train import dataset_train


class TrainIn(Strict):
    """`base`: id of the policy version that the run begins from. `split`: empty for all episodes.

    `takes_online`: new episodes of robots come to the run, and robots get its versions; without it the run learns from
    the dataset alone, feeds no robot, and ends after `target_steps`.
    """

    name = serializers.CharField(max_length=200)
    base = serializers.UUIDField()
    split = serializers.CharField(max_length=32, allow_blank=True, default="train")
    takes_online = serializers.BooleanField(default=False)
    algorithm = serializers.SlugField(max_length=100, default="hg_dagger")
    seed = serializers.IntegerField(min_value=0, max_value=2**63 - 1, default=0)
    target_steps = serializers.IntegerField(min_value=1, max_value=2**62, required=False, allow_null=True)
    config = serializers.DictField(required=False)


class StartedOut(serializers.Serializer[Any]):
    """`id`: of the training run."""

    id = serializers.UUIDField()
    name = serializers.CharField()


class VersionTrain(APIView):
    needs = Needs(read=Scope.TRAINING_READ, write=Scope.TRAINING_WRITE)

    @extend_schema(request=TrainIn, responses={201: StartedOut})
    @idempotent
    def post(self, request: Request, pk: uuid.UUID, number: int) -> Response:
        """Start a training run whose offline source is this version, with the outcomes that were frozen."""
        version = access_dataset_version(request.user, pk, number)
        body = TrainIn(data=request.data)
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        base = access_policy_versions(request.user).filter(id=asked["base"]).first()
        if base is None:
            raise InvalidRequest("there is no such policy version", field="base")
        run = dataset_train(
            version=version,
            base=base,
            name=asked["name"],
            algorithm=asked["algorithm"],
            config=asked.get("config", {}),
            seed=asked["seed"],
            split=asked["split"],
            takes_online=asked["takes_online"],
            target_steps=asked.get("target_steps"),
        )
        return Response(StartedOut({"id": run.id, "name": run.name}).data, status=201)
