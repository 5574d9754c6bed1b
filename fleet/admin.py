"""Django's admin: enrolment tokens (shown once), keys, pausing, assignments; everything else to look at.

Changes go through the services, so robots hear of them. Rows that robots or the learner wrote cannot be edited.
"""

# mypy: disable-error-code="type-arg"
# (ModelAdmin takes no type argument at run time.)

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest

from fleet.models import (
    ApiToken,
    Assignment,
    EnrolmentToken,
    Episode,
    EpisodeLabel,
    HelpRequest,
    HelpSettings,
    IdempotentRequest,
    Lease,
    PolicyDeployment,
    PolicyVersion,
    Robot,
    RobotKey,
    RobotStop,
    RunMetric,
    SavedFilter,
    Segment,
    Task,
    TrainingRound,
    TrainingRun,
)
from fleet.services.assignment import assignment_set
from fleet.services.enrolment import enrolment_token_create
from fleet.services.robot import robot_key_revoke, robot_pause
from fleet.services.task import task_create
from fleet.services.training import training_run_start, training_run_stop


class ReadOnly(admin.ModelAdmin):
    """Rows to look at."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class KeyInline(admin.TabularInline):
    model = RobotKey
    fields = readonly_fields = ("id", "created_at", "revoked_at")
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Robot)
class RobotAdmin(ReadOnly):
    list_display = ("name", "is_paused", "policy_version", "last_seen_at", "daemon_version")
    list_filter = ("is_paused",)
    search_fields = ("name",)
    inlines = (KeyInline,)
    actions = ("pause", "resume")

    @admin.action(description="Pause", permissions=["pause"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Robot]) -> None:
        self._pause(queryset, is_paused=True)

    @admin.action(description="Go on", permissions=["pause"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Robot]) -> None:
        self._pause(queryset, is_paused=False)

    def has_pause_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("fleet.change_robot"))

    @staticmethod
    def _pause(queryset: QuerySet[Robot], *, is_paused: bool) -> None:
        for robot_id in queryset.values_list("id", flat=True):
            robot_pause(robot_id=robot_id, is_paused=is_paused)


@admin.register(EnrolmentToken)
class EnrolmentTokenAdmin(admin.ModelAdmin):
    """Adding a row creates the token and shows it in the message, once."""

    list_display = ("note", "created_at", "created_by", "expires_at", "used_at", "used_by")
    fields = ("note",)

    def save_model(self, request: HttpRequest, obj: EnrolmentToken, form: ModelForm, change: bool) -> None:
        user = request.user if isinstance(request.user, AbstractBaseUser) else None
        row, secret = enrolment_token_create(note=obj.note, user=user)
        obj.pk, obj.created_at, obj.expires_at = row.pk, row.created_at, row.expires_at
        messages.warning(request, f"Enrolment token, shown only now, valid for one hour: {secret}")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(RobotKey)
class RobotKeyAdmin(ReadOnly):
    list_display = ("robot", "created_at", "revoked_at")
    fields = ("robot", "created_at", "revoked_at")
    actions = ("revoke",)

    @admin.action(description="Revoke", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[RobotKey]) -> None:
        for key_id in queryset.values_list("id", flat=True):
            robot_key_revoke(key_id=key_id)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("fleet.change_robotkey"))


@admin.register(Task)
class TaskAdmin(admin.ModelAdmin):
    list_display = ("slug", "instruction", "driver_task", "max_steps", "is_active")
    fields = ("slug", "instruction", "driver_task", "max_steps")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("slug",) if obj else ()

    def save_model(self, request: HttpRequest, obj: Task, form: ModelForm, change: bool) -> None:
        row = task_create(
            slug=obj.slug, instruction=obj.instruction, driver_task=obj.driver_task, max_steps=obj.max_steps
        )
        obj.pk = row.pk

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Assignment)
class AssignmentAdmin(admin.ModelAdmin):
    """Adding sets the weight of a robot's task; `end` ends it."""

    list_display = ("robot", "task", "weight", "created_at", "ended_at")
    list_filter = ("robot", "task")
    fields = ("robot", "task", "weight")
    actions = ("end",)

    @admin.action(description="End", permissions=["add"])
    def end(self, request: HttpRequest, queryset: QuerySet[Assignment]) -> None:
        for row in queryset.filter(ended_at__isnull=True):
            assignment_set(robot_id=row.robot_id, task_id=row.task_id, weight=None)

    def save_model(self, request: HttpRequest, obj: Assignment, form: ModelForm, change: bool) -> None:
        row = assignment_set(robot_id=obj.robot_id, task_id=obj.task_id, weight=obj.weight)
        obj.pk = row.pk if row else obj.pk

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(TrainingRun)
class TrainingRunAdmin(ReadOnly):
    list_display = ("name", "algorithm", "state", "step", "epoch", "holder", "heartbeat_at", "failure_code")
    actions = ("start", "stop")

    @admin.action(description="Start", permissions=["run"])
    def start(self, request: HttpRequest, queryset: QuerySet[TrainingRun]) -> None:
        for run_id in queryset.values_list("id", flat=True):
            training_run_start(run_id=run_id)

    @admin.action(description="Stop", permissions=["run"])
    def stop(self, request: HttpRequest, queryset: QuerySet[TrainingRun]) -> None:
        for run_id in queryset.values_list("id", flat=True):
            training_run_stop(run_id=run_id)

    def has_run_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("fleet.change_trainingrun"))


@admin.register(Episode)
class EpisodeAdmin(ReadOnly):
    list_display = ("id", "index_seq", "origin", "outcome", "robot", "task", "steps", "human_steps", "ended_at")
    list_filter = ("origin", "outcome", "task", "robot")


@admin.register(PolicyVersion)
class PolicyVersionAdmin(ReadOnly):
    list_display = ("number", "run", "step", "size_bytes", "trained_at", "published_at")


@admin.register(PolicyDeployment)
class PolicyDeploymentAdmin(ReadOnly):
    list_display = ("version", "robot", "announced_at", "fetched_at", "applied_at", "refused_at", "refused_code")
    list_filter = ("robot",)


@admin.register(Lease)
class LeaseAdmin(ReadOnly):
    list_display = ("robot", "epoch", "source", "operator", "granted_at", "expires_at", "released_at", "end_reason")
    list_filter = ("source", "robot")


@admin.register(RobotStop)
class RobotStopAdmin(ReadOnly):
    list_display = ("robot", "stop_id", "by", "reason", "stopped_at", "cleared_at", "cleared_by")
    list_filter = ("robot",)


@admin.register(HelpRequest)
class HelpRequestAdmin(ReadOnly):
    list_display = ("robot", "reason", "score", "state", "ending", "operator", "opened_at", "claimed_at", "closed_at")
    list_filter = ("state", "reason", "robot")


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnly):
    list_display = ("name", "created_by", "prefix", "scopes", "created_at", "expires_at", "revoked_at", "last_used_at")
    list_filter = ("created_by",)
    exclude = ("token_sha256",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """With its owner's account alone, or the account could not be removed."""
        return bool(request.user.has_perm("auth.delete_user"))


@admin.register(TrainingRound)
class TrainingRoundAdmin(ReadOnly):
    list_display = ("run", "index", "start_step", "end_step", "ingest_upto", "attempts", "begun_at", "committed_at")


_plain: tuple[type[Model], ...] = (Segment, EpisodeLabel, SavedFilter, RunMetric, HelpSettings, IdempotentRequest)
for _model in _plain:
    admin.site.register(_model, ReadOnly)
