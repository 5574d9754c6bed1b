"""The card of a dataset's version: Markdown made of what was frozen, under the description that people write."""

from __future__ import annotations

from typing import Any

from fleet.models import DatasetVersion
from fleet.selectors.success import wilson

_MOST = 20  # lines of one table
_ESCAPED = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_[]<>|#"})


def dataset_card(*, version: DatasetVersion) -> str:
    """Return the card. Names come from people and robots: nothing in them is taken as Markdown."""
    seen: dict[str, Any] = version.statistics
    parts = [
        _facts(version, seen),
        _table("Splits", seen["splits"], ("episodes", "frames", "successes")),
        _table("Tasks", seen["tasks"], ("episodes", "frames", "successes")),
        _table("Policy versions", [_version(row) for row in seen["policy_versions"]], ("episodes", "successes")),
        _table("Robots", seen["robots"], ("episodes", "successes")),
        _table("Operators", seen["operators"], ("episodes", "frames")),
        *(_feature(feature) for feature in seen["features"]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(version: DatasetVersion, seen: dict[str, Any]) -> str:
    human, by = version.human_frames / version.frames, _plain(version.frozen_by_name)
    lines = [
        f"- Version {version.number}, frozen {version.frozen_at:%Y-%m-%d %H:%M} UTC by {by}",
        f"- Digest `{version.digest}`",
        f"- Licence: {_plain(version.dataset.licence) or 'none given'}",
        f"- {version.episodes_count} episodes, {version.frames} frames, {version.size_bytes} bytes",
        f"- Recorded {seen['recorded_from'][:10]} to {seen['recorded_until'][:10]}",
        f"- Success: {_rate(version)}",
        f"- People drove {version.human_frames} frames ({human:.1%}), took over in "
        f"{seen['episodes_with_takeover']} episodes, and drove {seen['episodes_driven_by_people']} wholly",
        f"- Split by seed {version.seed}{', each task by itself' if version.is_stratified else ''}",
    ]
    if version.archived_left_out:
        lines.append(f"- {version.archived_left_out} archived episodes were left out")
    if unreadable := seen["steps_read"]["unreadable"]:
        lines.append(f"- The steps of {unreadable} episodes could not be read; the statistics do not count them")
    return "\n".join(lines)


def _rate(version: DatasetVersion) -> str:
    if not version.terminated:
        return "no episode terminated"
    rate = wilson(successes=version.successes, n=version.terminated)
    return (
        f"{rate.successes} of {rate.n} that terminated, {rate.rate:.1%} [{rate.low:.1%}, {rate.high:.1%}] (95 % Wilson)"
    )


def _version(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "name": f"v{row['number']} of {row['name']}"}


def _table(title: str, rows: list[dict[str, Any]], columns: tuple[str, ...]) -> str:
    if not rows:
        return ""
    head = [f"| {' | '.join((title, *columns))} |", f"|{'---|' * (len(columns) + 1)}"]
    body = [f"| {' | '.join((_plain(row['name']), *(str(row[name]) for name in columns)))} |" for row in rows[:_MOST]]
    more = [f"| {len(rows) - _MOST} more | {' | '.join('' for _ in columns)} |"] if len(rows) > _MOST else []
    return "\n".join((*head, *body, *more))


def _feature(feature: dict[str, Any]) -> str:
    rows = [
        {"name": axis, **{name: f"{feature[name][k]:.4g}" for name in ("min", "max", "mean", "std")}}
        for k, axis in enumerate(feature["axes"])
    ]
    title = f"{feature['name']} ({feature['episodes']} episodes, {feature['frames']} frames)"
    return _table(title, rows, ("min", "max", "mean", "std"))


def _plain(text: str) -> str:
    return " ".join(text.split()).translate(_ESCAPED)
