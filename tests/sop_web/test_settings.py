"""Configuration: what the environment means, and what production refuses."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from typing import Any

import pytest

from sop_web.env import EnvironmentInvalid, database_settings, read_environment
from sop_web.logs import JsonFormatter, TextFormatter

SAFE = {
    "SOP_SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOP",
    "DATABASE_URL": "postgresql://u:q8Zr2Lw5Xv7Kt1Mn@db/sop",
    "REDIS_URL": "redis://:q8Zr2Lw5Xv7Kt1Mn@redis:6379/0",
    "SOP_PUBLIC_URL": "https://fleet.example",
    "SOP_ALLOWED_HOSTS": "fleet.example",
}


def _start(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    code = "import django; django.setup(); from django.conf import settings; print(settings.DEBUG)"
    env = {"PATH": "/usr/bin:/bin", "DJANGO_SETTINGS_MODULE": "sop_web.settings.production", **environment}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)


def test_production_starts_with_safe_values() -> None:
    done = _start(SAFE)
    assert (done.returncode, done.stdout.strip()) == (0, "False"), done.stderr


def test_production_names_every_unsafe_value() -> None:
    done = _start({"SOP_DEBUG": "1", "SOP_ALLOWED_HOSTS": "*"})
    assert done.returncode != 0
    for name in ("SOP_SECRET_KEY", "DATABASE_URL", "REDIS_URL", "SOP_DEBUG", "SOP_PUBLIC_URL", "SOP_ALLOWED_HOSTS"):
        assert name in done.stderr


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p%40ss@host:5433/db", ("db", "u", "p@ss", "host", "5433")),
        ("postgres://postgres:@/postgres?host=/tmp/pg", ("postgres", "postgres", "", "/tmp/pg", "")),
        ("", ("sop", "", "", "", "")),
    ],
)
def test_database_url(url: str, expected: tuple[str, ...]) -> None:
    found = database_settings(url)
    assert tuple(found[key] for key in ("NAME", "USER", "PASSWORD", "HOST", "PORT")) == expected


def test_a_database_behind_a_dead_path_is_given_up_within_half_a_minute() -> None:
    """By keepalives while nothing is asked, by the age of what nobody acknowledged otherwise; a URL may say else."""
    found = database_settings("postgresql://h/sop")["OPTIONS"]
    assert isinstance(found, dict)
    assert found["keepalives_idle"] + found["keepalives_interval"] * found["keepalives_count"] <= 30
    assert found["tcp_user_timeout"] == 30_000
    chosen = database_settings("postgresql://h/sop?tcp_user_timeout=5000")["OPTIONS"]
    assert isinstance(chosen, dict) and chosen["tcp_user_timeout"] == "5000"


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite:///x", "postgresql://h:port/x"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(EnvironmentInvalid, match="DATABASE_URL"):
        database_settings(url)


@pytest.mark.parametrize("value", ["soon", "0", "-1", "nan", "inf", "5.1"])
def test_impossible_seconds_are_refused(value: str) -> None:
    with pytest.raises(EnvironmentInvalid, match="SOP_LEASE_S"):
        read_environment({"SOP_LEASE_S": value})


@pytest.mark.parametrize("value", ["99", "-5", "many", "1e4", "٣٠٠"])
def test_impossible_counts_are_refused(value: str) -> None:
    with pytest.raises(EnvironmentInvalid, match="SOP_RUN_METRIC_ROWS"):
        read_environment({"SOP_RUN_METRIC_ROWS": value})


def test_count_has_a_default() -> None:
    assert read_environment({}).run_metric_rows == 8000
    assert read_environment({"SOP_RUN_METRIC_ROWS": "500"}).run_metric_rows == 500


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SOP_PATCH_VERSIONS", "0"),
        ("SOP_EGRESS_DOWNLOADS", "0"),
        ("SOP_EGRESS_BYTES_S", "99999"),
        ("SOP_EGRESS_RETRY_S", "61"),
    ],
)
def test_impossible_limits_of_downloads_are_refused(name: str, value: str) -> None:
    with pytest.raises(EnvironmentInvalid, match=name):
        read_environment({name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("SOP_HELP_RANKING", "loudest"), ("SOP_HELP_RISK_WEIGHT", "1.5"), ("SOP_HELP_RISK_WEIGHT", "much")],
)
def test_impossible_rules_of_the_help_queue_are_refused(name: str, value: str) -> None:
    with pytest.raises(EnvironmentInvalid, match=name):
        read_environment({name: value})


def test_the_help_queue_has_defaults() -> None:
    found = read_environment({"SOP_HELP_RANKING": "fifo"})
    assert (found.help_ranking, found.help_risk_weight, found.help_pin_s) == ("fifo", 0.5, 5.0)
    assert read_environment({}).help_ranking == "cur"


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "{}",
        '[{"urls": []}]',
        '[{"urls": "stun:one"}]',
        '[{"urls": ["https://one"]}]',
        '[{"urls": ["stun:one"], "password": "x"}]',
        '[{"urls": ["turns:no.secret"]}]',
    ],
)
def test_impossible_ice_servers_are_refused(text: str) -> None:
    with pytest.raises(EnvironmentInvalid, match="SOP_ICE_SERVERS"):
        read_environment({"SOP_ICE_SERVERS": text})


def test_ice_servers_are_read() -> None:
    text = '[{"urls": ["stun:one"]}, {"urls": ["turn:two"]}]'
    found = read_environment({"SOP_ICE_SERVERS": text, "SOP_TURN_SECRET": "s", "SOP_TURN_TTL_S": "60"})
    assert [server.urls for server in found.ice_servers] == [("stun:one",), ("turn:two",)]
    assert (found.turn_secret, found.turn_ttl_s) == ("s", 60.0)
    assert read_environment({}).ice_servers == ()


@pytest.mark.parametrize(
    "text",
    [
        "{", "[]", '{"lab": 5}', '{"../x": "s3://bucket"}', '{"lab": "http://bucket"}', '{"lab": "file:///etc"}',
        '{"lab": "s3://bucket?endpoint=http://h&key=secret"}', '{"lab": "s3://key:secret@bucket"}',
    ],
)  # fmt: skip
def test_impossible_export_destinations_are_refused(text: str) -> None:
    with pytest.raises(EnvironmentInvalid, match="SOP_EXPORT_DESTINATIONS") as error:
        read_environment({"SOP_EXPORT_DESTINATIONS": text})
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("text", ["{", "[]", '{"lerobot.v1": 5}', '{"lerobot.v1": "fleet"}', '{"a": "learner/../x"}'])
def test_impossible_queues_of_learners_are_refused(text: str) -> None:
    with pytest.raises(EnvironmentInvalid, match="SOP_LEARNER_QUEUES"):
        read_environment({"SOP_LEARNER_QUEUES": text})


def test_export_destinations_are_read() -> None:
    lab = "s3://lab-bucket/sop?endpoint=http://127.0.0.1:8333&region=us-east-1"
    assert read_environment({"SOP_EXPORT_DESTINATIONS": f'{{"lab": "{lab}"}}'}).export_destinations == {"lab": lab}
    assert read_environment({}).export_destinations == {}


def test_defaults_are_for_loopback() -> None:
    found = read_environment({})
    assert found.allowed_hosts == ("127.0.0.1", "localhost", "[::1]")
    assert (found.public_url, found.is_debug, found.heartbeat_s) == ("http://127.0.0.1:8000", False, 2.0)
    assert found.object_store_url == f"file://{found.data_dir}/objects"


def test_traps_of_the_broker_stay_settled(settings: Any) -> None:
    """Each of these cost lost or doubled tasks when measured (machine.md 6)."""
    assert settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"] > settings.CELERY_TASK_TIME_LIMIT
    round_options = settings.CELERY_TASK_ANNOTATIONS["learner.train_round"]
    assert settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"] > round_options["time_limit"]
    # An export takes hours: it must not wait for the broker to find its worker dead, nor be delivered twice meanwhile.
    assert settings.CELERY_TASK_ANNOTATIONS["fleet.export_run"]["acks_late"] is False
    clean = settings.CELERY_TASK_ANNOTATIONS["fleet.export_clean"]
    assert settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"] > clean["time_limit"]
    assert not settings.CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS
    assert settings.CELERY_TASK_ACKS_LATE and settings.CELERY_TASK_REJECT_ON_WORKER_LOST
    assert settings.CELERY_WORKER_PREFETCH_MULTIPLIER == 1
    assert settings.CHANNEL_LAYERS["default"]["CONFIG"]["hosts"][0]["max_connections"] >= 5000


def test_celery_knows_the_settings_under_their_own_names() -> None:
    """A misspelt CELERY_ name would be ignored in silence."""
    from sop_web.celery import app

    assert app.conf.worker_cancel_long_running_tasks_on_connection_loss is False
    assert (app.conf.task_acks_late, app.conf.worker_prefetch_multiplier) == (True, 1)
    assert app.conf.broker_transport_options["unacked_restore_interval"] == 5
    assert app.conf.task_annotations["learner.train_round"]["acks_late"] is False


def test_log_lines_carry_their_fields() -> None:
    record = logging.LogRecord("fleet", logging.INFO, __file__, 1, "robot joined", None, None)
    record.event = {"robot": "r1", "seq": 3}
    assert TextFormatter().format(record).endswith("INFO    fleet robot joined robot=r1 seq=3")
    line = json.loads(JsonFormatter().format(record))
    assert (line["message"], line["robot"], line["seq"], line["level"]) == ("robot joined", "r1", 3, "INFO")


def test_import_bounds_are_read_and_roots_must_be_folders() -> None:
    bounds = read_environment({"SOP_IMPORT_ROOTS": "/data/sets:/nas", "SOP_IMPORT_ARCHIVE_BYTES": "1000"}).imports
    assert ([str(root) for root in bounds.roots], bounds.archive_bytes) == (["/data/sets", "/nas"], 1000)
    assert read_environment({}).imports.roots == ()
    for values in ({"SOP_IMPORT_ROOTS": "sets"}, {"SOP_IMPORT_ROOTS": "/"}, {"SOP_IMPORT_RATIO": "0"}):
        with pytest.raises(EnvironmentInvalid):
            read_environment(values)
