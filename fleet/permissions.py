"""Who may do what: the one table of roles. A person has one or several; what they may do is all that any of them may.

Pure data. `access.py` looks up in it, `api/matrix.py` and `consumers/matrix.py` say what each request needs, and
`manage.py access_matrix` prints all three. docs/safety.md and docs/people.md tell people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum


class Role(StrEnum):
    """Viewer < operator < manager < admin; exporter stands beside them and adds to any."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    MANAGER = "manager"
    ADMIN = "admin"
    EXPORTER = "exporter"


class Permission(StrEnum):
    """One thing to be allowed. The value is what the session endpoint and the console call it."""

    SEE = "see"  # robots, episodes, tasks, runs, versions, charts, the help queue; live video
    STOP = "stop"  # a robot that is seen
    DRIVE = "drive"  # take over a robot that no person drives, drive it, hand it back or over
    TAKE = "take"  # from another person
    CLEAR_STOP = "clear_stop"  # any; who holds the lease needs no such right
    LABEL = "label"  # one episode
    LABEL_BULK = "label_bulk"
    ARCHIVE = "archive"  # episodes
    UNDO_BULK = "undo_bulk"  # bulk labels of anybody
    RANK_HELP = "rank_help"
    EXPORT = "export"
    IMPORT = "import"
    CURATE = "curate"  # datasets
    EDIT_TASKS = "edit_tasks"
    ASSIGN = "assign"  # tasks to robots
    EDIT_ROBOTS = "edit_robots"  # rename, tag, pause
    ENROL_ROBOTS = "enrol_robots"  # and retire them, and rotate or revoke their keys
    RUN_TRAINING = "run_training"
    RELEASE_VERSIONS = "release_versions"  # roll out, shadow, pin, roll back
    ACKNOWLEDGE_ALERTS = "acknowledge_alerts"
    EDIT_ALERTS = "edit_alerts"  # the rules
    MANAGE_PEOPLE = "manage_people"
    SEE_AUDIT = "see_audit"
    EDIT_SETTINGS = "edit_settings"  # storage, webhooks and the like


_VIEWER = frozenset({Permission.SEE, Permission.STOP})
_OPERATOR = _VIEWER | {
    Permission.DRIVE,
    Permission.LABEL,
    Permission.LABEL_BULK,
    Permission.ARCHIVE,
    Permission.ACKNOWLEDGE_ALERTS,
}
_MANAGER = _OPERATOR | {
    Permission.TAKE,
    Permission.UNDO_BULK,
    Permission.RANK_HELP,
    Permission.EXPORT,
    Permission.IMPORT,
    Permission.CURATE,
    Permission.EDIT_TASKS,
    Permission.ASSIGN,
    Permission.EDIT_ROBOTS,
    Permission.RUN_TRAINING,
    Permission.RELEASE_VERSIONS,
    Permission.EDIT_ALERTS,
}

ROLE_PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: _VIEWER,
    Role.OPERATOR: _OPERATOR,
    Role.MANAGER: _MANAGER,
    Role.ADMIN: frozenset(Permission),
    Role.EXPORTER: _VIEWER | {Permission.EXPORT, Permission.CURATE},
}


# What reaches every robot or episode, so that nobody may do it who sees only what their groups cover. A run learns from
# all episodes and its versions go to all robots; an import brings episodes of no robot.
WHOLE_FLEET = frozenset({
    Permission.RANK_HELP,
    Permission.IMPORT,
    Permission.RUN_TRAINING,
    Permission.RELEASE_VERSIONS,
    Permission.EDIT_ALERTS,
    Permission.MANAGE_PEOPLE,
    Permission.SEE_AUDIT,
    Permission.EDIT_SETTINGS,
    Permission.ENROL_ROBOTS,
})  # fmt: skip
WHOLE_FLEET_WORDS = "this reaches beyond your groups: it takes somebody who sees the whole fleet"


def permissions_of(roles: Iterable[Role]) -> frozenset[Permission]:
    """Return what these roles allow together; no role allows nothing."""
    return frozenset[Permission]().union(*(ROLE_PERMISSIONS[role] for role in roles))


def roles_with(permission: Permission) -> tuple[Role, ...]:
    """Return the roles that allow this, the least first."""
    return tuple(role for role in Role if permission in ROLE_PERMISSIONS[role])


def needed_words(permission: Permission) -> str:
    """Say which role it takes, as "this needs the role manager or admin"."""
    return f"this needs the role {' or '.join(roles_with(permission))}"
