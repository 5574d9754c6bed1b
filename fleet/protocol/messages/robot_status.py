"""What a robot is and does, as it tells the server in Hello and in every heartbeat."""

from __future__ import annotations

from fleet.protocol.authority import Mode, Source
from fleet.protocol.messages.common import Count, HelpReason, Name, Part, RowId, StopInfo, Text


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


class HelpSignal(Part, frozen=True, kw_only=True):
    """The robot asks for help now. `score`: how much, in [0, 1]."""

    reason: HelpReason
    score: float
    detail: Text = ""
    since_ns: int


class PolicyHold(Part, frozen=True, kw_only=True):
    """Somebody at the robot took it back to this version; it follows no other until that is lifted."""

    hold_id: RowId
    version_id: str
    number: Count
    since_ns: int
    reason: Text = ""


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
