"""Django's middleware under a real uvicorn: on the loop where it waits for nothing, in a thread where it asks rows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgiref.sync import SyncToAsync
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.contrib.staticfiles import finders

NAME, PASSWORD = "loop-admin", "a long enough password"


@pytest.fixture
def threaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What went through a thread, by name."""
    found: list[str] = []
    call = SyncToAsync.__call__

    def noted(self: Any, *args: Any, **kwargs: Any) -> Any:
        found.append(getattr(self.func, "__qualname__", ""))
        return call(self, *args, **kwargs)

    monkeypatch.setattr(SyncToAsync, "__call__", noted)
    return found


def test_a_request_that_asks_no_rows_takes_no_thread_for_middleware(server: str, threaded: list[str]) -> None:
    answer = httpx.get(f"http://{server}/objects/no/such", timeout=10)
    assert answer.status_code == 403
    assert {"x-content-type-options", "x-frame-options", "content-security-policy"} <= answer.headers.keys()
    assert not [name for name in threaded if name.endswith((".process_request", ".process_response"))]


def test_the_views_are_imported_before_the_first_request() -> None:
    """On the loop it would keep robots waiting."""
    code = "import sys, sop_web.asgi; print('fleet.api.urls' in sys.modules, 'fleet.api.objects' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.split() == ["True", "True"]


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")  # sop_web/asgi.py says why it is fine
def test_static_files_are_served(server: str) -> None:
    path = finders.find("admin/css/base.css")
    url = f"http://{server}/static/admin/css/base.css"
    answer = httpx.get(url, timeout=10)
    assert (answer.status_code, answer.content) == (200, Path(path).read_bytes())
    again = httpx.get(url, headers={"If-Modified-Since": answer.headers["last-modified"]}, timeout=10)
    assert (again.status_code, httpx.put(url, timeout=10).status_code) == (304, 405)


def test_a_session_that_changes_and_messages_are_kept(server: str, threaded: list[str]) -> None:
    get_user_model().objects.create_superuser(NAME, password=PASSWORD)
    with httpx.Client(base_url=f"http://{server}", timeout=10) as client:
        client.get("/admin/login/")

        def post(path: str, **form: str) -> int:
            return client.post(path, data={**form, "csrfmiddlewaretoken": client.cookies["csrftoken"]}).status_code

        assert client.post("/admin/login/", data={"username": NAME, "password": PASSWORD}).status_code == 403
        assert post("/admin/login/", username=NAME, password=PASSWORD) == 302
        assert Session.objects.filter(session_key=client.cookies["sessionid"]).exists()
        assert "SessionMiddleware.process_response" in threaded
        assert post("/admin/auth/group/add/", name="night shift") == 302
        assert "MessageMiddleware.process_response" in threaded
        assert "was added successfully" in client.get("/admin/auth/group/").text
        assert "was added successfully" not in client.get("/admin/auth/group/").text, "shown once"
        assert post("/admin/logout/") == 200
        assert not Session.objects.exists()
