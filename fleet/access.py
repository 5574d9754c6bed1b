"""The only door from a request to an object: fetches for a user, and tells missing and forbidden apart for nobody.

What somebody may do is looked up in the table of roles (permissions.py), what they see of the fleet in their groups
(coverage.py), both as the rows say now. What a group leaves out is NotFound, as if it did not exist.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, TypeVar

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Exists, Model, OuterRef, Q, QuerySet

from fleet.coverage import Coverage
from fleet.errors import NotFound
from fleet.models import (
    Alert,
    AlertRule,
    ApiToken,
    AuditEntry,
    Dataset,
    DatasetEpisode,
    DatasetImport,
    DatasetVersion,
    Episode,
    Export,
    ExportEpisode,
    HelpRequest,
    PolicyVersion,
    RetentionRule,
    Robot,
    Rollout,
    SavedFilter,
    Shadow,
    ShadowRobot,
    Task,
    TrainingRun,
    Webhook,
)
from fleet.permissions import WHOLE_FLEET, WHOLE_FLEET_WORDS, Permission, needed_words, permissions_of
from fleet.selectors.people_group import person_coverage
from fleet.selectors.person import PersonStanding, person_standing

User = AbstractBaseUser | AnonymousUser
_Row = TypeVar("_Row", bound=Model)


def coverage_of(user: User) -> Coverage:
    """Return what of the fleet this user sees; for selectors that count rather than list."""
    return person_coverage(user=user)


def access_robots(user: User) -> QuerySet[Robot]:
    """Return the robots this user may see."""
    return _seen(user, Robot.objects.all(), Coverage.robots)


def access_tasks(user: User) -> QuerySet[Task]:
    """Return the tasks this user may see."""
    return _seen(user, Task.objects.all(), Coverage.tasks)


def access_episodes(user: User) -> QuerySet[Episode]:
    """Return the episodes this user may see, each with its task, robot, and version with its run."""
    rows = Episode.objects.select_related("task", "robot", "policy_version__run")
    return _seen(user, rows, Coverage.episodes)


def access_policy_versions(user: User) -> QuerySet[PolicyVersion]:
    """Return the policy versions this user may see."""
    return _seen(user, PolicyVersion.objects.all())


def access_training_runs(user: User) -> QuerySet[TrainingRun]:
    """Return the training runs this user may see."""
    return _seen(user, TrainingRun.objects.all())


def access_datasets(user: User) -> QuerySet[Dataset]:
    """Return the datasets this user may see: of whom groups limit, their own and those with a version to read."""
    owner: Any = user.pk

    def covered(coverage: Coverage) -> Q:
        whole = _holds_only(coverage, DatasetEpisode, "version")
        return Q(created_by=owner) | Q(Exists(DatasetVersion.objects.filter(whole, dataset=OuterRef("pk"))))

    return _seen(user, Dataset.objects.all(), covered)


def access_dataset_versions(user: User) -> QuerySet[DatasetVersion]:
    """Return the versions of datasets this user may see, each with its dataset: none with an episode unseen."""
    rows = DatasetVersion.objects.select_related("dataset")
    return _seen(user, rows, lambda coverage: _holds_only(coverage, DatasetEpisode, "version"))


def access_saved_filters(user: User) -> QuerySet[SavedFilter]:
    """Return this user's own saved filters."""
    owner: Any = user.pk
    return _seen(user, SavedFilter.objects.filter(user=owner))


def access_api_tokens(user: User) -> QuerySet[ApiToken]:
    """Return this user's own API tokens, also those that no longer work, the newest first."""
    owner: Any = user.pk
    return _seen(user, ApiToken.objects.filter(created_by=owner).order_by("-created_at"))


def access_dataset_imports(user: User) -> QuerySet[DatasetImport]:
    """Return the imports this user may see: of whom groups limit, their own, for imports belong to no robot."""
    owner: Any = user.pk
    return _seen(user, DatasetImport.objects.all(), lambda _: Q(requested_by=owner))


def access_help_requests(user: User) -> QuerySet[HelpRequest]:
    """Return the requests for help this user may see, each with its robot and task."""
    rows = HelpRequest.objects.select_related("robot", "task")
    return _seen(user, rows, lambda coverage: coverage.robots("robot_id"))


def access_retention_rules(user: User) -> QuerySet[RetentionRule]:
    """Return the retention rules this user may see and change, each with its task."""
    rows = RetentionRule.objects.select_related("task")
    return rows if may(user, Permission.EDIT_SETTINGS) else rows.none()


def access_webhooks(user: User) -> QuerySet[Webhook]:
    """Return the webhooks this user may see and change, each with its maker."""
    rows = Webhook.objects.select_related("created_by")
    return rows if may(user, Permission.EDIT_SETTINGS) else rows.none()


def access_webhook_by_id(user: User, webhook_id: uuid.UUID) -> Webhook:
    """Return one webhook. Raises: NotFound."""
    webhook = access_webhooks(user).filter(id=webhook_id).first()
    if webhook is None:
        raise NotFound("there is no such webhook")
    return webhook


def access_alerts(user: User) -> QuerySet[Alert]:
    """Return the alerts this user may see: of whom groups limit, those of their robots. All others count the fleet."""
    return _seen(user, Alert.objects.all(), _alerts_covered)


def access_alert_by_id(user: User, alert_id: uuid.UUID) -> Alert:
    """Return one alert. Raises: NotFound."""
    alert = access_alerts(user).filter(id=alert_id).first()
    if alert is None:
        raise NotFound("there is no such alert")
    return alert


def access_alert_rules(user: User) -> QuerySet[AlertRule]:
    """Return the alert rules this user may see: none of whom groups limit, for rules name robots and addresses."""
    return _seen(user, AlertRule.objects.all(), lambda _: Q(pk__isnull=True))


def access_alert_rule_by_id(user: User, rule_id: uuid.UUID) -> AlertRule:
    """Return one alert rule. Raises: NotFound."""
    rule = access_alert_rules(user).filter(id=rule_id).first()
    if rule is None:
        raise NotFound("there is no such alert rule")
    return rule


def access_exports(user: User) -> QuerySet[Export]:
    """Return the exports this user may see, each with its dataset version: none with an episode unseen."""
    rows = Export.objects.filter(deleted_at=None).select_related("dataset_version__dataset")
    return _seen(user, rows, _exports_covered)


def access_export_by_id(user: User, export_id: uuid.UUID) -> Export:
    """Return one export. Raises: NotFound."""
    export = access_exports(user).filter(id=export_id).first()
    if export is None:
        raise NotFound("there is no such export")
    return export


def access_audit(user: User) -> QuerySet[AuditEntry]:
    """Return the audit log, to whoever may see it."""
    rows = AuditEntry.objects.all()
    return rows if may(user, Permission.SEE_AUDIT) else rows.none()


def _seen(user: User, rows: QuerySet[_Row], covered: Callable[[Coverage], Q] | None = None) -> QuerySet[_Row]:
    """Return the rows for who may see. `covered`: which of them groups cover; without it rows are of no robot."""
    standing = person_standing(user=user)
    if Permission.SEE not in _allowed(standing):
        return rows.none()
    if covered is None or not standing.is_limited:
        return rows
    return rows.filter(covered(person_coverage(user=user, standing=standing)))


def _holds_only(coverage: Coverage, entries: type[DatasetEpisode] | type[ExportEpisode], owner: str) -> Q:
    """The condition on what holds `entries` that every one of them is covered; one whose episode is gone is not."""
    inside = Episode.objects.filter(coverage.episodes(), pk=OuterRef("episode_id"))
    return Q(~Exists(entries._default_manager.filter(~Exists(inside), **{owner: OuterRef("pk")})))


def _exports_covered(coverage: Coverage) -> Q:
    versions = DatasetVersion.objects.filter(
        _holds_only(coverage, DatasetEpisode, "version"), pk=OuterRef("dataset_version")
    )
    frozen_for_it = Q(dataset_version__isnull=True) & _holds_only(coverage, ExportEpisode, "export")
    return frozen_for_it | Q(Exists(versions))


def _shadows_covered(coverage: Coverage) -> Q:
    outside = ShadowRobot.objects.exclude(robot_id__in=coverage.robots_at_all_tasks)
    return Q(~Exists(outside.filter(shadow=OuterRef("pk"))))


def _alerts_covered(coverage: Coverage) -> Q:
    return Q(subject_kind=Alert.Subject.ROBOT, subject_id__in=sorted(map(str, coverage.robot_ids or ())))


def may(user: User, permission: Permission) -> bool:
    """Whether this user may do this, of objects that they see."""
    return permission in permissions(user)


def permissions(user: User) -> frozenset[Permission]:
    """Return all that this user may do."""
    return _allowed(person_standing(user=user))


def _allowed(standing: PersonStanding) -> frozenset[Permission]:
    found = permissions_of(standing.roles)
    return found - WHOLE_FLEET if standing.is_limited else found


def refusal_words(user: User, permission: Permission) -> str:
    """Say why this user may not: their role, or that it reaches beyond their groups."""
    is_beyond = permission in permissions_of(person_standing(user=user).roles)
    return WHOLE_FLEET_WORDS if is_beyond else needed_words(permission)


def may_drive(user: User) -> bool:
    """Whether this user may hold the lease of a robot that they see."""
    return may(user, Permission.DRIVE)


def may_publish(user: User) -> bool:
    """Whether this user may change which version robots drive with."""
    return may(user, Permission.RELEASE_VERSIONS)


def may_take_lease(user: User) -> bool:
    """Whether this user may take a robot from another person who drives it."""
    return may(user, Permission.TAKE)


def may_clear_stop(user: User, *, holder_id: int | None) -> bool:
    """Whether this user may let a stopped robot go: who holds its lease (`holder_id`), and who may clear any."""
    return (holder_id is not None and holder_id == user.pk and may_drive(user)) or may(user, Permission.CLEAR_STOP)


def access_robot_by_id(user: User, robot_id: uuid.UUID) -> Robot:
    """Return one robot. Raises: NotFound."""
    robot = access_robots(user).filter(id=robot_id).first()
    if robot is None:
        raise NotFound("there is no such robot")
    return robot


def access_robot_to_stop(user: User, robot_id: uuid.UUID) -> Robot:
    """Return any robot that whoever may stop can name: groups hide robots, and stop is for all (docs/safety.md).

    Raises: NotFound.
    """
    robot = Robot.objects.filter(id=robot_id).first() if may(user, Permission.STOP) else None
    if robot is None:
        raise NotFound("there is no such robot")
    return robot


def access_task_by_id(user: User, task_id: uuid.UUID) -> Task:
    """Return one task. Raises: NotFound."""
    task = access_tasks(user).filter(id=task_id).first()
    if task is None:
        raise NotFound("there is no such task")
    return task


def access_episode_by_id(user: User, episode_id: uuid.UUID) -> Episode:
    """Return one episode. Raises: NotFound."""
    episode = access_episodes(user).filter(id=episode_id).first()
    if episode is None:
        raise NotFound("there is no such episode")
    return episode


def access_training_run_by_id(user: User, run_id: uuid.UUID) -> TrainingRun:
    """Return one training run. Raises: NotFound."""
    run = access_training_runs(user).filter(id=run_id).first()
    if run is None:
        raise NotFound("there is no such training run")
    return run


def access_dataset_by_id(user: User, dataset_id: uuid.UUID) -> Dataset:
    """Return one dataset. Raises: NotFound."""
    dataset = access_datasets(user).filter(id=dataset_id).first()
    if dataset is None:
        raise NotFound("there is no such dataset")
    return dataset


def access_dataset_version(user: User, dataset_id: uuid.UUID, number: int) -> DatasetVersion:
    """Return one version of a dataset. Raises: NotFound."""
    version = access_dataset_versions(user).filter(dataset=dataset_id, number=number).first()
    if version is None:
        raise NotFound("there is no such version")
    return version


def access_policy_version_by_id(user: User, version_id: uuid.UUID) -> PolicyVersion:
    """Return one version with its run. Raises: NotFound."""
    rows = access_policy_versions(user).select_related("run__dataset_version__dataset", "parent__run")
    version = rows.filter(id=version_id).first()
    if version is None:
        raise NotFound("there is no such policy version")
    return version


def access_rollout_by_id(user: User, rollout_id: uuid.UUID | str) -> Rollout:
    """Return one rollout of a run that this user may see. Raises: NotFound."""
    rows = Rollout.objects.select_related("run", "candidate", "baseline").filter(run__in=access_training_runs(user))
    rollout = rows.filter(id=rollout_id).first()
    if rollout is None:
        raise NotFound("there is no such rollout")
    return rollout


def access_shadows(user: User) -> QuerySet[Shadow]:
    """Return the shadows this user may see: of whom groups limit, those on their robots alone, at all tasks."""
    rows = Shadow.objects.select_related("version__run").filter(version__in=access_policy_versions(user))
    return _seen(user, rows, _shadows_covered)


def access_shadow_by_id(user: User, shadow_id: uuid.UUID | str) -> Shadow:
    """Return one shadow. Raises: NotFound."""
    shadow = access_shadows(user).filter(id=shadow_id).first()
    if shadow is None:
        raise NotFound("there is no such shadow")
    return shadow


def access_dataset_import_by_id(user: User, import_id: uuid.UUID) -> DatasetImport:
    """Return one import. Raises: NotFound."""
    row = access_dataset_imports(user).filter(id=import_id).first()
    if row is None:
        raise NotFound("there is no such import")
    return row
