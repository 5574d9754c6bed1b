"""Which feature becomes what: a dataset's names against ours, the proposal for it, and everything wrong with one."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from collections.abc import Mapping as MappingOf
from typing import Annotated

import msgspec

from fleet.exports.lerobot_common import own_name
from fleet.imports.layout import ACTION, IMAGES, STATE, Dataset, Feature
from fleet.imports.report import Report
from fleet.protocol.recording import STEP_COLUMNS, Outcome

MAX_PROPRIO, MAX_ACTION, MAX_CAMERAS = 256, 64, 16  # as the manifest allows
_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")
_CAMERA = re.compile(r"[a-z0-9][a-z0-9_.-]{0,58}")
_INTERVENTION = ("intervention", "is_intervention", "intervene_flag", "complementary_info.is_intervention")
_OWN_VALUES = ("segments", "outcome", "started_ns", "ended_ns", "driver", "seed")


class OutcomeFrom(enum.StrEnum):
    """EPISODE: a column of the episodes' metadata; FRAMES: one of the data that is true once; SAME: one for all."""

    EPISODE = "episode"
    FRAMES = "frames"
    SAME = "same"


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base: immutable, unknown fields refused."""


class OutcomeRule(_Part, frozen=True, kw_only=True):
    """`column` of true and false, or of our words for outcomes; `same`: where the rule says so."""

    source: OutcomeFrom = OutcomeFrom.SAME
    column: str = ""
    same: Outcome = Outcome.SUCCESS


class CameraTarget(_Part, frozen=True, kw_only=True):
    """What a camera is called here, and its pictures' size; another size than the dataset's is scaled to."""

    name: str
    width: int
    height: int


class Mapping(_Part, frozen=True, kw_only=True):
    """From a dataset to episodes.

    `state`, `action`: features, those of `state` one after the other; `cameras`: feature -> ours, what is missing is
    left out; `tasks`: instruction -> slug of a task, which is made if there is none. `intervention`: a column that is
    true where a person drove, "" if one always did; `reward`: a column, "" if there is none. `keep_every`: 3 turns 30
    frames/s into a control rate of 10 Hz. `is_own`: the dataset is an export of this software, so its steps, segments
    and outcomes are taken as they were and the rules for them do not count. `leave_out_broken`: episodes with problems
    stay out; else one keeps all of them out.
    """

    state: tuple[str, ...]
    action: str
    cameras: dict[str, CameraTarget]
    tasks: dict[str, str]
    outcome: OutcomeRule = OutcomeRule()
    intervention: str = ""
    reward: str = ""
    keep_every: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    is_own: bool = False
    leave_out_broken: bool = False

    def features(self) -> set[str]:
        """Return the features that it reads."""
        named = {*self.state, self.action, *self.cameras, self.intervention, self.reward}
        if self.outcome.source is OutcomeFrom.FRAMES:
            named.add(self.outcome.column)
        if self.is_own:
            named |= {own_name(column.name) for column in STEP_COLUMNS if column.name != "frame_index"}
        return named - {""}


class Misfit(_Part, frozen=True, kw_only=True):
    """One thing wrong with a mapping. `field`: "state", "action", "cameras.<feature>", "tasks.<instruction>", ..."""

    field: str
    message: str


def propose(dataset: Dataset, instructions: MappingOf[str, int], slugs: MappingOf[str, str]) -> Mapping:
    """Return a mapping that fits if one can be guessed.

    `instructions`: those of the dataset with their number of episodes; `slugs`: instruction -> slug of the tasks here.
    """
    names = {feature.name: feature for feature in dataset.columns}
    vectors = [name for name, feature in names.items() if feature.dtype.startswith("float") and feature.shape]
    return Mapping(
        state=(STATE,) if STATE in names else tuple(n for n in vectors if n.startswith("observation."))[:1],
        action=ACTION if ACTION in names else next((n for n in vectors if n.startswith("action")), ""),
        cameras={feature.name: _camera(feature) for feature in dataset.cameras},
        tasks=_propose_tasks(dataset, instructions, slugs),
        outcome=_propose_outcome(dataset),
        intervention=next((name for name in _INTERVENTION if name in names), ""),
        reward="next.reward" if "next.reward" in names else "",
        is_own=is_own(dataset),
    )


def is_own(dataset: Dataset) -> bool:
    """Whether the dataset has every column that our exports write."""
    columns = {own_name(column.name) for column in STEP_COLUMNS if column.name != "frame_index"}
    return columns <= set(dataset.features) and all(name in dataset.episodes[0].values for name in _OWN_VALUES)


def _camera(feature: Feature) -> CameraTarget:
    name = re.sub("[^a-z0-9_.-]+", "-", feature.name.removeprefix(IMAGES).lower()).strip("-._")[:58] or "camera"
    height, width = feature.shape[:2]
    return CameraTarget(name=name, width=width // 2 * 2, height=height // 2 * 2)


def _propose_tasks(dataset: Dataset, instructions: MappingOf[str, int], slugs: MappingOf[str, str]) -> dict[str, str]:
    exported = {
        row.instructions[0]: str(row.values["task_slug"])
        for row in dataset.episodes
        if row.instructions and _SLUG.fullmatch(str(row.values.get("task_slug", "")))
    }
    by_text = {text.strip().lower(): slug for text, slug in slugs.items()}
    found: dict[str, str] = {}
    for text in instructions:
        slug = exported.get(text) or by_text.get(text.strip().lower())
        if slug is None:
            base = re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")[:80].strip("-") or "task"
            taken = {*found.values(), *slugs.values()}
            numbered = (base if number == 1 else f"{base}-{number}" for number in range(1, 10**6))
            slug = next(candidate for candidate in numbered if candidate not in taken)
        found[text] = slug
    return found


def _propose_outcome(dataset: Dataset) -> OutcomeRule:
    found = outcome_columns(dataset)
    if found:
        return OutcomeRule(source=OutcomeFrom.EPISODE, column=found[0])
    if any(feature.name == "next.success" for feature in dataset.columns):
        return OutcomeRule(source=OutcomeFrom.FRAMES, column="next.success")
    return OutcomeRule()


def outcome_columns(dataset: Dataset) -> tuple[str, ...]:
    """Return the columns of the episodes' metadata that say of each how it ended, `outcome` and `success` first."""
    names = [name for name, value in dataset.episodes[0].values.items() if outcome_of(value) is not None]
    sound = [name for name in names if all(outcome_of(row.values.get(name)) is not None for row in dataset.episodes)]
    return tuple(sorted(sound, key=lambda name: (name not in ("outcome", "success"), name)))


def outcome_of(value: object) -> Outcome | None:
    """Return the outcome that a value stands for, None if it does for none."""
    if isinstance(value, bool):
        return Outcome.SUCCESS if value else Outcome.FAILURE
    return Outcome(value) if isinstance(value, str) and value in set(Outcome) else None


def misfits(mapping: Mapping, report: Report) -> list[Misfit]:
    """Name everything about a mapping that does not fit the dataset or the episodes here."""
    return [
        Misfit(field=field, message=message)
        for field, message in (
            *_vector_misfits(mapping, report),
            *_camera_misfits(mapping, report),
            *_task_misfits(mapping, report),
            *_column_misfits(mapping, report),
        )
    ]


def _vector_misfits(mapping: Mapping, report: Report) -> Iterator[tuple[str, str]]:
    columns = report.columns()
    for field, names, most in (("state", mapping.state, MAX_PROPRIO), ("action", (mapping.action,), MAX_ACTION)):
        if not any(names):
            yield field, "choose a feature"
            continue
        unknown = [name for name in names if name not in columns]
        if unknown:
            yield field, f"the dataset has no feature of numbers '{unknown[0]}'"
            continue
        width = sum(columns[name].width for name in names)
        if len(set(names)) != len(names):
            yield field, "a feature is named twice"
        if width > most:
            yield field, f"{width} values a frame, {most} at most"


def _camera_misfits(mapping: Mapping, report: Report) -> Iterator[tuple[str, str]]:
    there = {camera.feature for camera in report.cameras}
    names: set[str] = set()
    for feature, target in mapping.cameras.items():
        field = f"cameras.{feature}"
        if feature not in there:
            yield field, "the dataset has no such camera"
        if not _CAMERA.fullmatch(target.name):
            yield field, "a camera's name has lower-case letters, digits, '_', '.' and '-'"
        if target.name in names:
            yield field, f"two cameras are called '{target.name}'"
        names.add(target.name)
        if any(not 2 <= side <= 8192 or side % 2 for side in (target.width, target.height)):
            yield field, "width and height must be even, between 2 and 8192 pixels"
    if len(mapping.cameras) > MAX_CAMERAS:
        yield "cameras", f"{MAX_CAMERAS} cameras at most"


def _task_misfits(mapping: Mapping, report: Report) -> Iterator[tuple[str, str]]:
    for text in report.tasks:
        if not _SLUG.fullmatch(mapping.tasks.get(text, "")):
            yield f"tasks.{text}", "name a task: lower-case letters, digits, '-' and '_'"
    for text in mapping.tasks:
        if text not in report.tasks:
            yield f"tasks.{text}", "no episode has this instruction"


def _column_misfits(mapping: Mapping, report: Report) -> Iterator[tuple[str, str]]:
    if mapping.is_own:
        if not report.is_own:
            yield "is_own", "the dataset lacks columns that our exports have"
        if mapping.keep_every != 1:
            yield "keep_every", "an export's steps are taken as they are"
        if mapping.state != (STATE,) or mapping.action != ACTION:
            yield "is_own", f"an export's steps are taken as they are: {STATE} and {ACTION}"
        return
    scalars = {name for name, feature in report.columns().items() if feature.width == 1}
    named = {"intervention": mapping.intervention, "reward": mapping.reward}
    if mapping.outcome.source is OutcomeFrom.FRAMES:
        named["outcome"] = mapping.outcome.column
    for field, name in named.items():
        if name not in scalars and (name or field == "outcome"):
            yield field, f"the dataset has no column of single numbers '{name}'"
    if mapping.outcome.source is OutcomeFrom.EPISODE and mapping.outcome.column not in report.outcome_columns:
        yield "outcome", f"'{mapping.outcome.column}' does not say of each episode whether it succeeded"
