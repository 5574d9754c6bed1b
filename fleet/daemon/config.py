"""Configuration of one robot's daemon: frozen dataclasses, read from TOML and `--set section.key=value`.

Every unit is in the name. Unknown keys are refused, so a typing error never silently keeps a default.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from fleet.daemon.config_report import LogConfig, MetricsConfig, ShadowConfig, require
from fleet.daemon.help_gate import HelpConfig
from fleet.protocol.errors import SopError


class ConfigError(SopError):
    """A configuration that cannot be used; `data["key"]` names the culprit."""

    code = "config_error"


@dataclass(frozen=True, kw_only=True)
class ControlConfig:
    """The control loop. Real ticks a second = control_rate_hz * speed_factor; speed 0 waits for nothing."""

    control_rate_hz: float = 10.0
    speed_factor: float = 1.0
    handover_steps: int = 2  # steps of holding still between TAKE and ENGAGE
    max_hold_steps: int = 300  # holding still for longer than this within one episode aborts it
    nonfinite_limit: int = 10  # consecutive NaN answers of the policy that abort the episode
    reset_s: float = 1.0  # robot time between two episodes, for the scene to be put back

    def __post_init__(self) -> None:
        require(0 < self.control_rate_hz <= 1000, "control_rate_hz must lie in (0, 1000]")
        require(0 <= self.speed_factor <= 1000, "speed_factor must lie in [0, 1000]")
        require(self.handover_steps >= 0, "handover_steps must not be negative")
        require(1 <= self.max_hold_steps <= 100_000, "max_hold_steps must lie in [1, 100000]")
        require(self.nonfinite_limit >= 1, "nonfinite_limit must be at least 1")
        require(self.reset_s >= 0, "reset_s must not be negative")

    @property
    def period_s(self) -> float:
        """Real seconds between two ticks, 0 for as fast as possible."""
        return 1.0 / (self.control_rate_hz * self.speed_factor) if self.speed_factor > 0 else 0.0


@dataclass(frozen=True, kw_only=True)
class SafetyConfig:
    """Limits on what reaches the driver. Tuples hold one value for all axes or one for each.

    `max_change_per_step` defaults to the whole range, which suits a simulated arm; set it for real hardware.
    """

    low: tuple[float, ...] = (-1.0,)
    high: tuple[float, ...] = (1.0,)
    max_change_per_step: tuple[float, ...] = (2.0,)
    kept_axes: tuple[str, ...] = ("gripper",)  # axes that keep their last command while holding still
    handover_change_per_step: tuple[float, ...] = (0.4,)  # while a person takes over or hands back
    handover_ramp_steps: int = 5  # for so many steps after a person took over or handed back
    workspace_low: tuple[float, ...] = ()  # of the first values of the proprioception; () for no box
    workspace_high: tuple[float, ...] = ()
    command_timeout_s: float = 0.25  # a person's commands may be absent for this long; then the robot stands
    engage_timeout_s: float = 10.0  # it stands for this long before the lease counts as lapsed
    lease_max_s: float = 30.0  # however long a lease the server grants, no longer than this without renewal
    is_scripted_resume: bool = True  # after a lapsed lease of the scripted supervisor the policy goes on

    def __post_init__(self) -> None:
        require(min(self.max_change_per_step, default=0) > 0, "max_change_per_step must be positive")
        require(min(self.handover_change_per_step, default=0) > 0, "handover_change_per_step must be positive")
        require(self.handover_ramp_steps >= 0, "handover_ramp_steps must not be negative")
        box = zip(self.workspace_low, self.workspace_high, strict=False)
        is_box = len(self.workspace_low) == len(self.workspace_high) and all(low < high for low, high in box)
        require(is_box, "workspace_low and workspace_high must be of one length, each low below its high")
        require(self.command_timeout_s > 0, "command_timeout_s must be positive")
        require(self.engage_timeout_s > 0, "engage_timeout_s must be positive")
        require(self.lease_max_s > 0, "lease_max_s must be positive")


@dataclass(frozen=True, kw_only=True)
class TeleopConfig:
    """A person's commands and pictures. Delays are one way, from the operator to the robot."""

    is_enabled: bool = True
    late_s: float = 0.2  # an older command is refused
    future_s: float = 0.05  # and one that is further ahead: the clocks do not fit
    full_speed_delay_s: float = 0.1  # full speed up to this delay
    late_share: float = 0.3  # share of full speed at late_s
    video_slow_s: float = 0.3  # without a fresh picture at the operator for this long: slow
    video_stop_s: float = 0.7  # and for this long: stand
    video_slow_share: float = 0.3
    neutral: float = 0.05  # an axis counts as at rest below this
    rate_hz: float = 60.0  # commands of one peer, on average
    rate_burst: int = 30
    message_rate_hz: float = 200.0  # of all messages of one peer; more are dropped unread
    probe_hz: float = 5.0  # questions for the operator's clock
    clock_window: int = 50  # answers remembered, 10 s
    feedback_hz: float = 20.0  # to one peer, at most
    max_peers: int = 3
    offer_rate_hz: float = 4.0  # offers of all browsers together; each costs the robot's processor for a moment
    offer_burst: int = 12
    silent_s: float = 10.0  # a browser that says nothing for this long is hung up on
    unlinked_s: float = 30.0  # and one that was not offered anew for this long after the server was lost

    def __post_init__(self) -> None:
        require(0 <= self.full_speed_delay_s < self.late_s, "full_speed_delay_s must lie below late_s")
        require(0 < self.video_slow_s < self.video_stop_s, "video_slow_s must lie below video_stop_s")
        require(0 <= self.late_share <= 1 and 0 <= self.video_slow_share <= 1, "shares must lie in [0, 1]")
        require(0 <= self.neutral < 1, "neutral must lie in [0, 1)")
        rates = (self.rate_hz, self.message_rate_hz, self.probe_hz, self.feedback_hz, self.offer_rate_hz)
        require(min(rates) > 0, "rates must be positive")
        require(min(self.silent_s, self.unlinked_s) > 0, "silent_s and unlinked_s must be positive")
        require(
            min(self.rate_burst, self.offer_burst, self.clock_window, self.max_peers) >= 1, "bounds must be at least 1"
        )


@dataclass(frozen=True, kw_only=True)
class SupervisorConfig:
    """The scripted supervisor. `options` go to fleet/daemon/supervisor.py unread."""

    is_enabled: bool = True
    request_timeout_s: float = 2.0  # for the server's answer to a lease request
    request_interval_s: float = 1.0  # between two requests
    request_limit: int = 5  # unsuccessful requests an episode
    renew_after: float = 0.4  # of the lease's length
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require(self.request_timeout_s > 0, "request_timeout_s must be positive")
        require(self.request_interval_s >= 0, "request_interval_s must not be negative")
        require(self.request_limit >= 1, "request_limit must be at least 1")
        require(0 < self.renew_after < 1, "renew_after must lie in (0, 1)")


@dataclass(frozen=True, kw_only=True)
class SpoolConfig:
    capacity_bytes: int = 2 * 1024**3
    video_crf: int = 18

    def __post_init__(self) -> None:
        require(self.capacity_bytes >= 1024**2, "capacity_bytes must be at least 1 MiB")
        require(0 <= self.video_crf <= 51, "video_crf must lie in [0, 51]")


@dataclass(frozen=True, kw_only=True)
class LinkConfig:
    """The socket. After n failures in a row the wait is random in [0.5, 1] * min(max, min * 2**n)."""

    connect_timeout_s: float = 10.0
    send_timeout_s: float = 10.0
    backoff_min_s: float = 0.5
    backoff_max_s: float = 30.0
    unauthorised_wait_s: float = 60.0  # a revoked key is not mended by hurry

    def __post_init__(self) -> None:
        for name in ("connect_timeout_s", "send_timeout_s", "backoff_min_s", "unauthorised_wait_s"):
            require(getattr(self, name) > 0, f"{name} must be positive")
        require(self.backoff_max_s >= self.backoff_min_s, "backoff_max_s must not be below backoff_min_s")


@dataclass(frozen=True, kw_only=True)
class UploadConfig:
    concurrency: int = 2
    # For the server's answer to UploadRequest and EpisodeReady: above what it may take to read two large episodes
    # through (SOP_VIDEO_CHECK_S, 120 s each). A link that closes ends the wait at once.
    request_timeout_s: float = 300.0
    put_timeout_s: float = 120.0  # for one read or write of one PUT
    put_attempts: int = 3  # in a row, before the episode waits for its next turn
    backoff_min_s: float = 0.5
    backoff_max_s: float = 30.0

    def __post_init__(self) -> None:
        require(1 <= self.concurrency <= 16, "concurrency must lie in [1, 16]")
        require(1 <= self.put_attempts <= 100, "put_attempts must lie in [1, 100]")
        for name in ("request_timeout_s", "put_timeout_s", "backoff_min_s"):
            require(getattr(self, name) > 0, f"{name} must be positive")
        require(self.backoff_max_s >= self.backoff_min_s, "backoff_max_s must not be below backoff_min_s")


PUBLIC_KEY = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class PolicyConfig:
    device: str = "cpu"
    torch_threads: int = 1
    cache_bytes: int = 4 * 1024**3
    fetch_timeout_s: float = 30.0  # for one read of one download
    fetch_attempts: int = 5  # of one part, each going on where the last one stopped
    fetch_connections: int = 4  # of one download, each with a part at a time
    fetch_part_bytes: int = 8 * 1024**2
    fetch_part_timeout_s: float = 120.0  # for one part, without the time that the robot's own rate makes it wait
    fetch_rate_bytes_s: float = 25e6  # of all downloads together
    fetch_rate_watched_bytes_s: float = 2e6  # while somebody watches or drives
    fetch_later_max_s: float = 300.0  # a server that says "later" is asked again after this at the latest
    backoff_min_s: float = 0.5
    backoff_max_s: float = 30.0
    unsigned: str = "never"  # load unsigned versions: never, without_keys (while no key is known), always
    public_keys: tuple[str, ...] = ()  # hex of Ed25519; then these alone are trusted, whatever the server says
    hold_poll_s: float = 1.0  # how often a local `revert` is looked for

    def __post_init__(self) -> None:
        require(self.unsigned in ("never", "without_keys", "always"), "unsigned is never, without_keys or always")
        require(all(PUBLIC_KEY.fullmatch(key) for key in self.public_keys), "public_keys are 64 hex digits each")
        require(self.hold_poll_s > 0, "hold_poll_s must be positive")
        require(self.torch_threads >= 1, "torch_threads must be at least 1")
        require(self.cache_bytes > 0, "cache_bytes must be positive")
        for name in ("fetch_timeout_s", "fetch_part_timeout_s", "fetch_later_max_s"):
            require(getattr(self, name) > 0, f"{name} must be positive")
        rates = 10_000 <= self.fetch_rate_watched_bytes_s <= self.fetch_rate_bytes_s
        require(rates, "fetch rates must be at least 10000 bytes a second, the one while watched not above the other")
        require(1 <= self.fetch_connections <= 16, "fetch_connections must lie in [1, 16]")
        require(65536 <= self.fetch_part_bytes <= 1024**3, "fetch_part_bytes must lie in [64 KiB, 1 GiB]")
        require(1 <= self.fetch_attempts <= 100, "fetch_attempts must lie in [1, 100]")
        require(0 < self.backoff_min_s <= self.backoff_max_s, "backoff bounds must be positive and in order")


@dataclass(frozen=True, kw_only=True)
class ThumbnailConfig:
    is_enabled: bool = True
    period_s: float = 1.0
    width: int = 320
    height: int = 240

    def __post_init__(self) -> None:
        require(self.period_s >= 1.0, "period_s must be at least 1: one picture a second is the limit")
        require(16 <= self.width <= 1280 and 16 <= self.height <= 1280, "width and height must lie in [16, 1280]")


@dataclass(frozen=True, kw_only=True)
class MediaConfig:
    """Live video and the data channels of those who watch. Rates and sizes are upper ends: bad paths lower them."""

    fps: float = 20.0  # pictures a second of each view
    film_share: float = 0.6  # of a second that filming may spend on pictures; beyond it the pictures come slower
    film_linger_s: float = 30.0  # the cameras stay ready for this long after the last viewer left
    prefer_h264: bool = True  # VP8 otherwise, and always for a browser without H.264
    bitrate_max_bps: int = 2_500_000  # of one view
    bitrate_min_bps: int = 250_000
    vbv_s: float = 0.1  # no picture is larger than this many seconds of the bitrate: bounds the burst of a keyframe
    keyframe_interval_s: float = 10.0  # without anybody asking
    keyframe_min_s: float = 1.0  # between two keyframes on request
    loss_high: float = 0.05  # share of lost packets that lowers the rate
    loss_low: float = 0.01  # and below which it may rise
    rtt_rise_s: float = 0.15  # round trip above the path's best that lowers the rate
    adapt_down_s: float = 1.0  # between two steps down
    adapt_up_s: float = 5.0  # of a good path before a step up; doubles after a step up that failed, up to a minute
    max_views: int = 4  # of one peer
    gather_timeout_s: float = 1.5  # for STUN and TURN servers; host addresses are there at once
    answer_timeout_s: float = 10.0
    connect_timeout_s: float = 15.0  # from the answer to an open connection
    silence_s: float = 8.0  # a peer that sends nothing for so long, reports of its video included, has gone
    message_rate_hz: float = 400.0  # of one peer; more are dropped before the daemon sees them
    message_burst: int = 100
    send_buffer_bytes: int = 64 * 1024  # waiting to be sent to one peer; beyond it messages are dropped
    hang_s: float = 3.0  # a media process that says nothing for so long is killed
    restart_min_s: float = 0.2
    restart_max_s: float = 10.0
    restart_limit: int = 20  # starts in a row that did not last 10 s
    time_code: bool = False  # draw the time into the picture, for benchmarks/video.py

    def __post_init__(self) -> None:
        require(1 <= self.fps <= 60, "fps must lie in [1, 60]")
        require(0 < self.film_share <= 1, "film_share must lie in (0, 1]")
        rates = 50_000 <= self.bitrate_min_bps <= self.bitrate_max_bps <= 20_000_000
        require(rates, "bitrates must lie in [50000, 20000000], the lower one first")
        require(0 <= self.loss_low < self.loss_high < 1, "0 <= loss_low < loss_high < 1 must hold")
        require(self.restart_max_s >= self.restart_min_s, "restart_max_s must not be below restart_min_s")
        counts = (self.max_views, self.message_burst, self.send_buffer_bytes, self.restart_limit)
        require(min(counts) >= 1, "bounds must be at least 1")
        for name in MEDIA_DURATIONS:
            require(getattr(self, name) > 0, f"{name} must be positive")


MEDIA_DURATIONS = (
    *("film_linger_s", "vbv_s", "keyframe_interval_s", "keyframe_min_s", "rtt_rise_s", "adapt_down_s", "adapt_up_s"),
    *("gather_timeout_s", "answer_timeout_s", "connect_timeout_s", "silence_s", "message_rate_hz", "hang_s"),
    "restart_min_s",
)


@dataclass(frozen=True, kw_only=True)
class DaemonConfig:
    """One robot. `server` None runs offline with what the state directory holds."""

    state_dir: Path
    driver: str
    server: str | None = None
    name: str = ""
    token: str | None = None  # one-time enrolment token; needed only while the state directory holds no key
    seed: int = 0
    driver_options: dict[str, Any] = field(default_factory=dict)
    control: ControlConfig = field(default_factory=ControlConfig)
    safety: SafetyConfig = field(default_factory=SafetyConfig)
    teleop: TeleopConfig = field(default_factory=TeleopConfig)
    supervisor: SupervisorConfig = field(default_factory=SupervisorConfig)
    help: HelpConfig = field(default_factory=HelpConfig)
    spool: SpoolConfig = field(default_factory=SpoolConfig)
    link: LinkConfig = field(default_factory=LinkConfig)
    upload: UploadConfig = field(default_factory=UploadConfig)
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    shadow: ShadowConfig = field(default_factory=ShadowConfig)
    thumbnail: ThumbnailConfig = field(default_factory=ThumbnailConfig)
    media: MediaConfig = field(default_factory=MediaConfig)
    log: LogConfig = field(default_factory=LogConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)

    def __post_init__(self) -> None:
        require(0 <= self.seed < 2**31, "seed must lie in [0, 2**31)")
        if self.server is not None:
            parts = urlsplit(self.server)
            require(parts.scheme in ("http", "https") and bool(parts.netloc), "server must be an http(s) URL")


def load_config(
    *, path: Path | None = None, overrides: tuple[str, ...] = (), given: dict[str, Any] | None = None
) -> DaemonConfig:
    """Read the TOML file, then `given` (top-level values of the command line), then `section.key=value` overrides.

    Raises: ConfigError on an unreadable file, an unknown key, a wrong type or a value out of range.
    """
    tree: dict[str, Any] = {}
    if path is not None:
        try:
            tree = tomllib.loads(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{path}: {error}", key="") from None
    tree.update(given or {})
    for text in overrides:
        _set(tree, text)
    _refuse_unknown(tree, DaemonConfig, "")
    try:
        return msgspec.convert(tree, DaemonConfig, dec_hook=_to_path)
    except msgspec.ValidationError as error:
        raise ConfigError(str(error), key="") from None


def _to_path(kind: type[Any], value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise NotImplementedError(f"{kind.__name__} cannot be written in TOML")


def _set(tree: dict[str, Any], text: str) -> None:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise ConfigError(f"'{text}' is not key=value", key=key)
    *sections, leaf = key.strip().split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"'{section}' in '{key}' is no section", key=key)
    tree[leaf] = _value(value.strip())


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # a bare word is a string


def _refuse_unknown(tree: dict[str, Any], kind: type[Any], prefix: str) -> None:
    fields = {item.name: item for item in dataclasses.fields(kind)}
    for key, value in tree.items():
        if key not in fields:
            known = ", ".join(sorted(fields))
            raise ConfigError(f"unknown key '{prefix}{key}'; known here: {known}", key=f"{prefix}{key}")
        factory = fields[key].default_factory
        if isinstance(factory, type) and dataclasses.is_dataclass(factory):
            if not isinstance(value, dict):
                raise ConfigError(f"'{prefix}{key}' must be a section", key=f"{prefix}{key}")
            _refuse_unknown(value, factory, f"{prefix}{key}.")
