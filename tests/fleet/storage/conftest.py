"""The object stores under test: a folder, and a bucket of a real S3 server that starts once a run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import boto3
import httpx
import pytest

from fleet.storage import ObjectStore, open_store
from tests.fleet.storage.seaweed import (
    ACCESS_KEY,
    ADMIN_ACCESS_KEY,
    ADMIN_SECRET_KEY,
    BUCKET,
    SECRET_KEY,
    SeaweedServer,
    run_seaweed,
)
from tests.fleet.storage.served import Served

_prefixes = itertools.count(1)


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedServer]:
    with run_seaweed(tmp_path_factory.mktemp("seaweed")) as server:
        credentials = {"aws_access_key_id": ADMIN_ACCESS_KEY, "aws_secret_access_key": ADMIN_SECRET_KEY}
        client = boto3.client("s3", endpoint_url=server.endpoint, region_name="us-east-1", **credentials)
        client.create_bucket(Bucket=BUCKET)
        client.close()
        yield server


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' credentials, and nothing of this machine's own."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def s3_url(seaweed: SeaweedServer, aws: None) -> str:
    """OBJECT_STORE_URL of a prefix that nothing was stored under."""
    return f"s3://{BUCKET}/test-{next(_prefixes)}/deep?endpoint={seaweed.endpoint}&region=us-east-1"


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest) -> ObjectStore:
    if request.param == "s3":
        return open_store(request.getfixturevalue("s3_url"))
    return open_store(f"file://{request.getfixturevalue('tmp_path')}/objects", signing_key=b"k" * 32)


@pytest.fixture(params=["local", "s3"])
def served(request: pytest.FixtureRequest) -> Any:
    if request.param == "s3":
        base, store = "http://127.0.0.1:9", open_store(request.getfixturevalue("s3_url"))  # its URLs are absolute
    else:
        base, store = f"http://{request.getfixturevalue('server')}", request.getfixturevalue("objects")
    with httpx.Client(base_url=base, timeout=10) as http:
        yield Served(store, http)
