"""What the server sends to consoles: cards of the fleet page, the run, the help queue, leases."""

from __future__ import annotations

import enum

import msgspec

from fleet.protocol.authority import Mode, Source
from fleet.protocol.messages.common import Count, Fault, HelpReason, Message, Name, Part, Sdp, Text


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
    policy_run: str = ""  # the run of `policy_number`, where it is not the one that publishes now; else ""


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


class ConsoleServerFrame(msgspec.Struct, frozen=True, array_like=True):
    seq: Count
    body: ConsoleServerMessage
