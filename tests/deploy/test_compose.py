"""The compose file: complete, pinned, hardened, with no secret of its own. Docker itself is not needed."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from learner.policies.architectures.lerobot.config import ARCHITECTURE
from sop_web.env import read_environment
from sop_web.secret_files import SECRET_NAMES
from sop_web.unsafe import unsafe_values

ROOT = Path(__file__).resolve().parents[2]
PINNED = re.compile(r"[a-z0-9./-]+:v?\d+\.\d+(\.\d+)?(-[a-z]+)?")
SERVER_PROCESSES = ("migrate", "web", "worker", "hooks", "data", "beat", "learner-cpu", "learner-nvidia",
                    "learner-lerobot", "learner-lerobot-nvidia", "exporter")  # fmt: skip
# Once, not for ever; and why each of these runs without a health check.
ONE_SHOT = {"migrate", "s3-bucket"}
NO_HEALTH = {
    "learner-cpu": "a solo worker answers nothing while it trains; fleet.reap watches its rounds",
    "learner-nvidia": "as learner-cpu",
    "learner-lerobot": "as learner-cpu",
    "learner-lerobot-nvidia": "as learner-cpu",
    "robot": "its heartbeat is what the fleet page shows",
}
IMAGES = {"server": "sop-server", "robot": "sop-robot", "learner-lerobot": "sop-learner-lerobot"}  # by their stage
OWN_HARDENING = {"s3", "s3-bucket"}  # the image gives up root by itself, which needs capabilities until then


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


@pytest.fixture(scope="module")
def secrets_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `deploy/configure` makes."""
    folder = tmp_path_factory.mktemp("configure") / "secrets"
    done = _configure(folder, "fleet.example", "192.0.2.7", "--self-signed")
    assert done.returncode == 0, done.stderr
    return folder


def _configure(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / "deploy" / "configure"), *arguments]
    environment = {**os.environ, "SOP_SECRETS_DIR": str(folder)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def test_every_service_is_there_with_its_profile(compose: dict[str, Any]) -> None:
    """GPU, bucket, relay and robots come only when asked for."""
    profiles = {name: tuple(service.get("profiles", ())) for name, service in compose["services"].items()}
    assert profiles == {
        "postgres": (), "redis": (), "s3": ("s3",), "s3-bucket": ("s3",), "migrate": (),
        "web": (), "worker": (), "hooks": (), "data": (), "beat": (), "learner-cpu": (), "nginx": (), "exporter": (),
        "learner-nvidia": ("nvidia",), "learner-lerobot": ("lerobot",), "learner-lerobot-nvidia": ("lerobot-nvidia",),
        "coturn": ("turn",), "robot": ("robots",),
    }  # fmt: skip


def test_images_are_pinned_and_restart(compose: dict[str, Any]) -> None:
    """No image floats, every service comes back after a crash, and ours carry the release's number."""
    release = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for name, service in compose["services"].items():
        assert PINNED.fullmatch(service["image"]), name
        assert service["restart"] == ("on-failure" if name in ONE_SHOT else "unless-stopped"), name
        if "build" in service:
            assert service["image"] == f"{IMAGES[service['build']['target']]}:{release}", name


def test_every_stage_of_the_images_is_pinned_and_runs_without_root() -> None:
    """Base images carry a patch number; all images end as user sop; nothing that compiles is in them."""
    text = (ROOT / "Dockerfile").read_text()
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", text, re.MULTILINE)
    named = {name for _, name in stages}
    for base, name in stages:
        assert base in named or re.fullmatch(r"(python:3\.1[12]\.\d+|node:20\.\d+)-(slim-)?bookworm(-slim)?", base), (
            name
        )
    for name in IMAGES:
        stage = re.split(rf"^FROM \S+ AS {name}$", text, flags=re.MULTILINE)[1].split("\nFROM ")[0]
        assert re.findall(r"^USER (\S+)$", stage, re.MULTILINE) == ["sop"]
        assert "pip install" not in stage and "npm" not in stage


def test_what_the_images_copy_is_in_the_repository() -> None:
    """A path that was renamed would break only where Docker runs."""
    ignored = (ROOT / ".dockerignore").read_text().split()
    for line in re.findall(r"^COPY (?!--from)(.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE):
        for path in line.split()[:-1]:
            assert (ROOT / path).exists(), path
            assert path.rstrip("/") not in ignored, path
    assert {".git", "var", "deploy/secrets", ".env"} <= set(ignored)


def test_services_are_hardened(compose: dict[str, Any]) -> None:
    """No root, no capability, no new privilege, no writable file but volumes and /tmp."""
    for name, service in compose["services"].items():
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service and service.get("network_mode") is None, name
        if name in OWN_HARDENING:
            continue
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"] and "/tmp" in service["tmpfs"], name
        # coturn's image gives its program this one as a file capability: without it the kernel refuses to start it.
        assert service.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "coturn" else []), name
        assert "build" in service or service["user"] not in ("root", "0", "0:0"), name


def test_who_publishes_and_on_loopback_unless_told(compose: dict[str, Any]) -> None:
    """PostgreSQL, Redis and the bucket are on a network without a way out or in; metrics never leave the host."""
    ports = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert ports.pop("exporter") == ["127.0.0.1:9464:9464"]
    assert set(ports) == {"nginx", "coturn"}
    assert all(port.startswith("${SOP_BIND:-127.0.0.1}:") for each in ports.values() for port in each)
    assert compose["networks"]["back"] == {"internal": True}
    for name in ("postgres", "redis", "s3", "s3-bucket"):
        assert compose["services"][name]["networks"] == ["back"], name
    assert compose["services"]["coturn"]["networks"] == ["turn"]
    assert compose["services"]["robot"]["networks"] == ["front"]


def test_containers_reach_the_public_name_by_its_ports(compose: dict[str, Any]) -> None:
    """Robots beside it dial the address that the world has: nginx listens inside on what it publishes, without root."""
    nginx = compose["services"]["nginx"]
    ports = [port.rsplit(":", 2)[1:] for port in nginx["ports"]]
    assert [outside for outside, _ in ports] == [inside for _, inside in ports] == ["80", "443", "9443"]
    assert nginx["networks"]["front"]["aliases"] == ["${SOP_DOMAIN}"]
    assert nginx["sysctls"] == {"net.ipv4.ip_unprivileged_port_start": "0"}
    listened = re.findall(r"^\s+listen (\d+)", (ROOT / "deploy/nginx/nginx.conf").read_text(), re.MULTILINE)
    assert listened == ["80", "443", "9443"]


def test_no_secret_stands_in_an_environment(compose: dict[str, Any]) -> None:
    """Neither the file nor .env holds one; containers get the files they need and no others."""
    text = (ROOT / "docker-compose.yml").read_text()
    assert not re.search(r"\$\{\w*(PASSWORD|SECRET|ACCESS_KEY)", text)
    assert not re.search(
        r"^(?!ROBOT_)\w*(PASSWORD|SECRET|KEY)\w*=", (ROOT / "deploy" / "env.example").read_text(), re.M
    )
    used = {name: set(service.get("secrets", ())) for name, service in compose["services"].items()}
    assert set.union(*used.values()) == set(compose["secrets"])
    assert {name for name, secrets in used.items() if "tls_key" in secrets} == {"nginx", "coturn"}
    assert {name for name, secrets in used.items() if "database_url" in secrets} == set(SERVER_PROCESSES)
    assert used["robot"] == {"ca"}
    assert "deploy/secrets/" in (ROOT / ".gitignore").read_text().split()


def test_configure_makes_every_secret_once(compose: dict[str, Any], secrets_folder: Path) -> None:
    """A second run replaces nothing; the folder is closed; what belongs together fits."""
    names = {Path(secret["file"]).name for secret in compose["secrets"].values()}
    assert {path.name for path in secrets_folder.iterdir()} == names
    assert secrets_folder.stat().st_mode & 0o777 == 0o700
    before = {path.name: path.read_bytes() for path in secrets_folder.iterdir()}
    again = _configure(secrets_folder, "fleet.example", "192.0.2.7", "--self-signed")
    assert again.returncode == 2 and "has secrets already" in again.stderr
    assert {path.name: path.read_bytes() for path in secrets_folder.iterdir()} == before
    read = {name: content.decode() for name, content in before.items()}
    assert len(read["metrics_token"]) >= 20 and read["smtp_url"] == ""
    assert read["postgres_password"] in read["database_url"]
    assert f"requirepass {read['redis_password']}\nappendonly yes" in read["redis.conf"]
    assert f"static-auth-secret={read['turn_secret']}\n" in read["turnserver.conf"]
    assert "external-ip=192.0.2.7\n" in read["turnserver.conf"] and "@" not in read["turnserver.conf"].split("\n", 2)[2]
    identity = yaml.safe_load(read["s3.json"])["identities"][0]
    assert identity["actions"] == ["Read:sop", "Write:sop", "List:sop"]
    assert identity["credentials"][0]["secretKey"] in read["aws_credentials"]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("fleet.example",),
        ("bad host", "192.0.2.7"),
        ("fleet.example", "here"),
        ("f.example", "192.0.2.7", "--other"),
    ],
)
def test_configure_refuses_what_it_does_not_understand(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = _configure(tmp_path / "secrets", *arguments)
    assert done.returncode == 2 and done.stderr
    assert not (tmp_path / "secrets").exists()


def test_production_starts_with_what_compose_gives(compose: dict[str, Any], secrets_folder: Path) -> None:
    """The server processes share one environment, and the settings find nothing missing or unsafe in it."""
    environments = [compose["services"][name]["environment"] for name in SERVER_PROCESSES]
    assert all(environment == environments[0] for environment in environments)
    files = {
        f"/run/secrets/{name}": secrets_folder / Path(entry["file"]).name for name, entry in compose["secrets"].items()
    }
    values = {name: _filled(str(value), {"SOP_DOMAIN": "fleet.example"}) for name, value in environments[0].items()}
    values = {name: str(files.get(value, value)) for name, value in values.items()}
    assert {f"{name}_FILE" for name in SECRET_NAMES} <= set(values)
    found = read_environment(values)
    assert unsafe_values(found) == []
    assert values["DJANGO_SETTINGS_MODULE"] == "sop_web.settings.production"
    assert (found.public_url, found.allowed_hosts) == ("https://fleet.example", ("fleet.example",))
    assert found.smtp_url == "" and found.metrics_token == (secrets_folder / "metrics_token").read_text()
    assert str(found.metrics_dir) == "/data/metrics" and "data:/data" in compose["services"]["exporter"]["volumes"]


def _filled(text: str, given: dict[str, str]) -> str:
    """Do as Compose does with ${NAME}, ${NAME:-default} and ${NAME:?message}."""

    def value(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        assert name in given or kind == ":-", f"{name} is not set"
        return given.get(name) or rest

    return re.sub(r"\$\{(\w+)(?:(:-|:\?)([^}]*))?\}", value, text)


def test_every_variable_is_explained(compose: dict[str, Any]) -> None:
    """What the file reads from .env stands in the example."""
    read = set(re.findall(r"(?<!\$)\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
    explained = set(re.findall(r"^(?:# )?(\w+)=", (ROOT / "deploy" / "env.example").read_text(), re.MULTILINE))
    assert read == explained


def test_health_says_whether_the_work_is_done(compose: dict[str, Any]) -> None:
    """Every service that stays has a check, or stands above with the reason."""
    services = compose["services"]
    without = {name for name, service in services.items() if "healthcheck" not in service}
    assert without == ONE_SHOT | set(NO_HEALTH)
    for name in set(services) - without:
        assert {"test", "interval", "timeout", "retries"} <= set(services[name]["healthcheck"]), name
    assert services["web"]["healthcheck"]["test"][-2:] == ["web", "/readyz"]
    assert "/healthz" in services["nginx"]["healthcheck"]["test"][1]
    assert services["exporter"]["healthcheck"]["test"][-1] == "exporter"


def test_nothing_starts_before_what_it_needs(compose: dict[str, Any]) -> None:
    """Servers wait for the migration, which waits for healthy databases; robots for nginx."""
    services = compose["services"]
    healthy = {"condition": "service_healthy"}
    assert services["migrate"]["depends_on"] == {"postgres": healthy, "redis": healthy}
    for name in set(SERVER_PROCESSES) - {"migrate"}:
        assert services[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    # Not healthy: web is ready only if its store answers, and a bucket is reached through nginx.
    assert services["nginx"]["depends_on"] == {"web": {"condition": "service_started"}}
    assert services["robot"]["depends_on"] == {"nginx": healthy}
    assert services["s3-bucket"]["depends_on"] == {"s3": healthy}


def test_volumes_are_named_and_used(compose: dict[str, Any]) -> None:
    """Data outlives its container, and the host's own files are mounted for reading alone."""
    mounted = [volume for service in compose["services"].values() for volume in service.get("volumes", ())]
    assert {volume.split(":")[0] for volume in mounted if not volume.startswith(".")} == set(compose["volumes"])
    assert all(volume.endswith(":ro") for volume in mounted if volume.startswith("."))


def test_the_s3_store_calls_nobody_and_is_reached_through_tls(compose: dict[str, Any]) -> None:
    """Telemetry, on by default, is off; signed URLs name nginx, which server and robots reach by the host's name."""
    services = compose["services"]
    assert "-master.telemetry=false" in services["s3"]["command"]
    assert "-name sop" in services["s3-bucket"]["entrypoint"][-1]
    assert services["nginx"]["networks"]["front"] == {"aliases": ["${SOP_DOMAIN}"]}


def test_the_gpu_is_asked_for(compose: dict[str, Any]) -> None:
    for name in ("learner-nvidia", "learner-lerobot-nvidia"):
        devices = compose["services"][name]["deploy"]["resources"]["reservations"]["devices"]
        assert devices == [{"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}]


def test_lerobots_policies_go_where_their_learner_listens(compose: dict[str, Any]) -> None:
    """The queue of the example in env.example is the one of these workers, and of no other."""
    example = (ROOT / "deploy" / "env.example").read_text()
    found = re.search(r"^# (SOP_LEARNER_QUEUES)=(.+)$", example, re.MULTILINE)
    assert found is not None
    assert read_environment({found[1]: found[2]}).learner_queues == {ARCHITECTURE: "learner-lerobot"}
    listening = {
        name for name, service in compose["services"].items() if "learner-lerobot" in service.get("command", ())
    }
    assert listening == {"learner-lerobot", "learner-lerobot-nvidia"}


def test_the_robot_image_carries_no_web_stack() -> None:
    """The robot's stages copy neither Django code nor the server's requirements."""
    text = (ROOT / "Dockerfile").read_text()
    for stage in (text.split("AS robot-packages")[1].split("\nFROM ")[0], text.split("AS robot\n")[1]):
        assert "COPY requirements.txt" not in stage
        assert "sop_web" not in stage
        assert "fleet/models" not in stage
