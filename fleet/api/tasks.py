"""Tasks: what can be asked of robots, their wordings, archiving."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.access import access_task_by_id, access_tasks
from fleet.api.etag import IF_MATCH, etag_of, revision_read
from fleet.api.idempotency import idempotent
from fleet.api.person import person_of
from fleet.api.sparse import SparseFields
from fleet.models import Task, TaskWording
from fleet.scopes import Needs, Scope
from fleet.services.task import MAX_STEPS, TARGET_RATE, TaskChange, task_define, task_update


class TaskOut(serializers.ModelSerializer[Task]):
    """`revision` is the ETag. Episodes keep the wording they ran with."""

    class Meta:
        model = Task
        fields = (
            "id",
            "slug",
            "instruction",
            "success_definition",
            "driver_task",
            "max_steps",
            "target_rate",
            "is_active",
            "created_at",
            "revision",
        )


class TaskChangeIn(serializers.Serializer[Any]):
    """What is left out stays. `is_active` false archives the task and ends its assignments."""

    instruction = serializers.CharField(max_length=1000, required=False)
    success_definition = serializers.CharField(max_length=2000, required=False, allow_blank=True)
    driver_task = serializers.CharField(max_length=100, required=False)
    max_steps = serializers.IntegerField(min_value=1, max_value=MAX_STEPS, required=False)
    target_rate = serializers.FloatField(min_value=0, max_value=1, required=False)
    is_active = serializers.BooleanField(required=False)


class TaskIn(serializers.Serializer[Any]):
    """`driver_task`: what the robot's driver calls it. `max_steps`: of one episode, in control steps.

    `target_rate`: the success rate that charts show as the goal.
    """

    slug = serializers.SlugField(max_length=100)
    instruction = serializers.CharField(max_length=1000)
    success_definition = serializers.CharField(max_length=2000, default="", allow_blank=True)
    driver_task = serializers.CharField(max_length=100)
    max_steps = serializers.IntegerField(min_value=1, max_value=MAX_STEPS)
    target_rate = serializers.FloatField(min_value=0, max_value=1, default=TARGET_RATE)


class TaskChangedOut(TaskOut):
    """`ended_assignments`: what an archived task took with it."""

    ended_assignments = serializers.IntegerField()

    class Meta(TaskOut.Meta):
        fields = (*TaskOut.Meta.fields, "ended_assignments")  # type: ignore[assignment]


class WordingOut(serializers.ModelSerializer[TaskWording]):
    class Meta:
        model = TaskWording
        fields = ("number", "instruction", "at", "by_name")


class WordingsOut(serializers.Serializer[Any]):
    results = WordingOut(many=True)


class TaskList(SparseFields, generics.ListAPIView[Task]):
    needs = Needs(read=Scope.FLEET_READ, write=Scope.FLEET_WRITE)
    serializer_class = TaskOut
    ordering = ("-created_at", "id")
    queryset = Task.objects.none()

    def get_queryset(self) -> QuerySet[Task]:
        return access_tasks(self.request.user)

    @extend_schema(request=TaskIn, responses={201: TaskOut})
    @idempotent
    def post(self, request: Request) -> Response:
        """Define a task; 409 if its slug is taken."""
        body = TaskIn(data=request.data)
        body.is_valid(raise_exception=True)
        task = task_define(user=person_of(request), **body.validated_data)
        return Response(TaskOut(task).data, status=201, headers=etag_of(task.revision))


class TaskDetail(SparseFields, APIView):
    sparse = TaskOut
    needs = Needs(read=Scope.FLEET_READ, write=Scope.FLEET_WRITE)

    @extend_schema(responses=TaskOut)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        """Return one task, archived or not, with its revision as ETag."""
        task = access_task_by_id(request.user, pk)
        return Response(TaskOut(task).data, headers=etag_of(task.revision))

    @extend_schema(request=TaskChangeIn, responses=TaskChangedOut, parameters=[IF_MATCH])
    def patch(self, request: Request, pk: uuid.UUID) -> Response:
        """Change a task over the revision in If-Match; a new instruction is kept as a new wording."""
        access_task_by_id(request.user, pk)
        body = TaskChangeIn(data=request.data)
        body.is_valid(raise_exception=True)
        change = TaskChange(**body.validated_data)
        changed = task_update(task_id=pk, change=change, revision=revision_read(request), user=person_of(request))
        task: Any = changed.task
        task.ended_assignments = changed.ended
        return Response(TaskChangedOut(task).data, headers=etag_of(task.revision))


class TaskWordingsView(APIView):
    needs = Needs(read=Scope.FLEET_READ)

    @extend_schema(responses=WordingsOut)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        """Return the wordings of the task's instruction, the newest first, at most 100."""
        task = access_task_by_id(request.user, pk)
        return Response(WordingsOut({"results": task.wordings.order_by("-number")[:100]}).data)
