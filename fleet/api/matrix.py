"""The access matrix of the REST API: what each endpoint needs, by URL name and method.

A new endpoint gets a line here, or it answers nobody: tests/architecture/test_access_matrix.py names what is missing.
Objects that a request names are looked up through `access.py`, which hides what the user may not see.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from fleet.permissions import Permission as P


class Need(Enum):
    """Needs that are no permission."""

    ANYONE = "anyone"  # without signing in; the view has a credential of its own, or tells nothing
    SIGNED_IN = "signed in"  # one's own things
    NOBODY_KNOWS = "no line"


ENDPOINTS: Mapping[str, Mapping[str, P | Need]] = {
    "schema": {"GET": Need.ANYONE},
    "session": {"GET": Need.ANYONE, "POST": Need.ANYONE, "DELETE": Need.ANYONE},
    "tokens": {"GET": Need.SIGNED_IN, "POST": Need.SIGNED_IN},
    "token": {"DELETE": Need.SIGNED_IN},
    "ice-servers": {"GET": P.SEE},
    "robots": {"GET": P.SEE},
    "robot-enrol": {"POST": Need.ANYONE},
    "robot": {"GET": P.SEE, "PATCH": P.EDIT_ROBOTS},
    "robot-approve": {"POST": P.ENROL_ROBOTS},
    "robot-retire": {"POST": P.ENROL_ROBOTS},
    "robot-keys": {"GET": P.ENROL_ROBOTS},
    "robot-key": {"DELETE": P.ENROL_ROBOTS},
    "enrolment-codes": {"GET": P.ENROL_ROBOTS, "POST": P.ENROL_ROBOTS},
    "enrolment-code": {"DELETE": P.ENROL_ROBOTS},
    "robot-thumbnail": {"GET": P.SEE},
    "tasks": {"GET": P.SEE, "POST": P.EDIT_TASKS},
    "task": {"GET": P.SEE, "PATCH": P.EDIT_TASKS},
    "task-wordings": {"GET": P.SEE},
    "assignments": {"GET": P.SEE},
    "assignment": {"PUT": P.ASSIGN, "DELETE": P.ASSIGN},
    "episodes": {"GET": P.SEE},
    "episode-counts": {"GET": P.SEE},
    "episode-labels": {"POST": P.LABEL_BULK},
    "episode-labels-undo": {"POST": P.LABEL_BULK},
    "episode": {"GET": P.SEE},
    "episode-steps": {"GET": P.SEE},
    "episode-file": {"GET": P.SEE},
    "episode-label": {"GET": P.SEE, "PATCH": P.LABEL},
    "episode-label-undo": {"POST": P.LABEL},
    "episode-label-history": {"GET": P.SEE},
    "datasets": {"GET": P.SEE, "POST": P.CURATE},
    "dataset": {"GET": P.SEE, "PATCH": P.CURATE},
    "dataset-collected": {"GET": P.SEE, "POST": P.CURATE},
    "dataset-uncollect": {"POST": P.CURATE},
    "dataset-preview": {"POST": P.SEE},
    "dataset-versions": {"GET": P.SEE, "POST": P.CURATE},
    "dataset-version": {"GET": P.SEE, "PATCH": P.CURATE},
    "dataset-version-episodes": {"GET": P.SEE},
    "dataset-version-train": {"POST": P.RUN_TRAINING},
    "dataset-version-compare": {"GET": P.SEE},
    "saved-filters": {"GET": P.SEE, "POST": P.SEE},
    "saved-filter": {"DELETE": P.SEE},
    "exports": {"GET": P.SEE, "POST": P.EXPORT},
    "export-formats": {"GET": P.SEE},
    "export-check": {"POST": P.EXPORT},
    "export": {"GET": P.SEE, "DELETE": P.EXPORT},
    "export-cancel": {"POST": P.EXPORT},
    "export-retry": {"POST": P.EXPORT},
    "export-download": {"GET": P.EXPORT},
    "export-files": {"GET": P.EXPORT},
    "export-file": {"GET": P.EXPORT},
    "policy-versions": {"GET": P.SEE},
    "policy-version": {"GET": P.SEE},
    "version-report": {"GET": P.SEE},
    "version-notes": {"PUT": P.RELEASE_VERSIONS},
    "version-download": {"GET": P.EXPORT},
    "version-compare": {"GET": P.SEE},
    "version-stage": {"POST": P.RELEASE_VERSIONS},
    "run-lineage": {"GET": P.SEE},
    "run-release": {"GET": P.SEE, "PUT": P.RELEASE_VERSIONS},
    "run-roll-back": {"POST": P.RELEASE_VERSIONS},
    "rollout-action": {"POST": P.RELEASE_VERSIONS},
    "robot-pin": {"PUT": P.RELEASE_VERSIONS, "DELETE": P.RELEASE_VERSIONS},
    "training-runs": {"GET": P.SEE},
    "training-run": {"GET": P.SEE},
    "run-metrics": {"GET": P.SEE},
    "run-metric-names": {"GET": P.SEE},
    "run-versions": {"GET": P.SEE},
    "run-sidecar": {"GET": P.SEE},
    "help": {"GET": P.SEE},
    "help-history": {"GET": P.SEE},
    "help-figures": {"GET": P.SEE},
    "help-ranking": {"GET": P.SEE, "PUT": P.RANK_HELP},
    "webhooks": {"GET": P.EDIT_SETTINGS, "POST": P.EDIT_SETTINGS},
    "webhook": {"GET": P.EDIT_SETTINGS, "PATCH": P.EDIT_SETTINGS, "DELETE": P.EDIT_SETTINGS},
    "webhook-rotate": {"POST": P.EDIT_SETTINGS},
    "webhook-test": {"POST": P.EDIT_SETTINGS},
    "webhook-deliveries": {"GET": P.EDIT_SETTINGS},
    "webhook-redeliver": {"POST": P.EDIT_SETTINGS},
    "metrics-success": {"GET": P.SEE},
    "audit": {"GET": P.SEE_AUDIT},
    "audit-csv": {"GET": P.SEE_AUDIT},
    "audit-facets": {"GET": P.SEE_AUDIT},
    "metrics-over-time": {"GET": P.SEE},
    "metrics-by-task": {"GET": P.SEE},
    "metrics-by-robot": {"GET": P.SEE},
    "metrics-by-version": {"GET": P.SEE},
    "metrics-loop": {"GET": P.SEE},
    "metrics-operators": {"GET": P.SEE},
    "metrics-robot-states": {"GET": P.SEE},
    "metrics-time-to-target": {"GET": P.SEE},
    "metrics-compare": {"GET": P.SEE},
    "metrics-best-version": {"GET": P.SEE},
}
