"""Episodes at rest: step columns, segments, the manifest, and the checks that both ends run.

An episode is `steps.parquet` (one row a control step), one constant-frame-rate MP4 a camera, and this manifest,
which is uploaded last and names every object with its size and SHA-256. An episode exists for the learner when the
manifest is registered, and not before. Which frames carry loss is decided when training, never here.
"""

from __future__ import annotations

import enum
import hashlib
import itertools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np

from fleet.protocol.authority import MODE_CODES, SOURCE_CODES, Mode, Source
from fleet.protocol.calibration import Calibration, validate_calibration
from fleet.protocol.errors import UNPARSABLE, InvalidEpisode, InvalidManifest
from fleet.protocol.tracing import TRACEPARENT_CHARS

MANIFEST_SCHEMA = 1
STEPS_OBJECT = "steps.parquet"
MANIFEST_OBJECT = "manifest.json"
MAX_STEPS = 100_000
MAX_OBJECT_BYTES = 2 * 1024**3
MAX_STEPS_BYTES = 256 * 1024**2  # of steps.parquet, which the server and the learner read whole
MAX_VIDEO_PIXELS = 2**32  # over all frames of a camera: the learner decodes an episode's video whole
_SHA256 = re.compile(r"[0-9a-f]{64}")
_OBJECT_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Origin(enum.StrEnum):
    """How an episode came to be: ONLINE and DEMONSTRATION feed the learner's buffers, EVALUATION never does."""

    ONLINE = "online"
    DEMONSTRATION = "demonstration"
    EVALUATION = "evaluation"


class Outcome(enum.StrEnum):
    """How an episode ended. Only SUCCESS, FAILURE and TIMEOUT count as terminated in a success rate."""

    SUCCESS = "success"
    FAILURE = "failure"
    TIMEOUT = "timeout"
    ABORTED = "aborted"


Traceparent = Annotated[str, msgspec.Meta(max_length=TRACEPARENT_CHARS)]


class OutcomeSource(enum.StrEnum):
    ENVIRONMENT = "environment"
    PERSON = "person"


class StepColumn(msgspec.Struct, frozen=True):
    """One column of `steps.parquet`: numpy dtype, trailing shape ("A" action and "P" proprioception width), unit."""

    name: str
    dtype: str
    width: str = ""  # "" scalar, "A" action_dim, "P" proprio_dim
    unit: str = ""
    meaning: str = ""


STEP_COLUMNS: tuple[StepColumn, ...] = (
    StepColumn("frame_index", "int32", meaning="0.. within the episode; row k belongs to video frame k"),
    StepColumn("timestamp_s", "float64", unit="s", meaning="monotonic time since the episode's first step"),
    StepColumn("captured_ns", "int64", unit="ns", meaning="wall clock of the observation (Unix epoch)"),
    StepColumn("observation.state", "float32", "P", meaning="proprioception the policy saw; never object state"),
    StepColumn("action", "float32", "A", meaning="executed action, after the safety limits"),
    StepColumn("action.asked", "float32", "A", meaning="what the driver of record asked for, before the limits"),
    StepColumn("action.proposed", "float32", "A", meaning="what the policy proposed; zeros if `proposed` is false"),
    StepColumn("proposed", "bool", meaning="whether a policy was loaded and proposed an action"),
    StepColumn("reward", "float32", meaning="the driver's reward, 0 where it has none"),
    StepColumn("success", "bool", meaning="the driver's success signal after this action"),
    StepColumn("mode", "int8", meaning="authority.MODE_CODES"),
    StepColumn("source", "int8", meaning="authority.SOURCE_CODES"),
    StepColumn("lease_epoch", "int32", meaning="epoch of the lease under which it was driven, 0 for the policy"),
    StepColumn("inference_ms", "float32", unit="ms", meaning="time of the policy's inference, 0 between chunks"),
    StepColumn("period_ms", "float32", unit="ms", meaning="time since the previous step began, 0 at the first"),
)

StepArrays = Mapping[str, np.ndarray[Any, Any]]


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of what is written at rest: immutable, unknown fields refused."""


class Segment(_Record, frozen=True, kw_only=True):
    """A maximal run of steps [start, end) with one mode, source and lease. `reason` says why it began."""

    start: int
    end: int
    mode: Mode
    source: Source
    lease_epoch: int = 0
    operator: str = ""
    reason: str = ""


class ObjectRecord(_Record, frozen=True, kw_only=True):
    """One object of an episode: file name within it, bytes, lower-case hex SHA-256."""

    name: str
    size: int
    sha256: str


class CameraRecord(_Record, frozen=True, kw_only=True):
    """One camera: its MP4 has exactly `steps` frames of width x height pixels at the control rate."""

    name: str
    object: str
    width: int
    height: int


class EpisodeManifest(_Record, frozen=True, kw_only=True):
    """All that is known of an episode when it closes on the robot. Times are Unix nanoseconds of the robot's clock."""

    schema: int = MANIFEST_SCHEMA
    episode_id: str
    origin: Origin
    robot_id: str | None
    robot_name: str
    task_id: str | None
    task_slug: str
    instruction: str
    policy_version_id: str | None
    outcome: Outcome
    outcome_source: OutcomeSource = OutcomeSource.ENVIRONMENT
    outcome_reason: str = ""
    environment_outcome: Outcome | None = None  # of a labelled episode: what the environment said, None if nothing yet
    seed: int
    steps: int
    human_steps: int  # steps whose source is not the policy (person or scripted), in mode TELEOP
    control_rate_hz: float
    started_ns: int
    ended_ns: int
    driver: str
    action_names: tuple[str, ...]
    proprio_names: tuple[str, ...]
    cameras: tuple[CameraRecord, ...]
    segments: tuple[Segment, ...]
    objects: tuple[ObjectRecord, ...]
    software: dict[str, str]
    calibration: Calibration | msgspec.UnsetType = msgspec.UNSET  # absent, not null: older manifests keep their bytes
    traceparent: Traceparent | msgspec.UnsetType = msgspec.UNSET  # of a robot that traces (protocol/tracing.py)

    @property
    def is_terminated(self) -> bool:
        """Whether it counts in a success rate."""
        return self.outcome is not Outcome.ABORTED


_manifest_decoder = msgspec.json.Decoder(EpisodeManifest)


def encode_manifest(manifest: EpisodeManifest) -> bytes:
    """Return the manifest as canonical JSON (sorted keys), so that equal manifests have equal bytes."""
    return msgspec.json.encode(manifest, order="sorted")


def decode_manifest(data: bytes) -> EpisodeManifest:
    """Parse and check a manifest.

    Raises: InvalidManifest on bad JSON, unknown fields or contradictions.
    """
    try:
        manifest = _manifest_decoder.decode(data)
    except UNPARSABLE as error:
        raise InvalidManifest(f"manifest does not parse: {error}") from None
    validate_manifest(manifest)
    return manifest


def validate_manifest(manifest: EpisodeManifest) -> None:
    """Check that a manifest does not contradict itself.

    Raises: InvalidManifest with `data["field"]`.
    """
    checks = (
        ("schema", manifest.schema == MANIFEST_SCHEMA),
        ("episode_id", bool(_UUID.fullmatch(manifest.episode_id))),
        ("steps", 0 < manifest.steps <= MAX_STEPS),
        ("human_steps", 0 <= manifest.human_steps <= manifest.steps),
        ("control_rate_hz", 0 < manifest.control_rate_hz <= 1000),
        ("ended_ns", 0 < manifest.started_ns <= manifest.ended_ns),
        ("action_names", 0 < len(manifest.action_names) <= 64),
        ("proprio_names", 0 < len(manifest.proprio_names) <= 256),
        ("instruction", 0 < len(manifest.instruction) <= 1000),
        ("seed", 0 <= manifest.seed < 2**63),
    )
    for field, is_valid in checks:
        if not is_valid:
            raise InvalidManifest(f"'{field}' is out of range", field=field)
    _validate_objects(manifest)
    _validate_segments(manifest)
    if manifest.calibration is not msgspec.UNSET:
        validate_calibration(manifest.calibration)


def _validate_objects(manifest: EpisodeManifest) -> None:
    names = [record.name for record in manifest.objects]
    wanted = {STEPS_OBJECT, *(camera.object for camera in manifest.cameras)}
    if len(set(names)) != len(names) or set(names) != wanted or MANIFEST_OBJECT in wanted:
        raise InvalidManifest("objects must be the steps and one video a camera, once each", field="objects")
    for record in manifest.objects:
        is_sound = _OBJECT_NAME.fullmatch(record.name) and _SHA256.fullmatch(record.sha256)
        if not is_sound or not 0 < record.size <= MAX_OBJECT_BYTES:
            raise InvalidManifest(f"object '{record.name[:64]}' has a bad name, size or hash", field="objects")
        if record.name == STEPS_OBJECT and record.size > MAX_STEPS_BYTES:
            raise InvalidManifest(f"'{STEPS_OBJECT}' has more than {MAX_STEPS_BYTES} bytes", field="objects")
    for camera in manifest.cameras:
        is_possible = 0 < camera.width <= 8192 and 0 < camera.height <= 8192
        if not is_possible or camera.width * camera.height * manifest.steps > MAX_VIDEO_PIXELS:
            raise InvalidManifest(f"camera '{camera.name}' has an impossible size", field="cameras")


def _validate_segments(manifest: EpisodeManifest) -> None:
    position = 0
    for segment in manifest.segments:
        if segment.start != position or segment.end <= segment.start:
            raise InvalidManifest("segments must cover the steps in order without gaps", field="segments")
        position = segment.end
    if position != manifest.steps:
        raise InvalidManifest("segments must end at the last step", field="segments")
    if human_steps_of(manifest.segments) != manifest.human_steps:
        raise InvalidManifest("human_steps differs from the segments", field="human_steps")


def is_human(mode: Mode, source: Source) -> bool:
    """Whether a step counts as human effort: driven by a person or by the scripted supervisor that plays one."""
    return mode is Mode.TELEOP and source is not Source.POLICY


def segments_of(mode: np.ndarray[Any, Any], source: np.ndarray[Any, Any], epoch: np.ndarray[Any, Any]) -> list[Segment]:
    """Cut step columns (int [T] each) into maximal segments; operator and reason are left to the caller."""
    modes, sources = list(Mode), list(Source)
    keys = np.stack([mode.astype(np.int64), source.astype(np.int64), epoch.astype(np.int64)])
    changes = np.flatnonzero((keys[:, 1:] != keys[:, :-1]).any(axis=0)) + 1
    bounds = [0, *changes.tolist(), len(mode)]
    return [
        Segment(
            start=start,
            end=end,
            mode=modes[int(mode[start])],
            source=sources[int(source[start])],
            lease_epoch=int(epoch[start]),
        )
        for start, end in itertools.pairwise(bounds)
    ]


def validate_steps(steps: StepArrays, manifest: EpisodeManifest) -> None:
    """Check step columns against the contract and the manifest.

    Raises: InvalidEpisode with `data["column"]`: missing or unknown columns, wrong dtype or shape, NaN or infinity,
    times that run backwards, codes that do not exist, or segments that differ from the columns.
    """
    widths = {"": (), "A": (len(manifest.action_names),), "P": (len(manifest.proprio_names),)}
    unknown = set(steps) - {column.name for column in STEP_COLUMNS}
    if unknown:
        raise InvalidEpisode(f"unknown columns {sorted(unknown)}", column=sorted(unknown)[0])
    for column in STEP_COLUMNS:
        _validate_column(column, steps.get(column.name), (manifest.steps, *widths[column.width]))
    _require(np.array_equal(steps["frame_index"], np.arange(manifest.steps)), "frame_index", "must count 0, 1, 2, ...")
    for name in ("timestamp_s", "captured_ns"):
        _require(bool((np.diff(steps[name]) >= 0).all()), name, "runs backwards")
    for name, codes in (("mode", MODE_CODES), ("source", SOURCE_CODES)):
        _require(bool(((steps[name] >= 0) & (steps[name] < len(codes))).all()), name, "holds an unknown code")
    found = segments_of(steps["mode"], steps["source"], steps["lease_epoch"])
    stated = [(s.start, s.end, s.mode, s.source, s.lease_epoch) for s in manifest.segments]
    same = [(s.start, s.end, s.mode, s.source, s.lease_epoch) for s in found] == stated
    _require(same, "mode", "differs from the manifest's segments")


def _validate_column(column: StepColumn, values: np.ndarray[Any, Any] | None, shape: tuple[int, ...]) -> None:
    if values is None:
        raise InvalidEpisode(f"column '{column.name}' is missing", column=column.name)
    matches = values.dtype == np.dtype(column.dtype) and values.shape == shape
    wanted = f"must be {column.dtype}{list(shape)}, is {values.dtype}{list(values.shape)}"
    _require(matches, column.name, wanted)
    if values.dtype.kind == "f":
        _require(bool(np.isfinite(values).all()), column.name, "holds NaN or infinity")


def _require(condition: bool, column: str, problem: str) -> None:
    if not condition:
        raise InvalidEpisode(f"column '{column}' {problem}", column=column)


def sha256_of_file(path: Path) -> tuple[int, str]:
    """Return (size in bytes, hex SHA-256) of a file, read in 1 MiB pieces."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return file.tell(), digest.hexdigest()


def human_steps_of(segments: Iterable[Segment]) -> int:
    """Count the steps of human effort in segments."""
    return sum(s.end - s.start for s in segments if is_human(s.mode, s.source))


def interventions_of(segments: Iterable[Segment]) -> int:
    """Count how often a person or the scripted supervisor took over from the policy; one after another is one."""
    sources = [Source.POLICY, *(segment.source for segment in segments)]
    return sum(before is Source.POLICY and after is not Source.POLICY for before, after in itertools.pairwise(sources))
