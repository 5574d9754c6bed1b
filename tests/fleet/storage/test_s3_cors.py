"""Uploads by the browser: what it asks a real S3 server beforehand, and what `manage.py store_cors` makes it answer."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from typing import Any

import boto3
import httpx
import pytest
from django.core.management import CommandError, call_command

from fleet.storage import open_store
from fleet.storage.base import SignedPut
from fleet.storage.s3 import CORS_RULE
from tests.fleet.storage.seaweed import ADMIN_ACCESS_KEY, ADMIN_SECRET_KEY, BUCKET, SeaweedServer

CONSOLE, STRANGER = "https://fleet.example", "https://elsewhere.example"
DATA = b"an archive" * 100
SET_BY_BROWSER = ("content-length", "host")  # as frontend/src/features/imports/api/upload.ts


@pytest.fixture
def admin(seaweed: SeaweedServer) -> Iterator[Any]:
    """The bucket's owner; the rules are gone afterwards."""
    keys = {"aws_access_key_id": ADMIN_ACCESS_KEY, "aws_secret_access_key": ADMIN_SECRET_KEY}
    client = boto3.client("s3", endpoint_url=seaweed.endpoint, region_name="us-east-1", **keys)
    yield client
    client.delete_bucket_cors(Bucket=BUCKET)
    client.close()


@pytest.fixture
def bucket(settings: Any, s3_url: str, admin: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """The server's store is the bucket, and the command has its owner's credentials."""
    settings.SOP_OBJECT_STORE_URL = s3_url
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ADMIN_ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", ADMIN_SECRET_KEY)
    return s3_url


def store_cors(*arguments: str) -> str:
    out = io.StringIO()
    call_command("store_cors", *arguments, stdout=out)
    return out.getvalue()


def signed_put(url: str, key: str) -> SignedPut:
    return open_store(url).sign_put(key, size=len(DATA), sha256=hashlib.sha256(DATA).hexdigest(), expires_s=60)


def preflight(signed: SignedPut, origin: str) -> httpx.Response:
    """Ask as a browser does before it sends: method and headers in lower case and order, without credentials."""
    names = sorted(name.lower() for name in signed.headers if name.lower() not in SET_BY_BROWSER)
    asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": ",".join(names)}
    return httpx.options(signed.url, headers={"Origin": origin, **asked}, timeout=20)


def test_a_page_of_the_console_may_put_and_no_other(bucket: str) -> None:
    """The browser's question is answered for every header of the upload; the PUT passes with the checksum."""
    assert CONSOLE in store_cors("--origin", CONSOLE)
    signed = signed_put(bucket, "archive")
    allowed = preflight(signed, CONSOLE)
    assert allowed.status_code == 200
    assert allowed.headers["Access-Control-Allow-Origin"] == CONSOLE
    assert "PUT" in allowed.headers["Access-Control-Allow-Methods"]
    names = {name.strip().lower() for name in allowed.headers["Access-Control-Allow-Headers"].split(",")}
    assert {name.lower() for name in signed.headers} - set(SET_BY_BROWSER) <= names
    answer = httpx.put(signed.url, headers={**signed.headers, "Origin": CONSOLE}, content=DATA, timeout=20)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, CONSOLE)
    assert open_store(bucket).get("archive") == DATA
    again = httpx.put(signed.url, headers={**signed.headers, "Origin": CONSOLE}, content=DATA, timeout=20)
    assert again.status_code == 412, "which the console takes for: it is there"
    refused = preflight(signed_put(bucket, "other"), STRANGER)
    assert refused.status_code == 403 and "Access-Control-Allow-Origin" not in refused.headers


def test_a_rule_does_not_weaken_the_signature(bucket: str) -> None:
    store_cors("--origin", CONSOLE)
    signed = signed_put(bucket, "wrong")
    answer = httpx.put(signed.url, headers={**signed.headers, "Origin": CONSOLE}, content=DATA[::-1], timeout=20)
    assert answer.status_code in (400, 403)
    assert not open_store(bucket).exists("wrong")


def test_other_rules_of_the_bucket_stay(bucket: str, admin: Any, settings: Any) -> None:
    """Said again the rule is there once; without --origin it is the server's own address."""
    theirs = {"ID": "theirs", "AllowedMethods": ["GET"], "AllowedOrigins": ["https://viewer.example"]}
    admin.put_bucket_cors(Bucket=BUCKET, CORSConfiguration={"CORSRules": [theirs]})
    store_cors("--origin", STRANGER)
    settings.SOP_PUBLIC_URL = CONSOLE
    store_cors()
    rules = {rule["ID"]: rule for rule in admin.get_bucket_cors(Bucket=BUCKET)["CORSRules"]}
    assert set(rules) == {"theirs", CORS_RULE}
    assert rules[CORS_RULE]["AllowedOrigins"] == [CONSOLE]


def test_the_rule_is_printed_for_who_keeps_buckets_otherwise(bucket: str, admin: Any) -> None:
    (rule,) = json.loads(store_cors("--origin", CONSOLE, "--print"))["CORSRules"]
    assert (rule["AllowedOrigins"], rule["AllowedMethods"]) == ([CONSOLE], ["PUT"])
    with pytest.raises(admin.exceptions.ClientError, match="NoSuchCORSConfiguration"):
        admin.get_bucket_cors(Bucket=BUCKET)


@pytest.mark.parametrize("origin", ["*", "fleet.example", "https://fleet.example/", "https://a b", "null", ""])
def test_no_rule_for_everybody_or_for_nonsense(bucket: str, origin: str) -> None:
    with pytest.raises(CommandError, match="--origin"):
        store_cors("--origin", origin)


def test_a_folder_needs_none(settings: Any, tmp_path: Any) -> None:
    settings.SOP_OBJECT_STORE_URL = f"file://{tmp_path}/objects"
    with pytest.raises(CommandError, match="is a folder"):
        store_cors("--origin", CONSOLE)
