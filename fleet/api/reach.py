"""How each endpoint holds to groups: what it answers to somebody who sees only what their groups cover.

A new endpoint gets a line here, or nobody whom groups limit may ask it: tests/architecture/test_access_matrix.py names
what is missing, tests/fleet/api/test_group_matrix.py asks each line that names an object for one outside and inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class Reach(Enum):
    """What the URL names must be covered, else 404 as if it did not exist; or how a list is kept within."""

    ROBOT = "robot"
    TASK = "task"
    ROBOT_AND_TASK = "robot and task"
    EPISODE = "episode"
    DATASET = "dataset"  # one's own, or one with a version to read
    DATASET_VERSION = "dataset version"  # one whose every episode is covered
    EXPORT = "export"  # likewise
    ALERT = "alert"  # of a covered robot
    IMPORT = "import"  # one's own
    SHADOW = "shadow"  # on covered robots alone
    COVERED = "covered"  # names none of these; lists, counts and charts are of what is covered
    SHARED = "shared"  # runs and versions are everybody's; what they count of episodes and robots is of what is covered
    OWN = "own"  # one's own things, or nothing of the fleet
    WHOLE = "whole"  # takes a permission of permissions.WHOLE_FLEET: refused


_R = Reach
REACH: Mapping[str, Reach] = {
    **dict.fromkeys(
        (
            "robot", "robot-logs", "robot-refusals", "robot-thumbnail", "robot-approve", "robot-retire", "robot-keys",
            "robot-key",
        ),
        _R.ROBOT,
    ),
    **dict.fromkeys(("robot-hold", "robot-pin", "enrolment-codes", "enrolment-code"), _R.WHOLE),
    **dict.fromkeys(("task", "task-wordings"), _R.TASK),
    "assignment": _R.ROBOT_AND_TASK,
    **dict.fromkeys(
        (
            "episode", "episode-steps", "episode-file", "episode-label", "episode-label-undo", "episode-label-history",
            "run-sidecar",
        ),
        _R.EPISODE,
    ),
    **dict.fromkeys(("dataset", "dataset-collected", "dataset-uncollect", "dataset-preview"), _R.DATASET),
    "dataset-versions": _R.DATASET,
    **dict.fromkeys(
        ("dataset-version", "dataset-version-episodes", "dataset-version-compare", "dataset-version-train"),
        _R.DATASET_VERSION,
    ),
    **dict.fromkeys(
        ("export", "export-cancel", "export-retry", "export-download", "export-files", "export-file"), _R.EXPORT
    ),
    **dict.fromkeys(("alert", "alert-acknowledge"), _R.ALERT),
    **dict.fromkeys(("shadow", "shadow-episodes", "shadow-end"), _R.SHADOW),
    **dict.fromkeys(
        (
            "import", "import-check", "import-mapping", "import-mapping-check", "import-run", "import-cancel",
        ),
        _R.IMPORT,
    ),
    **dict.fromkeys(
        (
            "robots", "tasks", "assignments", "episodes", "episode-counts", "episode-labels", "episode-labels-undo",
            "datasets", "exports", "export-check", "imports", "help", "help-history", "help-figures", "alerts",
            "alerts-open", "status", "metrics-success", "metrics-over-time", "metrics-by-task", "metrics-by-robot",
            "metrics-by-version", "metrics-loop", "metrics-operators", "metrics-robot-states",
            "metrics-time-to-target", "metrics-compare", "metrics-best-version",
        ),
        _R.COVERED,
    ),
    **dict.fromkeys(
        (
            "policy-versions", "policy-version", "version-report", "version-notes", "version-download",
            "version-compare", "run-lineage", "run-release", "training-settings", "training-runs", "run-compare",
            "training-run", "run-metrics", "run-metric-names", "run-versions", "run-shadows", "version-shadows",
        ),
        _R.SHARED,
    ),
    **dict.fromkeys(
        (
            "schema", "session", "tokens", "token", "ice-servers", "robot-enrol", "saved-filters", "saved-filter",
            "export-formats", "help-ranking", "welcome", "profile", "profile-password", "profile-sessions",
            "profile-session", "profile-totp", "profile-recovery-codes",
        ),
        _R.OWN,
    ),
    **dict.fromkeys(
        (
            "import-options", "version-stage", "run-roll-back", "rollout-action", "run-pause", "run-resume", "run-stop",
            "alert-rule-preview", "storage", "storage-collect", "retention-rules", "retention-preview",
            "retention-rule", "webhooks", "webhook", "webhook-rotate", "webhook-test", "webhook-deliveries",
            "webhook-redeliver", "audit", "audit-csv", "audit-facets", "people", "person", "person-reset",
            "person-totp", "invitations", "invitation", "people-groups", "people-group",
        ),
        _R.WHOLE,
    ),
    # None of these for whom groups limit: the list is empty, a rule is not found.
    **dict.fromkeys(("alert-rules", "alert-rule"), _R.COVERED),
}  # fmt: skip
