"""Commands that list rows, and the one that labels an episode."""

from __future__ import annotations

import argparse
from typing import Any

from fleet.client.cli.account import client
from fleet.client.cli.output import show
from fleet.client.errors import ClientError
from fleet.client.resources import Listing


def episodes(given: argparse.Namespace) -> None:
    names = (
        "task", "outcome", "robot", "tag", "policy_version", "operator", "origin", "source", "text", "archived",
        "damaged", "sort",
    )  # fmt: skip
    filters = {name: getattr(given, name) for name in names if getattr(given, name) is not None}
    columns = ("id", "ended_at", "task", "robot_name", "outcome", "steps", "human_share", "policy_number", "tags")
    with client() as sop:
        _show(sop.episodes, given, columns, **filters)


def label(given: argparse.Namespace) -> None:
    """Over the revision that is read just before: who labels by script means what counts now."""
    change: dict[str, Any] = {
        "outcome": given.outcome,
        "outcome_reason": given.reason,
        "comment": given.comment,
        "add_tags": given.add_tag or None,
        "remove_tags": given.remove_tag or None,
    }
    change = {name: value for name, value in change.items() if value is not None}
    if not change:
        raise ClientError("say what to change: --outcome, --reason, --comment, --add-tag, --remove-tag")
    with client() as sop:
        found = sop.episodes.label_set(given.id, over=sop.episodes.label(given.id).revision, **change)
        show([found], ("revision", "outcome", "outcome_source", "tags", "comment"), is_json=False)


def datasets(given: argparse.Namespace) -> None:
    columns = ("id", "name", "newest_version", "newest_episodes", "newest_frames", "created_at")
    with client() as sop:
        _show(sop.datasets, given, columns, **({"text": given.text} if given.text else {}))


def dataset_versions(given: argparse.Namespace) -> None:
    columns = ("number", "id", "state", "episodes", "frames", "size_bytes", "frozen_at", "digest")
    with client() as sop:
        _show(sop.datasets.versions(sop.datasets.find(given.dataset).id), given, columns)


def runs(given: argparse.Namespace) -> None:
    with client() as sop:
        _show(sop.training_runs, given, ("id", "name", "algorithm", "state", "step", "newest_version", "created_at"))


def versions(given: argparse.Namespace) -> None:
    with client() as sop:
        _show(sop.policy_versions, given, ("id", "run", "number", "step", "architecture", "published_at"))


def robots(given: argparse.Namespace) -> None:
    with client() as sop:
        _show(sop.robots, given, ("id", "name", "is_paused", "policy_version", "last_seen_at"))


def tasks(given: argparse.Namespace) -> None:
    with client() as sop:
        _show(sop.tasks, given, ("id", "slug", "instruction", "max_steps", "is_active"))


def exports(given: argparse.Namespace) -> None:
    with client() as sop:
        _show(sop.exports, given, ("id", "folder", "format", "state", "episodes", "size_bytes", "created_at"))


def _show(listing: Listing[Any], given: argparse.Namespace, columns: tuple[str, ...], **filters: Any) -> None:
    show(listing.iterate(limit=given.limit or None, **filters), columns, is_json=given.json)
