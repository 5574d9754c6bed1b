"""Rows as the server answers them: what a script reads. Fields that this client does not know are left out."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

Row = TypeVar("Row")


class Page(msgspec.Struct, Generic[Row], frozen=True):
    """`next`: URL of the page after this one, None on the last."""

    results: list[Row]
    next: str | None = None
    previous: str | None = None


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """`human_share`: human steps of all. `label_revision`: 0 until a person labels it. `damage`: what of it is lost."""

    id: str
    outcome: str
    outcome_source: str
    task: str
    steps: int
    human_steps: int
    control_rate_hz: float
    instruction: str
    seed: int
    origin: str
    started_at: datetime
    ended_at: datetime
    size_bytes: int
    label_revision: int
    human_share: float | None = None
    outcome_reason: str = ""
    environment_outcome: str = ""
    robot: str | None = None
    robot_name: str | None = None
    policy_version: str | None = None
    policy_number: int | None = None
    run: str | None = None
    run_name: str | None = None
    sources: list[str] = []
    operators: list[str] = []
    tags: list[str] = []
    comment: str = ""
    is_archived: bool = False
    damage: str = ""


class EpisodeFile(msgspec.Struct, frozen=True):
    name: str
    size: int
    sha256: str
    url: str


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """What the manifest says."""

    driver: str
    action_names: list[str]
    proprio_names: list[str]
    files: list[EpisodeFile]


class EpisodeDetail(Episode, frozen=True, kw_only=True):
    """`recording` None: `recording_problem` says why the manifest cannot be read."""

    segments: list[dict[str, Any]] = []
    recording: Recording | None = None
    recording_problem: dict[str, str] | None = None


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """`revision` is what a change names."""

    revision: int
    outcome: str
    outcome_source: str
    outcome_reason: str
    tags: list[str]
    comment: str
    is_archived: bool


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    description: str
    licence: str
    is_archived: bool
    revision: int
    created_at: datetime
    newest_version: int | None = None
    newest_episodes: int | None = None
    newest_frames: int | None = None
    collected: int = 0


class DatasetVersion(msgspec.Struct, frozen=True, kw_only=True):
    """`digest`: same query and data, same digest."""

    id: str
    dataset: str
    dataset_name: str
    number: int
    state: str
    digest: str
    seed: int
    episodes: int
    frames: int
    size_bytes: int
    frozen_at: datetime
    notes: str = ""
    splits: list[dict[str, Any]] = []


class ExportError(msgspec.Struct, frozen=True):
    code: str
    message: str
    details: Any = None


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """`sha256`: of SHA256SUMS, hence of all bytes. `tar_bytes`: of the download."""

    id: str
    format: str
    folder: str
    state: str
    episodes: int
    frames: int
    frames_total: int
    created_at: datetime
    is_cancelling: bool = False
    bytes_read: int = 0
    bytes_total: int = 0
    eta_s: float | None = None
    files: int | None = None
    size_bytes: int | None = None
    tar_bytes: int | None = None
    sha256: str | None = None
    destination: str = ""
    error: ExportError | None = None
    source: dict[str, Any] = {}
    expires_at: datetime | None = None

    @property
    def is_over(self) -> bool:
        return self.state not in ("queued", "running")


class Upload(msgspec.Struct, frozen=True):
    url: str
    headers: dict[str, str]


class ImportExample(msgspec.Struct, frozen=True, kw_only=True):
    """Where: episode and frame as the dataset counts them, None where it is not about one."""

    episode: int | None = None
    frame: int | None = None
    detail: str = ""


class ImportProblem(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of problem of one feature, "" for the dataset itself; `examples`: the first hundred places."""

    code: str
    message: str
    feature: str = ""
    count: int = 0
    examples: list[ImportExample] = []


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a dry run found. `tasks`: instruction -> episodes."""

    version: str
    fps: float
    episodes: int
    frames: int
    tasks: dict[str, int] = {}
    problems: list[ImportProblem] = []


class ImportMapping(msgspec.Struct, frozen=True, kw_only=True):
    """Which feature becomes what (docs/imports.md); `misfits`: field and message of each that does not fit."""

    revision: int
    mapping: dict[str, Any]
    misfits: list[dict[str, str]] = []


class Import(msgspec.Struct, frozen=True, kw_only=True):
    """`tag`: of the episodes that come of it. `report`: of the dry run."""

    id: str
    name: str
    state: str
    phase: str = ""
    progress: int = 0
    progress_total: int = 0
    registered: int | None = None
    known: int | None = None
    tag: str = ""
    mapping_revision: int = 0
    error_code: str = ""
    error_message: str = ""
    report: ImportReport | None = None
    upload: Upload | None = None


class PolicyVersion(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    run: str
    number: int
    step: int
    architecture: str
    size_bytes: int
    trained_at: datetime
    published_at: datetime


class TrainingRun(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    algorithm: str
    state: str
    step: int
    created_at: datetime
    target_steps: int | None = None
    failure_code: str = ""
    newest_version: int | None = None
    config: dict[str, Any] = {}
    tasks: list[str] = []
    steps_per_s: float | None = None


class Robot(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    is_paused: bool
    enrolled_at: datetime
    last_seen_at: datetime | None = None
    policy_version: str | None = None
    daemon_version: str = ""
    protocol: int | None = None


class Task(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    slug: str
    instruction: str
    max_steps: int
    is_active: bool


class SuccessPoint(msgspec.Struct, frozen=True):
    """`rate` of `n` with its interval."""

    at_ms: int
    successes: int
    n: int
    rate: float
    low: float
    high: float


class Success(msgspec.Struct, frozen=True):
    definition: str
    confidence: float
    window_s: int
    points: list[SuccessPoint]


class OneSeries(msgspec.Struct, frozen=True):
    name: str
    mean: list[float | None]
    low: list[float | None]
    high: list[float | None]


class RunSeries(msgspec.Struct, frozen=True):
    width: int
    last_step: int | None
    step: list[int]
    at_ms: list[int]
    series: list[OneSeries]
