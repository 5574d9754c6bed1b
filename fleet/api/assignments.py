"""The assignment board: who works at what, what stands in the way, and what would help most."""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.access import access_robot_by_id, access_robots, access_task_by_id, access_tasks, coverage_of
from fleet.api.etag import IF_MATCH, text_etag_of, version_read
from fleet.models import Assignment
from fleet.scopes import Needs, Scope
from fleet.selectors.assignment import BoardRobot, assignment_board
from fleet.selectors.row_version import assignment_version
from fleet.selectors.schedule import MAX_WINDOWS
from fleet.services.assignment import PRIORITIES, assignment_set

_CLOCK = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"


class WindowBody(serializers.Serializer[Any]):
    """Hours of some days; Monday is 0. An `until` that is not after `from` lies on the next day."""

    days = serializers.ListField(child=serializers.IntegerField(min_value=0, max_value=6), min_length=1, max_length=7)
    until = serializers.RegexField(_CLOCK)

    def get_fields(self) -> dict[str, Any]:
        return {**super().get_fields(), "from": serializers.RegexField(_CLOCK)}  # a word that Python keeps for itself


class AssignmentIn(serializers.Serializer[Any]):
    """`weight`: how often the robot draws this task against its others. `priority`: only the highest that counts now
    is worked at. `windows`: when it counts, in `time_zone`; none: always."""

    weight = serializers.FloatField(min_value=0.001, max_value=1000, default=1.0)
    priority = serializers.IntegerField(min_value=PRIORITIES[0], max_value=PRIORITIES[-1], default=0)
    windows = WindowBody(many=True, max_length=MAX_WINDOWS, default=list)  # type: ignore[call-arg]
    time_zone = serializers.CharField(max_length=64, default="UTC")


class AssignmentOut(serializers.ModelSerializer[Assignment]):
    robot = serializers.UUIDField(source="robot_id")
    task = serializers.SlugRelatedField[Any](slug_field="slug", read_only=True)
    windows = WindowBody(many=True)

    class Meta:
        model = Assignment
        fields = ("robot", "task", "weight", "priority", "windows", "time_zone", "created_at")


class BoardProblemOut(serializers.Serializer[Any]):
    code = serializers.CharField()
    text = serializers.CharField()


class CellOut(serializers.Serializer[Any]):
    """`is_active`: the robot works at it now. `version`: what If-Match names."""

    version = serializers.CharField()
    task = serializers.CharField()
    weight = serializers.FloatField()
    priority = serializers.IntegerField()
    windows = WindowBody(many=True)
    time_zone = serializers.CharField()
    is_active = serializers.BooleanField()
    problem = BoardProblemOut(allow_null=True)


class BoardRobotOut(serializers.Serializer[Any]):
    """`can`: slugs of tasks that its driver offers, null while it has never connected."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    tags = serializers.ListField(child=serializers.CharField())
    is_online = serializers.BooleanField()
    can = serializers.ListField(child=serializers.CharField(), allow_null=True)
    problem = BoardProblemOut(allow_null=True)
    assignments = CellOut(many=True)


class TaskSuccessOut(serializers.Serializer[Any]):
    successes = serializers.IntegerField()
    n = serializers.IntegerField()
    rate = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()


class BoardTaskOut(serializers.Serializer[Any]):
    """`success`: autonomous success of the last 7 days with its 95 % Wilson interval; null without an episode."""

    id = serializers.UUIDField()
    slug = serializers.CharField()
    instruction = serializers.CharField()
    success = TaskSuccessOut(allow_null=True)


class SuggestionOut(serializers.Serializer[Any]):
    task = serializers.CharField()
    robot = serializers.UUIDField()
    robot_name = serializers.CharField()
    text = serializers.CharField()


class BoardOut(serializers.Serializer[Any]):
    robots = BoardRobotOut(many=True)
    tasks = BoardTaskOut(many=True)
    suggestions = SuggestionOut(many=True)


class BoardView(APIView):
    needs = Needs(read=Scope.FLEET_READ)

    @extend_schema(responses=BoardOut)
    def get(self, request: Request) -> Response:
        """Return who works at what, what stands in the way, and which robot would help which task most."""
        user = request.user
        board = assignment_board(robots=access_robots(user), tasks=access_tasks(user), coverage=coverage_of(user))
        tasks = [
            {"id": each.task.id, "slug": each.task.slug, "instruction": each.task.instruction, "success": each.success}
            for each in board.tasks
        ]
        suggestions = [
            {"task": each.task.slug, "robot": each.robot.id, "robot_name": each.robot.name, "text": each.text}
            for each in board.suggestions
        ]
        body = {"robots": [_robot(each) for each in board.robots], "tasks": tasks, "suggestions": suggestions}
        return Response(BoardOut(body).data)


class AssignmentView(APIView):
    needs = Needs(read=Scope.FLEET_READ, write=Scope.FLEET_WRITE)

    @extend_schema(request=AssignmentIn, responses=AssignmentOut, parameters=[IF_MATCH])
    def put(self, request: Request, robot_id: uuid.UUID, task_id: uuid.UUID) -> Response:
        """Let the robot work at the task like this; 409 says why it cannot.

        Over the version in If-Match, `"none"` if it did not work at it.
        """
        self._check(request, robot_id, task_id)
        version = version_read(request)
        body = AssignmentIn(data=request.data)
        body.is_valid(raise_exception=True)
        row = assignment_set(robot_id=robot_id, task_id=task_id, version=version, **body.validated_data)
        return Response(AssignmentOut(row).data, headers=text_etag_of(assignment_version(row)))

    @extend_schema(responses={204: None}, parameters=[IF_MATCH])
    def delete(self, request: Request, robot_id: uuid.UUID, task_id: uuid.UUID) -> Response:
        """End the robot's work at the task, over the version in If-Match; the episode under way is finished."""
        self._check(request, robot_id, task_id)
        assignment_set(robot_id=robot_id, task_id=task_id, weight=None, version=version_read(request))
        return Response(status=204)

    @staticmethod
    def _check(request: Request, robot_id: uuid.UUID, task_id: uuid.UUID) -> None:
        access_robot_by_id(request.user, robot_id)
        access_task_by_id(request.user, task_id)


def _robot(entry: BoardRobot) -> dict[str, Any]:
    cells = [
        {
            "version": assignment_version(cell.assignment),
            "task": cell.assignment.task.slug,
            "weight": cell.assignment.weight,
            "priority": cell.assignment.priority,
            "windows": cell.assignment.windows,
            "time_zone": cell.assignment.time_zone,
            "is_active": cell.is_active,
            "problem": cell.problem,
        }
        for cell in entry.cells
    ]
    return {
        "id": entry.robot.id,
        "name": entry.robot.name,
        "tags": entry.robot.tags,
        "is_online": entry.is_online,
        "can": entry.can,
        "problem": entry.problem,
        "assignments": cells,
    }
