"""Pause, resume and stop a training run, over the revision that was read."""

from __future__ import annotations

import uuid

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.access import access_training_run_by_id
from fleet.api.etag import IF_MATCH, etag_of, revision_read
from fleet.api.idempotency import idempotent
from fleet.api.person import person_of
from fleet.models import TrainingRun
from fleet.scopes import Needs, Scope
from fleet.services.training_ask import Rest, training_run_ask, training_run_resume


class RunStateOut(serializers.ModelSerializer[TrainingRun]):
    """`state`: as the learner confirmed it. `asked`: what it will obey once its round is done, or empty."""

    class Meta:
        model = TrainingRun
        fields = ("id", "state", "asked", "asked_at", "asked_by_name", "epoch", "revision")


def _answer(run: TrainingRun) -> Response:
    return Response(RunStateOut(run).data, headers=etag_of(run.revision))


def _ask(request: Request, pk: uuid.UUID, rest: Rest) -> Response:
    access_training_run_by_id(request.user, pk)
    name = person_of(request).get_username()
    return _answer(training_run_ask(run_id=pk, rest=rest, revision=revision_read(request), by_name=name))


class RunPauseView(APIView):
    needs = Needs(read=Scope.TRAINING_READ, write=Scope.TRAINING_WRITE)

    @extend_schema(request=None, responses=RunStateOut, parameters=[IF_MATCH])
    @idempotent
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Pause a running run: at the end of the round that a learner works at, else at once."""
        return _ask(request, pk, TrainingRun.State.PAUSED)


class RunStopView(APIView):
    needs = Needs(read=Scope.TRAINING_READ, write=Scope.TRAINING_WRITE)

    @extend_schema(request=None, responses=RunStateOut, parameters=[IF_MATCH])
    @idempotent
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Stop a run for good: at the end of the round that a learner works at, else at once."""
        return _ask(request, pk, TrainingRun.State.STOPPED)


class RunResumeView(APIView):
    needs = Needs(read=Scope.TRAINING_READ, write=Scope.TRAINING_WRITE)

    @extend_schema(request=None, responses=RunStateOut, parameters=[IF_MATCH])
    @idempotent
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Let a paused or failed run go on from its last round, or take back what is asked of a running one."""
        access_training_run_by_id(request.user, pk)
        return _answer(training_run_resume(run_id=pk, revision=revision_read(request)))
