"""Groups of people: their members, and the robots and tasks that these see."""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.api.dataset_query import Strict
from fleet.api.etag import IF_MATCH, etag_of, revision_read
from fleet.api.idempotency import idempotent
from fleet.models import PeopleGroup
from fleet.scopes import SESSION_ONLY
from fleet.selectors.people_group import group_robots, people_group_find, people_groups
from fleet.services.people_group import (
    MAX_MEMBERS,
    MAX_NAME,
    GroupChange,
    people_group_change,
    people_group_create,
    people_group_delete,
)
from fleet.services.robot_admin import MAX_TAG, MAX_TAGS


class GroupNameOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    name = serializers.CharField()


class PeopleGroupOut(serializers.Serializer[Any]):
    """`revision` is the ETag. `covered`: names of the robots that tags and list cover now, retired ones too."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    members = GroupNameOut(many=True)
    robot_tags = serializers.ListField(child=serializers.CharField())
    robots = GroupNameOut(many=True)
    covered = serializers.ListField(child=serializers.CharField())
    covers_all_tasks = serializers.BooleanField()
    tasks = GroupNameOut(many=True)
    created_at = serializers.DateTimeField()
    revision = serializers.IntegerField()


class PeopleGroupsOut(serializers.Serializer[Any]):
    results = PeopleGroupOut(many=True)


def _ids(child: serializers.Field[Any, Any, Any, Any]) -> serializers.ListField:
    return serializers.ListField(child=child, max_length=MAX_MEMBERS, required=False)


class PeopleGroupPatch(Strict):
    """What is left out stays. `members`: ids of people. Robots are covered by any of `robot_tags` or by their id; tasks
    are all, or with `covers_all_tasks` false those in `tasks`."""

    name = serializers.CharField(max_length=MAX_NAME, required=False)
    members = _ids(serializers.IntegerField(min_value=1, max_value=2**31 - 1))
    robot_tags = serializers.ListField(
        child=serializers.CharField(max_length=MAX_TAG), max_length=MAX_TAGS, required=False
    )
    robots = _ids(serializers.UUIDField())
    covers_all_tasks = serializers.BooleanField(required=False)
    tasks = _ids(serializers.UUIDField())


class PeopleGroupIn(PeopleGroupPatch):
    """As a change, with a name."""

    name = serializers.CharField(max_length=MAX_NAME)


class PeopleGroupList(APIView):
    needs = SESSION_ONLY

    @extend_schema(operation_id="people_groups_list", responses=PeopleGroupsOut)
    def get(self, request: Request) -> Response:
        """Return all groups by name, with what they cover."""
        return Response(PeopleGroupsOut({"results": [_shown(row) for row in people_groups()]}).data)

    @extend_schema(operation_id="people_groups_create", request=PeopleGroupIn, responses={201: PeopleGroupOut})
    @idempotent
    def post(self, request: Request) -> Response:
        """Make a group. Its members see from now on what their groups cover, and nothing else; admins see all."""
        row = people_group_create(change=_change(PeopleGroupIn, request))
        return _answer(row.id, status=201)


class PeopleGroupDetail(APIView):
    needs = SESSION_ONLY

    @extend_schema(responses=PeopleGroupOut)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        """Return one group, with its revision as ETag."""
        return _answer(pk)

    @extend_schema(request=PeopleGroupPatch, responses=PeopleGroupOut, parameters=[IF_MATCH])
    def patch(self, request: Request, pk: uuid.UUID) -> Response:
        """Change a group over the revision in If-Match; who leaves it stays limited to their other groups."""
        people_group_find(group_id=pk)
        revision = revision_read(request)
        people_group_change(group_id=pk, change=_change(PeopleGroupPatch, request), revision=revision)
        return _answer(pk)

    @extend_schema(responses={204: None}, parameters=[IF_MATCH])
    def delete(self, request: Request, pk: uuid.UUID) -> Response:
        """Remove a group over the revision in If-Match; who is in no other sees nothing until an admin lifts that."""
        people_group_find(group_id=pk)
        people_group_delete(group_id=pk, revision=revision_read(request))
        return Response(status=204)


def _change(kind: type[PeopleGroupPatch], request: Request) -> GroupChange:
    body = kind(data=request.data)
    body.is_valid(raise_exception=True)
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in body.validated_data.items()
    }
    return GroupChange(**given)


def _answer(pk: uuid.UUID, status: int = 200) -> Response:
    row = people_group_find(group_id=pk)
    return Response(PeopleGroupOut(_shown(row)).data, status=status, headers=etag_of(row.revision))


def _shown(row: PeopleGroup) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "members": _named((str(user.pk), user.get_username()) for user in row.members.all()),
        "robot_tags": row.robot_tags,
        "robots": _named((str(robot.pk), robot.name) for robot in row.robots.all()),
        "covered": list(group_robots(group=row).values_list("name", flat=True)),
        "covers_all_tasks": row.covers_all_tasks,
        "tasks": _named((str(task.pk), task.slug) for task in row.tasks.all()),
        "created_at": row.created_at,
        "revision": row.revision,
    }


def _named(pairs: Any) -> list[dict[str, str]]:
    return [{"id": pk, "name": name} for pk, name in sorted(pairs, key=lambda pair: pair[1])]
