"""Typed messages between robots, server and consoles. Unknown fields are refused; the version is in Hello.

Robots speak MessagePack, consoles JSON, both in frames `[seq, body]`. A message is a hint, the rows are the truth: the
server's wishes for a robot always travel as one whole `DesiredState`, so the newest alone matters and a lost one is
mended by the next. Times ending in `_ns` are Unix nanoseconds; in JSON to consoles times are `_ms` (53-bit numbers).
Longer than 400 lines because it is one flat list of types, which is searched rather than read.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from fleet.protocol.authority import Mode, Source
from fleet.protocol.recording import EpisodeManifest, ObjectRecord

PROTOCOL_VERSION = 1

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Text = Annotated[str, msgspec.Meta(max_length=2000)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A value inside messages."""


class Message(Part, frozen=True, tag_field="type"):
    """Base of everything that is sent on its own."""


# --- Parts -----------------------------------------------------------------------------------------------------------


class CameraInfo(Part, frozen=True, kw_only=True):
    name: Name
    width: Count
    height: Count


class DriverInfo(Part, frozen=True, kw_only=True):
    """What the robot is: fixed for the life of the connection."""

    name: Name
    version: Text
    control_rate_hz: float
    action_names: tuple[str, ...]
    proprio_names: tuple[str, ...]
    cameras: tuple[CameraInfo, ...]
    tasks: tuple[str, ...]  # driver task names it can run


class ControlStats(Part, frozen=True, kw_only=True):
    """Of the control loop since the daemon's start: rate reached, periods that overran, worst period."""

    rate_hz: float
    overruns: Count
    worst_period_ms: float


class SpoolStats(Part, frozen=True, kw_only=True):
    """Disk spool: closed episodes not yet registered, their bytes, and the configured capacity."""

    pending_episodes: Count
    pending_bytes: Count
    capacity_bytes: Count


class RobotStatus(Part, frozen=True, kw_only=True):
    """What the robot does now. `activity`: idle, resetting, running, waiting_policy, spool_full, error."""

    mode: Mode
    activity: Name
    detail: Text = ""
    source: Source = Source.POLICY
    operator: Text = ""
    task_id: str | None = None
    episode_id: str | None = None
    step: Count = 0
    max_steps: Count = 0
    policy_version_id: str | None = None
    state_revision: Count = 0  # DesiredState.revision the robot works by
    episodes_closed: Count = 0  # closed on this robot, all time
    control: ControlStats
    spool: SpoolStats


class AssignedTask(Part, frozen=True, kw_only=True):
    """A task this robot shall work at; the daemon draws among them by weight."""

    task_id: str
    slug: Name
    instruction: Text
    driver_task: Name
    max_steps: Count
    weight: float


class PolicyTarget(Part, frozen=True, kw_only=True):
    """The version this robot shall run from its next episode on. URLs are absolute or relative to the server."""

    version_id: str
    number: Count
    manifest_url: Text
    manifest_sha256: str
    blob_urls: dict[str, str]  # SHA-256 -> URL
    published_ns: int


class LeaseInfo(Part, frozen=True, kw_only=True):
    """The lease in force on this robot. `expires_ns`: server clock."""

    epoch: Count
    source: Source
    operator: Text
    expires_ns: int


class DesiredState(Part, frozen=True, kw_only=True):
    """Everything the server wants of a robot. `revision` grows with every change of the rows behind it."""

    revision: Count
    robot_id: str
    robot_name: Name
    is_paused: bool
    assignments: tuple[AssignedTask, ...]
    policy: PolicyTarget | None
    lease: LeaseInfo | None


class UploadTarget(Part, frozen=True, kw_only=True):
    """Where to PUT one object. `is_stored`: it is there already with this hash, nothing to send."""

    name: str
    url: Text
    headers: dict[str, str]
    is_stored: bool


# --- Robot -> server -------------------------------------------------------------------------------------------------


class Hello(Message, frozen=True, tag="hello", kw_only=True):
    """First message of a robot. Credentials travel in the HTTP upgrade, not here."""

    protocol: int
    daemon_version: Text
    boot_id: Text  # new for every daemon process
    clock_ns: int
    driver: DriverInfo
    architectures: tuple[str, ...]  # policy architectures this daemon can host
    capabilities: tuple[str, ...]
    policy_version_id: str | None


class Heartbeat(Message, frozen=True, tag="heartbeat", kw_only=True):
    clock_ns: int
    status: RobotStatus


class Thumbnail(Message, frozen=True, tag="thumbnail", kw_only=True):
    """A JPEG for the fleet page, at most one a second. Latest wins everywhere."""

    camera: Name
    captured_ns: int
    jpeg: Annotated[bytes, msgspec.Meta(max_length=64 * 1024)]


class UploadRequest(Message, frozen=True, tag="upload_request", kw_only=True):
    """Ask where to put the objects of a closed episode, the manifest among them."""

    episode_id: str
    objects: tuple[ObjectRecord, ...]


class EpisodeReady(Message, frozen=True, tag="episode_ready", kw_only=True):
    """All objects are stored. Sent again after every reconnect until EpisodeRegistered or a terminal refusal."""

    episode_id: str
    uploaded_ns: int
    manifest: EpisodeManifest


class PolicyApplied(Message, frozen=True, tag="policy_applied", kw_only=True):
    """The version is loaded and drives from the next episode on. `fetched_bytes` excludes blobs already held."""

    version_id: str
    fetched_ns: int
    applied_ns: int
    fetched_bytes: Count


class PolicyRefused(Message, frozen=True, tag="policy_refused", kw_only=True):
    version_id: str
    code: Name
    message: Text


class LeaseRequest(Message, frozen=True, tag="lease_request", kw_only=True):
    """The scripted supervisor asks to take over. Answered by LeaseReply with the same `request_id`."""

    request_id: str
    reason: Text


class LeaseRenew(Message, frozen=True, tag="lease_renew", kw_only=True):
    epoch: Count


class LeaseRelease(Message, frozen=True, tag="lease_release", kw_only=True):
    epoch: Count
    reason: Text


class Resync(Message, frozen=True, tag="resync", kw_only=True):
    """A gap in the sequence was seen: send the whole state again."""

    last_seq: Count


class Goodbye(Message, frozen=True, tag="goodbye", kw_only=True):
    reason: Text


RobotMessage = (
    Hello
    | Heartbeat
    | Thumbnail
    | UploadRequest
    | EpisodeReady
    | PolicyApplied
    | PolicyRefused
    | LeaseRequest
    | LeaseRenew
    | LeaseRelease
    | Resync
    | Goodbye
)

# --- Server -> robot -------------------------------------------------------------------------------------------------


class Welcome(Message, frozen=True, tag="welcome", kw_only=True):
    """Answer to Hello: the session's timers and the full state."""

    protocol: int
    session_id: str
    heartbeat_s: float
    clock_ns: int
    state: DesiredState


class HeartbeatAck(Message, frozen=True, tag="heartbeat_ack", kw_only=True):
    """Echo of the robot's clock, for round-trip time and clock offset."""

    clock_ns: int
    server_clock_ns: int


class StateChanged(Message, frozen=True, tag="state_changed", kw_only=True):
    state: DesiredState


class UploadGrant(Message, frozen=True, tag="upload_grant", kw_only=True):
    episode_id: str
    targets: tuple[UploadTarget, ...]


class EpisodeRegistered(Message, frozen=True, tag="episode_registered", kw_only=True):
    """Registered, now or at an earlier try: the robot may drop its copy."""

    episode_id: str
    indexed_ns: int


class EpisodeRefused(Message, frozen=True, tag="episode_refused", kw_only=True):
    """Not registered. With `is_final` the robot sets the episode aside and never sends it again."""

    episode_id: str
    code: Name
    message: Text
    is_final: bool


class LeaseReply(Message, frozen=True, tag="lease_reply", kw_only=True):
    request_id: str
    lease: LeaseInfo | None
    code: str = ""  # when refused
    message: Text = ""


class Fault(Message, frozen=True, tag="fault", kw_only=True):
    """The peer did something wrong. With `is_fatal` the link closes after it."""

    code: Name
    message: Text
    is_fatal: bool


ServerMessage = (
    Welcome | HeartbeatAck | StateChanged | UploadGrant | EpisodeRegistered | EpisodeRefused | LeaseReply | Fault
)

# --- Server -> console -----------------------------------------------------------------------------------------------


class RobotCard(Part, frozen=True, kw_only=True):
    """One robot on the fleet page. Ages are computed by the browser from `_ms` and `server_ms`."""

    robot_id: str
    name: Name
    is_online: bool
    is_paused: bool
    mode: Mode
    activity: Name
    detail: Text
    source: Source
    operator: Text
    task: Text
    instruction: Text
    episode_id: str | None
    step: Count
    max_steps: Count
    policy_number: int | None
    versions_behind: int | None
    seconds_behind: float | None
    last_seen_ms: int | None
    thumbnail_ms: int | None
    pending_episodes: Count
    episodes_closed: Count
    control_rate_hz: float
    overruns: Count


class RunCard(Part, frozen=True, kw_only=True):
    """The training run that feeds the fleet. `state`: running, paused, stopped, failed."""

    run_id: str
    name: Name
    algorithm: Name
    state: Name
    step: Count
    steps_per_s: float
    newest_version: int | None
    online_episodes: Count
    online_frames: Count
    human_frames: Count
    updated_ms: int | None


class RunRow(Part, frozen=True, kw_only=True):
    """What the learner reported at one gradient step, by name."""

    step: Count
    at_ms: int
    values: dict[str, float]


class ConsoleSnapshot(Message, frozen=True, tag="snapshot", kw_only=True):
    """The whole fleet page, sent on connecting and after Resync."""

    protocol: int
    server_ms: int
    robots: tuple[RobotCard, ...]
    run: RunCard | None


class RobotsChanged(Message, frozen=True, tag="robots_changed", kw_only=True):
    """Cards that changed since the last frame; whole cards, latest wins."""

    server_ms: int
    robots: tuple[RobotCard, ...]


class RobotRemoved(Message, frozen=True, tag="robot_removed", kw_only=True):
    robot_id: str


class RunChanged(Message, frozen=True, tag="run_changed", kw_only=True):
    server_ms: int
    run: RunCard | None


class MetricsChanged(Message, frozen=True, tag="metrics_changed", kw_only=True):
    """An episode was registered or a version published: charts should be read again."""

    server_ms: int


class RunRows(Message, frozen=True, tag="run_rows", kw_only=True):
    """New rows of the run that this console watches, and at once after WatchRun, then without any.

    They follow the row at `after_step` (0: there was none). A console whose newest row is older has missed some, by a
    slow link or a late watch, and reads them over HTTP.
    """

    server_ms: int
    run_id: str
    after_step: Count
    rows: tuple[RunRow, ...]


ConsoleServerMessage = ConsoleSnapshot | RobotsChanged | RobotRemoved | RunChanged | MetricsChanged | RunRows | Fault


class WatchRun(Message, frozen=True, tag="watch_run", kw_only=True):
    """Send RunRows of this run from now on, and of no other; None: of none. Each connection begins with none."""

    run_id: Annotated[str, msgspec.Meta(max_length=36)] | None


class ConsolePing(Message, frozen=True, tag="ping", kw_only=True):
    clock_ms: int


ConsoleClientMessage = ConsolePing | Resync | WatchRun


class RobotFrame(msgspec.Struct, frozen=True, array_like=True):
    """[seq, body]: `seq` counts 1, 2, 3, ... in each direction of each connection."""

    seq: Count
    body: RobotMessage


class ServerFrame(msgspec.Struct, frozen=True, array_like=True):
    seq: Count
    body: ServerMessage


class ConsoleServerFrame(msgspec.Struct, frozen=True, array_like=True):
    seq: Count
    body: ConsoleServerMessage


class ConsoleClientFrame(msgspec.Struct, frozen=True, array_like=True):
    seq: Count
    body: ConsoleClientMessage
