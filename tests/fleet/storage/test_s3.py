"""What is particular to S3: checksums, signed headers, configuration and outages. The rest is in test_contract.py."""

from __future__ import annotations

import hashlib
import io
import socket
import threading
import time
from urllib.parse import parse_qs, urlsplit

import boto3
import httpx
import pytest
from boto3.s3.transfer import TransferConfig

from fleet.storage import ConfigurationInvalid, StoreUnavailable, open_store, s3
from sop_web.embedded.system import free_port
from tests.fleet.storage.seaweed import BUCKET, SeaweedServer

DATA = b"0123456789" * 1000


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_the_headers_of_an_upload_are_exactly_the_signed_ones(s3_url: str) -> None:
    signed = open_store(s3_url).sign_put("k", size=len(DATA), sha256=_sha(DATA), expires_s=60)
    query = parse_qs(urlsplit(signed.url).query)
    assert query["X-Amz-SignedHeaders"] == [";".join(sorted({"host"} | {name.lower() for name in signed.headers}))]
    assert set(map(str.lower, signed.headers)) >= {"if-none-match", "content-length", "x-amz-checksum-sha256"}
    assert query["X-Amz-Expires"] == ["60"]


def test_the_kept_checksum_answers_without_a_download(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(s3_url)
    assert isinstance(store, s3.S3Store)
    store.put("by-us", DATA)
    signed = store.sign_put("by-robot", size=len(DATA), sha256=_sha(DATA), expires_s=60)
    assert httpx.put(signed.url, content=DATA, headers=signed.headers).status_code == 200
    monkeypatch.setattr(store, "_hash", lambda key: pytest.fail("downloaded"))
    assert store.digest("by-us") == store.digest("by-robot") == (len(DATA), _sha(DATA))


@pytest.mark.parametrize("parts", [1, 2])
def test_objects_without_a_checksum_of_the_whole_are_hashed(s3_url: str, seaweed: SeaweedServer, parts: int) -> None:
    """Given an object that another tool put, without SHA-256 or in parts, its digest is still that of its bytes."""
    data = bytes(range(256)) * (20_480 if parts == 1 else 24_576)
    client = boto3.client("s3", endpoint_url=seaweed.endpoint, region_name="us-east-1")
    key = urlsplit(s3_url).path.strip("/") + "/k"
    if parts == 1:
        client.put_object(Bucket=BUCKET, Key=key, Body=data)
    else:
        config = TransferConfig(multipart_threshold=5 * 2**20, multipart_chunksize=5 * 2**20)
        client.upload_fileobj(io.BytesIO(data), BUCKET, key, ExtraArgs={"ChecksumAlgorithm": "SHA256"}, Config=config)
    client.close()
    assert open_store(s3_url).digest("k") == (len(data), _sha(data))


def test_of_racing_uploads_one_wins(s3_url: str) -> None:
    store = open_store(s3_url)
    bodies = [bytes([number]) * 100_000 for number in range(6)]
    answers: dict[int, int] = {}

    def upload(number: int) -> None:
        body = bodies[number]
        signed = store.sign_put("k", size=len(body), sha256=_sha(body), expires_s=60)
        answers[number] = httpx.put(signed.url, content=body, headers=signed.headers, timeout=20).status_code

    threads = [threading.Thread(target=upload, args=(number,)) for number in range(len(bodies))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    winners = [number for number, status in answers.items() if status == 200]
    assert len(answers) == len(bodies) and len(winners) == 1
    assert set(answers.values()) <= {200, 409, 412}
    assert store.get("k") == bodies[winners[0]]


def test_a_prefix_hides_what_lies_beside_it(s3_url: str) -> None:
    store, beside = open_store(s3_url), open_store(s3_url.replace("/deep?", "/deep-beside?"))
    store.put("k", b"1")
    beside.put("k", b"2")
    assert (list(store.list()), list(beside.list())) == (["k"], ["k"])
    assert (store.get("k"), beside.get("k")) == (b"1", b"2")


def test_wrong_credentials_are_an_outage_and_not_a_missing_object(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    store = open_store(s3_url)
    with pytest.raises(StoreUnavailable):
        store.exists("k")
    with pytest.raises(StoreUnavailable, match="SignatureDoesNotMatch"):
        store.put("k", b"")


def test_a_bucket_that_is_not_ours_is_refused(s3_url: str) -> None:
    store = open_store(s3_url.replace(BUCKET, "no-such-bucket"))
    for ask in (lambda: store.put("k", b""), lambda: list(store.list())):
        with pytest.raises(StoreUnavailable):
            ask()


def test_no_credentials_say_what_to_set(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    store = open_store("s3://bucket?endpoint=http://127.0.0.1:9")
    with pytest.raises(ConfigurationInvalid, match="AWS_ACCESS_KEY_ID"):
        store.sign_get("k", expires_s=60)


def test_a_store_that_is_down_fails_in_bounded_time(aws: None) -> None:
    store = open_store(f"s3://bucket?endpoint=http://127.0.0.1:{free_port()}")
    started = time.monotonic()
    for ask in (store.exists, store.get, store.digest, store.delete):
        with pytest.raises(StoreUnavailable, match="does not answer"):
            ask("k")
    assert time.monotonic() - started < 40


def test_a_store_that_never_answers_is_given_up(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that accepts and says nothing: the read timeout ends each of the attempts."""
    monkeypatch.setattr(s3, "READ_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = open_store(f"s3://bucket?endpoint=http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(StoreUnavailable, match="ReadTimeoutError"):
            store.size("k")
        silent.setblocking(False)
        connections = 0
        while True:
            try:
                silent.accept()[0].close()
            except BlockingIOError:
                break
            connections += 1
    assert connections == s3.ATTEMPTS


def test_urls_name_the_place(aws: None) -> None:
    """Path-style with an endpoint, AWS's own host without one."""
    local = open_store("s3://bucket/a/b?endpoint=http://127.0.0.1:8333&region=us-east-1").sign_get("k", expires_s=1)
    assert local.startswith("http://127.0.0.1:8333/bucket/a/b/k?")
    assert "%2Fus-east-1%2Fs3%2F" in local
    amazon = urlsplit(open_store("s3://bucket/a?region=eu-central-1").sign_get("k", expires_s=1))
    assert (amazon.scheme, amazon.path) == ("https", "/a/k")
    assert amazon.netloc in ("bucket.s3.amazonaws.com", "bucket.s3.eu-central-1.amazonaws.com")


@pytest.mark.parametrize(
    "url",
    [
        "s3://", "s3:///prefix", "s3://UPPER", "s3://user:secret@bucket", "s3://bucket:80", "s3://bucket/../x",
        "s3://bucket/a//b", "s3://bucket?endpoint=127.0.0.1:8333", "s3://bucket?endpoint=http://h/path",
        "s3://bucket?region=a&region=b", "s3://bucket?key=secret", "s3://bucket?region=", "s3://bucket#x",
    ],
)  # fmt: skip
def test_url_that_means_nothing_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationInvalid, match="OBJECT_STORE_URL") as caught:
        open_store(url)
    assert "secret" not in caught.value.message
