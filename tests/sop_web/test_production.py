"""Production as it answers: HTTPS alone, kept to for a year, cookies that leave by HTTPS alone, checks clean."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import json, django
django.setup()
from django.conf import settings
from django.test import Client
def shown(answer):
    wanted = ("Strict-Transport-Security", "Location", "Content-Security-Policy", "X-Frame-Options",
              "X-Content-Type-Options", "Referrer-Policy", "X-Request-ID")
    cookies = {name: [bool(c["secure"]), bool(c["httponly"]), c["samesite"]] for name, c in answer.cookies.items()}
    return {"status": answer.status_code, "cookies": cookies, **{name: answer.headers.get(name) for name in wanted}}
client = Client(headers={"host": "fleet.example"})
print(json.dumps({
    "plain": shown(client.get("/api/v1/session")),
    "secure": shown(client.get("/api/v1/session", secure=True)),
    "forged": shown(client.get("/api/v1/session", headers={"x-forwarded-proto": "https"})),
    "other host": shown(client.get("/api/v1/session", secure=True, headers={"host": "evil.example"})),
    "ready": shown(client.get("/readyz")),
    "session cookie": [getattr(settings, f"SESSION_COOKIE_{name}") for name in ("SECURE", "HTTPONLY", "SAMESITE")],
}))
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "sop_web.settings.production",
        "SOP_SECRET_KEY": "aB3-dE6_gH9" * 6,
        "SOP_PUBLIC_URL": "https://fleet.example",
        "SOP_ALLOWED_HOSTS": "fleet.example",
        "SOP_DATA_DIR": str(tmp_path_factory.mktemp("data")),
    }


def test_answers_of_production(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM], cwd=ROOT, env=environment, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["plain"]["status"], found["plain"]["Location"]) == (301, "https://fleet.example/api/v1/session")
    secure = found["secure"]
    assert secure["status"] == 200 and secure["Strict-Transport-Security"] == "max-age=31536000"
    assert (
        "default-src 'self'" in secure["Content-Security-Policy"]
        and "script-src" not in secure["Content-Security-Policy"]
    )
    assert secure["X-Frame-Options"] == "DENY" and secure["X-Content-Type-Options"] == "nosniff"
    assert secure["Referrer-Policy"] == "same-origin" and len(secure["X-Request-ID"]) == 32
    assert secure["cookies"]["csrftoken"] == [True, False, "Lax"]
    assert found["session cookie"] == [True, True, "Lax"]
    assert found["other host"]["status"] == 400
    assert found["ready"]["status"] in (200, 503) and found["ready"]["Location"] is None
    assert found["forged"]["status"] == 200  # the proxy in front sets this header; nginx drops the client's own


def test_django_finds_nothing_to_say_about_production(environment: dict[str, str]) -> None:
    command = [
        sys.executable,
        "-W",
        "ignore",
        "manage.py",
        "check",
        "--deploy",
        "--fail-level",
        "WARNING",
        "--tag",
        "security",
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
