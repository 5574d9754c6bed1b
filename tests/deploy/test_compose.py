"""The compose file: complete, pinned, with no secret of its own. Docker itself is not needed."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from sop_web.env import Environment

ROOT = Path(__file__).resolve().parents[2]
OWN_IMAGES = re.compile(r"sop-(server|robot):\d+\.\d+\.\d+")
SERVER_PROCESSES = ("migrate", "web", "worker", "hooks", "data", "beat", "learner-cpu", "learner-nvidia")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def test_every_service_is_there_with_its_profile(compose: dict[str, Any]) -> None:
    """GPU and robots come only when asked for."""
    profiles = {name: tuple(service.get("profiles", ())) for name, service in compose["services"].items()}
    assert profiles == {
        "postgres": (), "redis": (), "s3": ("s3",), "s3-bucket": ("s3",), "migrate": (),
        "web": (), "worker": (), "hooks": (), "data": (), "beat": (), "learner-cpu": (),
        "learner-nvidia": ("nvidia",), "robot": ("robots",),
    }  # fmt: skip


def test_images_are_pinned_and_restart(compose: dict[str, Any]) -> None:
    """No image floats, and every service comes back after a crash."""
    for name, service in compose["services"].items():
        assert OWN_IMAGES.fullmatch(service["image"]) or re.search(r":\d+\.\d+", service["image"]), name
        assert service["restart"] in ("unless-stopped", "on-failure"), name


def test_no_secret_has_a_default(compose: dict[str, Any]) -> None:
    """A missing password stops `docker compose`, instead of a known one being used."""
    text = (ROOT / "docker-compose.yml").read_text()
    for name in ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "SOP_SECRET_KEY"):
        assert f"${{{name}:?" in text
        assert f"${{{name}:-" not in text
    example = (ROOT / "deploy" / "env.example").read_text()
    assert re.findall(r"^(\w+(?:PASSWORD|KEY))=(.*)$", example, re.MULTILINE) == [
        ("POSTGRES_PASSWORD", ""), ("REDIS_PASSWORD", ""), ("SOP_SECRET_KEY", ""),
        ("S3_ACCESS_KEY", ""), ("S3_SECRET_KEY", ""),
    ]  # fmt: skip


def test_only_the_page_is_published_and_on_loopback(compose: dict[str, Any]) -> None:
    """PostgreSQL and Redis are reachable inside the compose network alone."""
    ports = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert ports == {"web": ["127.0.0.1:8000:8000"]}


def test_server_processes_share_one_environment(compose: dict[str, Any]) -> None:
    """Every server process gets what sop_web/env.py requires, and all get the same."""
    environments = [compose["services"][name]["environment"] for name in SERVER_PROCESSES]
    assert all(environment == environments[0] for environment in environments)
    known = {field.name for field in dataclasses.fields(Environment)}
    for name in ("DATABASE_URL", "REDIS_URL", "OBJECT_STORE_URL", "SOP_SECRET_KEY", "SOP_DATA_DIR", "SOP_PUBLIC_URL"):
        assert name in environments[0]
        assert name.removeprefix("SOP_").lower() in known


def test_nothing_starts_before_the_tables_are_there(compose: dict[str, Any]) -> None:
    """Servers wait for the migration, which waits for healthy databases."""
    services = compose["services"]
    assert set(services["migrate"]["depends_on"]) == {"postgres", "redis"}
    for name in set(SERVER_PROCESSES) - {"migrate"}:
        assert services[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}


def test_the_s3_store_knows_one_bucket_and_calls_nobody(compose: dict[str, Any]) -> None:
    """Its one identity may use the bucket that is made for it, and telemetry, on by default, is off."""
    identity = json.loads(compose["configs"]["s3"]["content"])["identities"][0]
    assert identity["actions"] == ["Read:sop", "Write:sop", "List:sop"]
    assert "-master.telemetry=false" in compose["services"]["s3"]["command"]
    assert "-name sop" in compose["services"]["s3-bucket"]["entrypoint"][-1]


def test_redis_keeps_queued_tasks(compose: dict[str, Any]) -> None:
    """The append-only file is on."""
    command = compose["services"]["redis"]["command"]
    assert command[command.index("--appendonly") + 1] == "yes"


def test_the_robot_image_carries_no_web_stack() -> None:
    """The robot's stage copies neither Django code nor the server's requirements."""
    stage = (ROOT / "Dockerfile").read_text().split("AS robot")[1]
    assert "COPY requirements.txt" not in stage
    assert "sop_web" not in stage
    assert "fleet/models" not in stage
