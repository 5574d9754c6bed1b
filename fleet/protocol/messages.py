"""Typed messages between robots, server and consoles. Unknown fields are refused; the version is in Hello.

Robots speak MessagePack, consoles JSON, both in frames `[seq, body]`. A message is a hint, the rows are the truth: the
server's wishes for a robot always travel as one whole `DesiredState`, so the newest alone matters and a lost one is
mended by the next. Times ending in `_ns` are Unix nanoseconds; in JSON to consoles times are `_ms` (53-bit numbers).
Longer than 400 lines because it is one flat list of types, which is searched rather than read.
"""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec

from fleet.protocol.authority import Mode, Source
from fleet.protocol.recording import EpisodeManifest, ObjectRecord, Traceparent

PROTOCOL_VERSION = 3  # what came with it: compat.py

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Text = Annotated[str, msgspec.Meta(max_length=2000)]
Count = Annotated[int, msgspec.Meta(ge=0)]
RequestId = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
RowId = Annotated[str, msgspec.Meta(max_length=36)]  # a UUID; checked where it is used
MAX_LOG_LINES = 500  # of one message: with the texts' length below, a frame stays under its limit
MAX_LOG_TEXT = 1000  # bytes, as the daemon cuts it
LOGS_CAPABILITY = "logs"
PARTS_CAPABILITY = "parts"  # the daemon sends large objects in parts
MAX_PARTS = 1000  # of one object: a request with the hashes of some stays under its frame's limit
SHADOW_CAPABILITY = "shadow"
Sdp = Annotated[str, msgspec.Meta(max_length=48 * 1024)]


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
    cameras: tuple[CameraInfo, ...]  # what the policy sees and the recording holds
    tasks: tuple[str, ...]  # driver task names it can run
    views: tuple[CameraInfo, ...] = ()  # live video for people, the main one first
    kept_axes: tuple[str, ...] = ()  # actions that keep their value when nobody moves them, as a gripper


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


class StopInfo(Part, frozen=True, kw_only=True):
    """A stop. It latches; clearing names its `stop_id`, so that a later stop is not cleared with it."""

    stop_id: RowId
    by: Text
    reason: Text = ""
    at_ns: int  # clock of whoever made it


class HelpReason(enum.StrEnum):
    """Why a robot asks for a person."""

    NO_PROGRESS = "no_progress"
    UNCERTAIN = "uncertain"  # the policy's samples disagree
    CONSTRAINT = "constraint"  # a limit was hit again and again
    PAUSED = "paused"  # it stands still and only a person resumes it


class HelpSignal(Part, frozen=True, kw_only=True):
    """The robot asks for help now. `score`: how much, in [0, 1]."""

    reason: HelpReason
    score: float
    detail: Text = ""
    since_ns: int


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
    stop: StopInfo | None = None  # latched now
    help: HelpSignal | None = None
    hold: PolicyHold | None = None


class AssignedTask(Part, frozen=True, kw_only=True):
    """A task this robot shall work at; the daemon draws among them by weight."""

    task_id: str
    slug: Name
    instruction: Text
    driver_task: Name
    max_steps: Count
    weight: float


class PolicyPatch(Part, frozen=True, kw_only=True):
    """What makes a blob of another one that the robot may hold (protocol/patch.py); `size` bytes with this hash."""

    base: str  # SHA-256 of the blob it is applied to
    url: Text
    size: Count
    sha256: str


class PolicyTarget(Part, frozen=True, kw_only=True):
    """The version this robot shall run from its next episode on. URLs are absolute or relative to the server.

    key, signature: hex of Ed25519 over `policy.policy_statement`, "" where the server does not sign. `epoch` is signed
    with it and only ever grows for one robot: a robot follows no order that is older than one it followed.
    """

    version_id: str
    number: Count
    manifest_url: Text
    manifest_sha256: str
    blob_urls: dict[str, str]  # SHA-256 -> URL
    published_ns: int
    patches: dict[str, PolicyPatch] = {}  # SHA-256 of a blob -> how to make it of an earlier one
    epoch: Count = 0
    key: str = ""
    signature: str = ""
    traceparent: Traceparent | msgspec.UnsetType = msgspec.UNSET  # of the publish, where the learner traces


class PolicyKey(Part, frozen=True, kw_only=True):
    """A public key that signs versions, hex; `endorsement`: signature of `endorsed_by` over `policy.key_statement`."""

    public: str
    endorsed_by: str = ""
    endorsement: str = ""


class PolicyHold(Part, frozen=True, kw_only=True):
    """Somebody at the robot took it back to this version; it follows no other until that is lifted."""

    hold_id: RowId
    version_id: str
    number: Count
    since_ns: int
    reason: Text = ""


class LeaseInfo(Part, frozen=True, kw_only=True):
    """The lease in force on this robot. `expires_ns`: server clock."""

    epoch: Count
    source: Source
    operator: Text
    expires_ns: int
    connection: str = ""  # of the console that holds it; commands of other peers are refused


class ShadowOrder(Part, frozen=True, kw_only=True):
    """A version that proposes beside the one that drives and is never executed.

    `policy` is signed over `policy.shadow_statement`, which is no order to drive. `share` of the replanning instants,
    in (0, 1]; until `max_episodes` of this robot have proposals, or its clock has passed `ends_ns`.
    """

    shadow_id: RowId
    policy: PolicyTarget
    share: float = 1.0
    max_episodes: Count
    ends_ns: int


class ShadowWish(Part, frozen=True, kw_only=True):
    """What a robot shall shadow; nothing with `order` None. That it is there at all says that the server takes reports
    of shadows."""

    order: ShadowOrder | None = None


class DesiredState(Part, frozen=True, kw_only=True):
    """Everything the server wants of a robot. `revision` grows with every change of the rows behind it."""

    revision: Count
    robot_id: str
    robot_name: Name
    is_paused: bool
    assignments: tuple[AssignedTask, ...]
    policy: PolicyTarget | None
    lease: LeaseInfo | None
    handed_back_epoch: Count = 0  # of the newest person's lease, if they gave it back; 0 if it ran out or there is none
    stop: StopInfo | None = None  # in force; the robot latches it even if StopRobot was lost
    cleared_stop_id: RowId | None = None  # the newest stop that a person cleared
    policy_keys: tuple[PolicyKey, ...] = ()
    lifted_hold_id: RowId | None = None  # the hold that a person lifted at the console
    shadow: ShadowWish | msgspec.UnsetType = (
        msgspec.UNSET
    )  # only to daemons that named "shadow": others know no such field


class IceServer(Part, frozen=True, kw_only=True):
    """One STUN or TURN server, as RTCIceServer; TURN credentials are valid for a limited time."""

    urls: tuple[Text, ...]
    username: Text = ""
    credential: Text = ""


class OrderKind(enum.StrEnum):
    """What an operator wants of the running episode. SUCCESS and FAILURE end it with the operator's label."""

    SUCCESS = "success"
    FAILURE = "failure"
    RESTART = "restart"  # end as aborted; the same task again, with a new scene
    END = "end"  # end as aborted; the next task as drawn


class ObjectParts(Part, frozen=True, kw_only=True):
    """How the robot cut an object: every part but the last has `part_bytes`; `sha256`: of each part, in order."""

    name: str
    part_bytes: Count
    sha256: Annotated[tuple[Annotated[str, msgspec.Meta(max_length=64)], ...], msgspec.Meta(max_length=MAX_PARTS)]


class PartTarget(Part, frozen=True, kw_only=True):
    """Where to PUT one part, `number` from 1 on."""

    number: Count
    url: Text
    headers: dict[str, str]


class UploadTarget(Part, frozen=True, kw_only=True, omit_defaults=True):
    """Where to PUT one object. `is_stored`: it is there already with this hash, nothing to send.

    `part_bytes`: not 0 if it must come in parts of so many bytes, which `UploadRequest.parts` has to name first.
    `parts`: some of those that are missing; there may be more when these are stored. Neither is sent to a daemon that
    did not name PARTS_CAPABILITY.
    """

    name: str
    url: Text
    headers: dict[str, str]
    is_stored: bool
    part_bytes: Count = 0
    parts: tuple[PartTarget, ...] = ()


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


class UploadRequest(Message, frozen=True, tag="upload_request", kw_only=True, omit_defaults=True):
    """Ask where to put the objects of a closed episode, the manifest among them.

    `parts`: of the objects that a grant wanted in parts. Asked again when all parts that were granted are stored: the
    server puts the object together when none is missing.
    """

    episode_id: str
    objects: tuple[ObjectRecord, ...]
    parts: tuple[ObjectParts, ...] = ()


class Distances(Part, frozen=True, kw_only=True):
    """Distances of one episode's proposals to what was executed, in [0, 2]; see docs/rollout.md, "The distance"."""

    proposals: Count
    total: float  # their sum
    p50: float
    p95: float


class ShadowEpisode(Part, frozen=True, kw_only=True):
    """What the shadow proposed in one episode. `human` and `own` are of the same proposals: the candidate's and the
    executing version's distance to the person, or the scripted supervisor, who drove."""

    shadow_id: RowId
    instants: Count  # at which the executing policy planned anew
    asked: Count  # of them by the order's share
    answered: Count  # in time and finite; the others were skipped
    inference_ms: float  # mean of those answered
    policy: Distances
    human: Distances
    own: Distances


class EpisodeReady(Message, frozen=True, tag="episode_ready", kw_only=True):
    """All objects are stored. Sent again after every reconnect until EpisodeRegistered or a terminal refusal.

    `shadow`: only to a server whose state had ShadowWish.
    """

    episode_id: str
    uploaded_ns: int
    manifest: EpisodeManifest
    shadow: ShadowEpisode | msgspec.UnsetType = msgspec.UNSET


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


class ShadowState(enum.StrEnum):
    """How far a robot is with what it shall shadow."""

    FETCHING = "fetching"
    RUNNING = "running"  # loaded; it proposes from the next episode on
    REFUSED = "refused"  # with a code
    ENDED = "ended"  # enough episodes, or late enough


class ShadowReport(Message, frozen=True, tag="shadow_report", kw_only=True):
    """The newest counts; sent at each change and on each connection, only to a server whose state had ShadowWish."""

    shadow_id: RowId
    state: ShadowState
    episodes: Count = 0  # with proposals, on this robot
    code: Annotated[str, msgspec.Meta(max_length=100)] = ""
    message: Text = ""


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


class PeerAnswer(Message, frozen=True, tag="peer_answer", kw_only=True):
    """Answer to PeerOffer. `sdp`: with all candidates (no trickle); "" with a `code` when refused."""

    peer_id: RowId
    sdp: Sdp = ""
    code: str = ""
    message: Text = ""


class OrderDone(Message, frozen=True, tag="order_done", kw_only=True):
    """Answer to EpisodeOrder. `code` is "" if it was done."""

    order_id: RowId
    code: str = ""
    message: Text = ""


class LogLine(Part, frozen=True, kw_only=True):
    """One line of a daemon's log, by the robot's clock; secrets are left out before it goes anywhere."""

    at_ns: int
    level: Annotated[str, msgspec.Meta(max_length=16)]  # debug, info, warning, error or critical
    logger: Annotated[str, msgspec.Meta(max_length=100)]
    text: Annotated[str, msgspec.Meta(max_length=MAX_LOG_TEXT)]


class RobotLogs(Message, frozen=True, tag="robot_logs", kw_only=True):
    """Lines of the robot's log, the oldest first: an answer to LogsWanted, or warnings and errors as they come.

    Sent only on connections whose server said LogsWanted. `request_id`: of the question, "" for what comes by itself.
    `dropped`: lines that did not fit since the last such message.
    """

    request_id: RowId = ""
    lines: Annotated[tuple[LogLine, ...], msgspec.Meta(max_length=MAX_LOG_LINES)]
    dropped: Count = 0


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
    | ShadowReport
    | LeaseRequest
    | LeaseRenew
    | LeaseRelease
    | Resync
    | PeerAnswer
    | OrderDone
    | RobotLogs
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


class PeerOffer(Message, frozen=True, tag="peer_offer", kw_only=True):
    """A signed-in person's browser wants the video. A second offer with the same `peer_id` replaces that peer.

    `views`: names for the offer's video transceivers, in order. `connection`: compared with the lease's, to drive.
    """

    peer_id: RowId
    connection: RowId
    user: Text
    views: tuple[Name, ...]
    sdp: Sdp
    ice_servers: tuple[IceServer, ...]


class PeerClose(Message, frozen=True, tag="peer_close", kw_only=True):
    """The person left, or may not watch any more."""

    peer_id: RowId
    reason: Text


class StopRobot(Message, frozen=True, tag="stop_robot", kw_only=True):
    """Stop now. The state that follows says the same."""

    stop: StopInfo


class EpisodeOrder(Message, frozen=True, tag="episode_order", kw_only=True):
    """Of the holder of lease `epoch`, about the episode that they saw. Answered by OrderDone."""

    order_id: RowId
    epoch: Count
    kind: OrderKind
    episode_id: RowId
    by: Text
    reason: Text = ""


class LogsWanted(Message, frozen=True, tag="logs_wanted", kw_only=True):
    """Answer with the last `limit` lines, and from now on send warnings and errors as they come.

    Only to daemons that named the capability "logs" in Hello: others do not know the message. With a `request_id` lines
    of every level are asked for, without one warnings and worse.
    """

    request_id: RowId = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_LOG_LINES)]


class Fault(Message, frozen=True, tag="fault", kw_only=True):
    """The peer did something wrong. With `is_fatal` the link closes after it."""

    code: Name
    message: Text
    is_fatal: bool


ServerMessage = (
    Welcome
    | HeartbeatAck
    | StateChanged
    | UploadGrant
    | EpisodeRegistered
    | EpisodeRefused
    | LeaseReply
    | PeerOffer
    | PeerClose
    | StopRobot
    | EpisodeOrder
    | LogsWanted
    | Fault
)

# --- Server -> console -----------------------------------------------------------------------------------------------


class CardLease(Part, frozen=True, kw_only=True):
    """Who holds the robot's lease, and until when (server clock) unless it is renewed."""

    epoch: Count
    source: Source
    operator: Text
    expires_ms: int


class CardStop(Part, frozen=True, kw_only=True):
    """A latched stop, as the robot reports it or, until it does, as the server asked for it."""

    stop_id: str
    by: Text
    reason: Text
    at_ms: int
    is_confirmed: bool  # by the robot


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
    lease: CardLease | None = None
    stop: CardStop | None = None
    policy_stage: str = ""  # why it shall drive with `policy_wanted`: held, pinned, canary, current; "" before any
    policy_wanted: int | None = None
    policy_hold: str = ""  # in words, while somebody at the robot holds it at a version (stage "held")


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


class HelpRanking(enum.StrEnum):
    """By which rule requests for help are put in order (services of the help queue, docs/help.md)."""

    FIFO = "fifo"
    CUR = "cur"  # C.U.R.: constraint, uncertainty, risk
    THRIFTY = "thrifty"  # weighted risk and novelty


class HelpCard(Part, frozen=True, kw_only=True):
    """One request for help. `operator`: who serves it since `claimed_ms`, "" and None while it waits."""

    request_id: str
    robot_id: str
    robot: Name
    reason: HelpReason
    score: float
    detail: Text
    task: Text
    policy_number: int | None
    opened_ms: int
    operator: Text
    claimed_ms: int | None


class HelpQueue(Message, frozen=True, tag="help_queue", kw_only=True):
    """The whole queue, after each snapshot and whenever it changed; latest wins.

    `requests`: those that wait, the most urgent first, then those being served; at most 100 of `total`.
    """

    server_ms: int
    ranking: HelpRanking
    total: Count
    requests: tuple[HelpCard, ...]


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


class AlertsChanged(Message, frozen=True, tag="alerts_changed", kw_only=True):
    """An alert opened, resolved or was acknowledged, or a rule changed: alerts should be read again."""

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


class ConsoleLease(Part, frozen=True, kw_only=True):
    """A lease as its holder's console sees it. `expires_ms`: server clock; renew every `renew_s`."""

    robot_id: str
    epoch: Count
    expires_ms: int
    renew_s: float


class ConsoleReply(Message, frozen=True, tag="reply", kw_only=True):
    """The one answer to a message with a `request_id`. `code` is "" if it was done; `lease`: the one held after it."""

    request_id: str
    lease: ConsoleLease | None = None
    code: str = ""
    message: Text = ""


class LeaseLost(Message, frozen=True, tag="lease_lost", kw_only=True):
    """Another console took this one's lease: `taken_by` drives now. A hint; the next renewal is refused in any case."""

    robot_id: str
    epoch: Count
    taken_by: Text


class LeaseAsked(Message, frozen=True, tag="lease_asked", kw_only=True):
    """To the holder: `by` would like to drive. A transfer answers it; nothing happens by itself."""

    robot_id: str
    epoch: Count
    by: Text


class LeaseOffered(Message, frozen=True, tag="lease_offered", kw_only=True):
    """To every console of the user whom the holder `by` hands over to: ConsoleTake with this epoch is allowed."""

    robot_id: str
    epoch: Count
    by: Text


class ConsolePeerAnswer(Message, frozen=True, tag="peer_answer", kw_only=True):
    """The robot's answer to a ConsolePeerOffer that was passed on; "" and a `code` when the robot refused."""

    peer_id: str
    sdp: Sdp = ""
    code: str = ""
    message: Text = ""


ConsoleServerMessage = (
    ConsoleSnapshot
    | RobotsChanged
    | RobotRemoved
    | RunChanged
    | MetricsChanged
    | AlertsChanged
    | RunRows
    | HelpQueue
    | ConsoleReply
    | LeaseLost
    | LeaseAsked
    | LeaseOffered
    | ConsolePeerAnswer
    | Fault
)


class WatchRun(Message, frozen=True, tag="watch_run", kw_only=True):
    """Send RunRows of this run from now on, and of no other; None: of none. Each connection begins with none."""

    run_id: Annotated[str, msgspec.Meta(max_length=36)] | None


class ConsolePing(Message, frozen=True, tag="ping", kw_only=True):
    clock_ms: int


class ConsoleAcquire(Message, frozen=True, tag="acquire", kw_only=True):
    """Drive a robot that no person drives; the scripted supervisor gives way."""

    request_id: RequestId
    robot_id: RowId
    reason: Text = ""


class ConsoleTake(Message, frozen=True, tag="take", kw_only=True):
    """Take from the person who drives under `from_epoch`, as confirmed; refused if that is no longer the holder."""

    request_id: RequestId
    robot_id: RowId
    from_epoch: Count
    reason: Text = ""


class ConsoleRenew(Message, frozen=True, tag="renew", kw_only=True):
    """Keep the lease that this connection holds."""

    request_id: RequestId
    robot_id: RowId
    epoch: Count


class ConsoleRelease(Message, frozen=True, tag="release", kw_only=True):
    """Hand the robot back to its policy."""

    request_id: RequestId
    robot_id: RowId
    epoch: Count
    reason: Text = ""


class ConsoleAsk(Message, frozen=True, tag="ask", kw_only=True):
    """Ask the holder of lease `epoch` for it."""

    request_id: RequestId
    robot_id: RowId
    epoch: Count


class ConsoleTransfer(Message, frozen=True, tag="transfer", kw_only=True):
    """Let `to_user` take the lease that this connection holds. It stays here until they do."""

    request_id: RequestId
    robot_id: RowId
    epoch: Count
    to_user: Text


class ConsoleStop(Message, frozen=True, tag="stop", kw_only=True):
    """Stop the robot. Anyone signed in may. The same `stop_id` goes over the data channel, if there is one."""

    request_id: RequestId
    robot_id: RowId
    stop_id: RowId
    reason: Text = ""


class ConsoleClear(Message, frozen=True, tag="clear", kw_only=True):
    """Clear this stop. The holder of the lease or an admin may; the robot stays still and disarmed."""

    request_id: RequestId
    robot_id: RowId
    stop_id: RowId


class ConsolePeerOffer(Message, frozen=True, tag="peer_offer", kw_only=True):
    """Pass this offer on to the robot. The reply says whether it was; a ConsolePeerAnswer follows within seconds."""

    request_id: RequestId
    robot_id: RowId
    peer_id: RowId
    views: tuple[Name, ...]
    sdp: Sdp


class ConsolePeerClose(Message, frozen=True, tag="peer_close", kw_only=True):
    request_id: RequestId
    robot_id: RowId
    peer_id: RowId


class ConsoleOrder(Message, frozen=True, tag="order", kw_only=True):
    """What the holder of lease `epoch` wants of the running episode. Replied when the robot has answered."""

    request_id: RequestId
    robot_id: RowId
    epoch: Count
    kind: OrderKind
    episode_id: RowId
    reason: Text = ""


ConsoleRequest = (
    ConsoleAcquire
    | ConsoleTake
    | ConsoleRenew
    | ConsoleRelease
    | ConsoleAsk
    | ConsoleTransfer
    | ConsoleStop
    | ConsoleClear
    | ConsolePeerOffer
    | ConsolePeerClose
    | ConsoleOrder
)
ConsoleClientMessage = ConsolePing | Resync | WatchRun | ConsoleRequest


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
