"""Alert rules as people manage them: make, change, remove; and the ones that a new fleet begins with."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.utils import timezone
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict

from fleet.errors import InvalidRequest, NameTaken, NotFound, RobotRetired, TaskArchived
from fleet.events import hint_consoles
from fleet.models import Alert, AlertRule, Robot, Task
from fleet.models.alert import Severity
from fleet.selectors.alert_kinds import SCOPES, alert_params, alert_silences, alert_zone
from fleet.selectors.alert_reading import Reading, Scope, alert_readings
from fleet.services.alert_tell import alert_resolve, alerts_tell
from fleet.services.audit import audit_record
from fleet.services.revision import revision_advance
from fleet.services.text import clean_text

MAX_RULES = 200
MAX_NAMED = 200  # tasks or robots that one rule names
MAX_RECIPIENTS = 20
MAX_CLEAR_AFTER_S = 86_400.0

# What a fleet watches until somebody decides otherwise: `manage.py alert_defaults` makes those that are missing.
DEFAULTS: Sequence[Mapping[str, Any]] = (
    {"name": "Robot offline", "kind": "offline", "params": {"after_s": 300.0}, "severity": "critical"},
    {"name": "Upload backlog", "kind": "backlog", "params": {"above": 20}, "severity": "warning"},
    {"name": "Episodes refused", "kind": "refusals", "params": {}, "severity": "warning"},
    {"name": "Learner stalls", "kind": "stall", "params": {"after_s": 900.0}, "severity": "critical"},
    {
        "name": "Success below 50 %",
        "kind": "rate",
        "params": {"measure": "success", "by": "task", "threshold": 0.5, "min_n": 30},
        "severity": "warning",
        "clear_after_s": 900.0,
    },
    {
        "name": "Robots drive with old versions",
        "kind": "staleness",
        "params": {"span": "staleness_s", "quantile": "p50", "above": 3600.0},
        "severity": "info",
        "clear_after_s": 900.0,
    },
)


class RuleChange(Struct, frozen=True, kw_only=True):
    """Values of a rule; what is UNSET stays. See models/alert.py. `tasks`, `robots`: ids, none: all."""

    name: str | UnsetType = UNSET
    params: Any = UNSET
    tasks: Sequence[uuid.UUID] | UnsetType = UNSET
    robots: Sequence[uuid.UUID] | UnsetType = UNSET
    severity: str | UnsetType = UNSET
    is_enabled: bool | UnsetType = UNSET
    clear_after_s: float | UnsetType = UNSET
    silences: Sequence[Any] | UnsetType = UNSET
    time_zone: str | UnsetType = UNSET
    channels: Sequence[str] | UnsetType = UNSET
    mail_to: Sequence[str] | UnsetType = UNSET


@transaction.atomic
def alert_rule_create(*, kind: str, change: RuleChange) -> AlertRule:
    """Make a rule. Raises: InvalidRequest, NameTaken, NotFound, RobotRetired, TaskArchived."""
    if AlertRule.objects.count() >= MAX_RULES:
        raise InvalidRequest(f"there are {MAX_RULES} alert rules; remove one first", field="name")
    rule = AlertRule(kind=kind, params={})
    change = msgspec.structs.replace(change, params={} if change.params is UNSET else change.params)
    scope = _apply(rule, change)
    _save(rule, scope, force_insert=True)
    audit_record(action="alert_rule.create", subject=rule, after=_shown(rule))
    hint_consoles("alerts")
    return rule


@transaction.atomic
def alert_rule_change(*, rule_id: uuid.UUID, change: RuleChange, revision: int) -> AlertRule:
    """Change what is given over the revision that was read; open alerts follow with the next evaluation.

    One that is turned off resolves its alerts. Raises: NotFound, PreconditionFailed, and as alert_rule_create.
    """
    rule = _locked(rule_id)
    revision_advance(rule, expected=revision)
    before = _shown(rule)
    scope = _apply(rule, change)
    _save(rule, scope)
    audit_record(action="alert_rule.change", subject=rule, before=before, after=_shown(rule))
    if not rule.is_enabled:
        _end_open(rule, Alert.Resolution.RULE_OFF)
    hint_consoles("alerts")
    return rule


@transaction.atomic
def alert_rule_remove(*, rule_id: uuid.UUID) -> None:
    """Remove a rule; its open alerts resolve and all stay in the history. Raises: NotFound."""
    rule = _locked(rule_id)
    audit_record(action="alert_rule.remove", subject=rule, before=_shown(rule))
    _end_open(rule, Alert.Resolution.RULE_REMOVED)
    rule.delete()
    hint_consoles("alerts")


def alert_rule_preview(
    *, kind: str, params: Any, tasks: Sequence[uuid.UUID] = (), robots: Sequence[uuid.UUID] = ()
) -> list[Reading]:
    """Return what such a rule finds now. Changes nothing. Raises: as alert_rule_create."""
    scope = _scope(kind, tasks, robots)
    return alert_readings(kind=kind, params=params, scope=scope, now=timezone.now())


@transaction.atomic
def alert_rules_default() -> list[AlertRule]:
    """Make the default rules whose names are free; return those made. Asking twice is asking once."""
    names = set(AlertRule.objects.values_list("name", flat=True))
    return [
        alert_rule_create(
            kind=str(values["kind"]), change=RuleChange(**{key: each for key, each in values.items() if key != "kind"})
        )
        for values in DEFAULTS
        if values["name"] not in names
    ]


def _locked(rule_id: uuid.UUID) -> AlertRule:
    rule = AlertRule.objects.select_for_update().filter(id=rule_id).first()
    if rule is None:
        raise NotFound("there is no such alert rule")
    return rule


def _end_open(rule: AlertRule, resolution: Alert.Resolution) -> None:
    now = timezone.now()
    for alert in Alert.objects.select_for_update().filter(rule=rule, resolved_at__isnull=True).order_by("id"):
        alert_resolve(alert=alert, resolution=resolution, text="", now=now)
    alerts_tell(rule=rule, now=now, is_last=True)


def _apply(rule: AlertRule, change: RuleChange) -> Scope:
    """Set the values on the row that is not saved yet, each judged; return its scope."""
    values = {name: value for name, value in asdict(change).items() if value is not UNSET}
    wanted_tasks, wanted_robots = values.pop("tasks", None), values.pop("robots", None)
    for name, value in values.items():
        setattr(rule, name, value)
    rule.name = clean_text(rule.name, field="name", limit=100)
    if not rule.name:
        raise InvalidRequest("a rule has a name", field="name")
    rule.params = msgspec.to_builtins(alert_params(rule.kind, rule.params))
    if rule.severity not in Severity.values:
        raise InvalidRequest(f"choose from {', '.join(Severity.values)}", field="severity")
    if not 0 <= rule.clear_after_s <= MAX_CLEAR_AFTER_S:
        raise InvalidRequest("an alert clears after 0 s to 24 h", field="clear_after_s")
    rule.silences = msgspec.to_builtins(list(alert_silences(rule.silences)))
    alert_zone(rule.time_zone)
    _check_channels(rule)
    if wanted_tasks is None and wanted_robots is None and not rule._state.adding:
        return Scope(tasks=list(rule.tasks.all()), robots=list(rule.robots.all()))
    kept_tasks = () if rule._state.adding else tuple(rule.tasks.values_list("id", flat=True))
    kept_robots = () if rule._state.adding else tuple(rule.robots.values_list("id", flat=True))
    return _scope(
        rule.kind,
        kept_tasks if wanted_tasks is None else wanted_tasks,
        kept_robots if wanted_robots is None else wanted_robots,
        kept=frozenset((*kept_tasks, *kept_robots)),
    )


def _check_channels(rule: AlertRule) -> None:
    if not set(rule.channels) <= set(AlertRule.Channel.values):
        raise InvalidRequest(f"choose from {', '.join(AlertRule.Channel.values)}", field="channels")
    rule.channels = sorted(set(rule.channels))
    rule.mail_to = list(dict.fromkeys(address.strip() for address in rule.mail_to))
    if len(rule.mail_to) > MAX_RECIPIENTS:
        raise InvalidRequest(f"a rule writes to at most {MAX_RECIPIENTS} addresses", field="mail_to")
    for address in rule.mail_to:
        try:
            validate_email(address)
        except ValidationError:
            raise InvalidRequest(f"'{address[:64]}' is no mail address", field="mail_to") from None
    if AlertRule.Channel.MAIL.value in rule.channels and not rule.mail_to:
        raise InvalidRequest("say whom to mail", field="mail_to")


def _scope(
    kind: str,
    task_ids: Sequence[uuid.UUID],
    robot_ids: Sequence[uuid.UUID],
    *,
    kept: frozenset[uuid.UUID] = frozenset(),
) -> Scope:
    """`kept`: of the rule as it is; those may have been archived or retired since."""
    allowed = SCOPES.get(kind, frozenset())
    for field, ids in (("tasks", task_ids), ("robots", robot_ids)):
        if ids and field not in allowed:
            raise InvalidRequest(f"a rule of the kind '{kind}' is not narrowed by {field}", field=field)
        if len(set(ids)) > MAX_NAMED:
            raise InvalidRequest(f"a rule names at most {MAX_NAMED} {field}", field=field)
    tasks, robots = list(Task.objects.filter(id__in=task_ids)), list(Robot.objects.filter(id__in=robot_ids))
    if len(tasks) < len(set(task_ids)):
        raise NotFound("there is no such task", field="tasks")
    if len(robots) < len(set(robot_ids)):
        raise NotFound("there is no such robot", field="robots")
    for task in tasks:
        if not task.is_active and task.id not in kept:
            raise TaskArchived(f"{task.slug} is archived: bring it back first", field="tasks")
    for robot in robots:
        if robot.retired_at is not None and robot.id not in kept:
            raise RobotRetired(f"{robot.name} is retired", field="robots")
    return Scope(tasks=tasks, robots=robots)


def _save(rule: AlertRule, scope: Scope, *, force_insert: bool = False) -> None:
    try:
        with transaction.atomic():
            rule.save(force_insert=force_insert)
    except IntegrityError:
        raise NameTaken(f"there is a rule '{rule.name}' already", field="name") from None
    rule.tasks.set(scope.tasks)
    rule.robots.set(scope.robots)


def _shown(rule: AlertRule) -> dict[str, object]:
    names = (
        "name", "kind", "params", "severity", "is_enabled", "clear_after_s", "silences", "time_zone", "channels",
        "mail_to",
    )  # fmt: skip
    return {
        **{name: getattr(rule, name) for name in names},
        "tasks": sorted(rule.tasks.values_list("slug", flat=True)),
        "robots": sorted(rule.robots.values_list("name", flat=True)),
    }
