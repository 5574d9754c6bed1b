"""The committed description of the API is that of the code, whole, and served."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command
from django.test import Client

from fleet.api.error_catalog import error_catalog, error_kinds
from fleet.management.commands import api_reference
from fleet.scopes import Scope

DOCS = Path(__file__).resolve().parents[3] / "docs"


@pytest.fixture(scope="module")
def schema() -> Any:
    return yaml.safe_load(api_reference.openapi_yaml())


def _operations(schema: Any) -> list[tuple[str, str, Any]]:
    return [(path, method, each) for path, methods in schema["paths"].items() for method, each in methods.items()]


def test_the_check_names_what_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_reference, "DOCS", tmp_path)
    with pytest.raises(CommandError, match=r"openapi\.yaml and api-errors\.md and access\.md differ"):
        call_command("api_reference", "--check")
    call_command("api_reference", stdout=io.StringIO())
    call_command("api_reference", "--check")
    (tmp_path / "openapi.yaml").write_text("openapi: 3.1.0\n")
    with pytest.raises(CommandError, match=r"^openapi\.yaml differ"):
        call_command("api_reference", "--check")


def test_operations_are_named_secured_and_say_how_they_refuse(schema: Any) -> None:
    assert schema["openapi"] == "3.1.0"
    operations = _operations(schema)
    ids = [each["operationId"] for _, _, each in operations]
    assert len(ids) > 50 and len(set(ids)) == len(ids)
    assert {"bearer", "cookieAuth"} <= set(schema["components"]["securitySchemes"])
    scopes = {str(scope) for scope in Scope}
    for path, method, each in operations:
        assert {"429", "4XX"} <= set(each["responses"]), (path, method)
        assert "404" in each["responses"] or "{" not in path, (path, method)
        for way in each.get("security", ()):
            assert set(way.get("bearer", ())) <= scopes, (path, method)


def test_what_views_offer_is_described(schema: Any) -> None:
    listed = schema["paths"]["/api/v1/episodes"]["get"]
    names = {each["name"] for each in listed["parameters"]}
    assert {"cursor", "page_size", "sort", "fields", "task"} <= names
    assert listed["security"][0] == {"bearer": ["episodes:read"]}
    label = schema["paths"]["/api/v1/episodes/{id}/label/undo"]["post"]
    assert {"If-Match", "Idempotency-Key"} <= {each["name"] for each in label["parameters"]}
    assert {"412", "428"} <= set(label["responses"])
    tokens = schema["paths"]["/api/v1/tokens"]["post"]
    assert all("bearer" not in way for way in tokens["security"])


def test_every_code_is_listed_with_its_meaning() -> None:
    page = (DOCS / "api-errors.md").read_text()
    listed = set(re.findall(r"^\| `([a-z0-9_]+)` \|", page, re.MULTILINE))
    assert listed >= {kind.code for kind in error_kinds()}
    assert listed == {each.code for each in error_catalog()}
    assert [each.code for each in error_catalog() if each.is_http and not each.meaning] == []


@pytest.mark.django_db
def test_the_pages_need_no_other_server(client: Client) -> None:
    page = client.get("/api/docs")
    assert page.status_code == 200
    text = page.content.decode()
    assert not re.search(r"""(src|href)=["'](https?:)?//""", text)
    assert not re.search(r"<script(?![^>]*\bsrc=)", text), "the page's policy allows no inline scripts"
    for path in re.findall(r"""(?:src|href)=["']([^"']+)""", text):
        file = client.get(path.replace("&amp;", "&"))
        assert file.status_code == 200, path
        file.close()
    errors = client.get("/api/docs/errors").content.decode()
    assert '<tr id="rate_limited">' in errors
    assert client.get("/api/v1/nothing").json()["type"] == "/api/docs/errors#not_found"
