"""Every decoder of what others send: whatever the bytes, nothing but the declared error comes out.

`SOP_FUZZ_INPUTS=5000 pytest tests/fuzz -s` tries more and says how many. Inputs are samples with a few edits, so that
most get past the first check; the REST API has its own (tests/fleet/api/test_fuzz.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from fleet.addresses import http_address
from fleet.api.body_limit import BodyLimit
from fleet.daemon.media.base import MalformedSdp
from fleet.daemon.media.offers import usable_offer, usable_servers
from fleet.imports.errors import ArchiveRefused, InvalidDataset
from fleet.imports.unpack import Limits, unpack
from fleet.outbound.addresses import AddressForbidden, AllowList, UrlInvalid, check_url
from fleet.protocol import codec
from fleet.protocol.errors import ArtifactMismatch, InvalidManifest, ProtocolError, SopError
from fleet.protocol.messages import IceServer
from fleet.protocol.patch import apply_patch, write_patch
from fleet.protocol.policy import decode_policy_manifest, encode_policy_manifest
from fleet.protocol.recording import decode_manifest, encode_manifest
from fleet.protocol.session import ServerSession
from fleet.protocol.teleop import decode_peer_message
from fleet.storage.base import KeyInvalid, check_key
from tests.fleet.daemon.media.test_offers import HIDDEN, RELAYED, bundled
from tests.fleet.protocol.samples import MANIFEST
from tests.fleet.protocol.test_policy import MANIFEST as POLICY
from tests.fuzz.mutation import DEEP, EXAMPLES, fuzzed, near

GOLDEN = Path(__file__).parents[1] / "fleet" / "protocol" / "golden"


def golden(prefix: str) -> list[bytes]:
    found = [path.read_bytes() for path in sorted(GOLDEN.glob(f"{prefix}-*"))]
    assert found
    return found


def _welcomed(data: bytes) -> None:
    """A server's end of a link that was welcomed: what follows Hello is heard in full."""
    session = ServerSession(now=0.0, heartbeat_s=2.0)
    session.receive((GOLDEN / "robot-Hello.msgpack").read_bytes(), now=0.0)
    session.receive(data, now=0.1)


PEER_MESSAGES = [
    b'{"type":"drive","seq":1,"epoch":1,"axes":[0.0,0.5,-1.0,0.0],"sent_ms":1.5,"video_age_ms":40.0}',
    b'{"type":"clock_echo","probe":1,"clock_ms":2.0}',
    b'{"type":"stop","stop_id":"6b650c4c-fddd-48f8-a29e-c57cb1eaa830","reason":"x"}',
]
DECODERS: dict[str, tuple[Callable[[bytes], object], list[bytes], type[SopError]]] = {
    "robot frame": (codec.decode_robot_frame, golden("robot"), ProtocolError),
    "server frame": (codec.decode_server_frame, golden("server"), ProtocolError),
    "console frame": (codec.decode_console_client_frame, golden("console_client"), ProtocolError),
    "console answer": (codec.decode_console_server_frame, golden("console_server"), ProtocolError),
    "link session": (_welcomed, golden("robot"), ProtocolError),
    "data channel": (decode_peer_message, PEER_MESSAGES, ProtocolError),
    "episode manifest": (decode_manifest, [encode_manifest(MANIFEST)], InvalidManifest),
    "policy manifest": (decode_policy_manifest, [encode_policy_manifest(POLICY)], ArtifactMismatch),
    "offer": (
        lambda data: usable_offer(data.decode("utf-8", "replace"), views=2),
        [bundled(HIDDEN, RELAYED).encode()],
        MalformedSdp,
    ),
}


@pytest.mark.parametrize("name", DECODERS)
def test_a_decoder_raises_its_declared_error_alone(name: str) -> None:
    decode, samples, declared = DECODERS[name]
    counts = {"tried": 0, "taken": 0}

    @fuzzed
    @given(near(samples))
    def run(data: bytes) -> None:
        counts["tried"] += 1
        with contextlib.suppress(declared):
            decode(data)
            counts["taken"] += 1

    run()
    print(f"\n{name}: {counts['tried']} inputs, {counts['taken']} taken, no other error")
    assert counts["tried"] >= EXAMPLES


NESTED = [
    b"[" * DEEP,
    b'{"config":' * DEEP,
    b'[1,{"type":"hello","config":' + b"[" * DEEP,
    b"\x91" * DEEP,
    b"\x81\xa1a" * DEEP,
    b'{"config":' + b"[" * DEEP + b"]" * DEEP + b"}",
]


@pytest.mark.parametrize("name", [name for name in DECODERS if name != "offer"])
@pytest.mark.parametrize("number", range(len(NESTED)))
def test_endless_nesting_is_the_declared_error(name: str, number: int) -> None:
    decode, _, declared = DECODERS[name]
    with pytest.raises(declared):
        decode(NESTED[number])


@pytest.mark.parametrize("field", ["config", "extra"])
def test_a_policy_manifest_that_nests_where_anything_may_stand_is_refused(field: str) -> None:
    """`config` is the architecture's own: everything fits its type, so only the parser's depth ends it."""
    text = encode_policy_manifest(POLICY).decode()
    found = text.replace('"config":', f'"{field}":' + '{"a":' * DEEP, 1)
    with pytest.raises(ArtifactMismatch):
        decode_policy_manifest(found.encode())


@fuzzed
@given(near([b"stun:a.example:3478", b"turn:[::1]:99999?transport=tcp", b"turns:x:5349", b"stun:\xff"]))
def test_urls_of_ice_servers_never_raise(data: bytes) -> None:
    usable_servers([IceServer(urls=(data.decode("utf-8", "replace"),))])


@fuzzed
@given(near([b"episodes/0b9d/front.mp4", b"a/../b", b"policies/blobs/00.safetensors", b"a//b", b".incoming/x"]))
def test_a_key_is_a_path_below_the_store_or_refused(data: bytes) -> None:
    key = data.decode("utf-8", "surrogateescape")
    with contextlib.suppress(KeyInvalid):
        parts = check_key(key).split("/")
        assert all(part and not part.startswith(".") and "\x00" not in part for part in parts)


URLS = [
    b"https://a.example/x?y=1",
    b"http://127.0.0.1/",
    b"http://[::ffff:10.0.0.1]:80/",
    b"http://a@b:c@d/#e",
    b"http://2130706433/",
]


@fuzzed
@given(near(URLS))
def test_a_webhook_url_is_judged_or_refused(data: bytes) -> None:
    with contextlib.suppress(UrlInvalid, AddressForbidden):
        check_url(data.decode("utf-8", "replace"), AllowList())


@fuzzed
@given(st.text(max_size=200), st.text(max_size=60))
def test_an_address_is_an_address_or_nothing(forwarded: str, remote: str) -> None:
    class Request:
        META = {"REMOTE_ADDR": remote, "HTTP_X_FORWARDED_FOR": forwarded}

    found = http_address(Request())
    assert found is None or all(c in "0123456789abcdef.:%" or c.isalnum() for c in found)


HEADER_NAMES = (b"content-length", b"x-sop-sha256", b"range", b"host", b"transfer-encoding", b"cookie")
QUERIES = [
    b"expires=1&signature=a",
    b"expires=" + b"9" * 5000 + b"&signature=%ff%00",
    b"expires=\xff&signature=",
    b"&&==",
]


@fuzzed
@given(
    path=near([b"/objects/episodes/0b9d/front.mp4", b"/objects/../../etc/passwd", b"/healthz"]),
    method=st.sampled_from(("PUT", "GET", "POST")),
    headers=st.lists(
        st.tuples(
            st.sampled_from(HEADER_NAMES),
            st.one_of(near([b"12", b"0" * 64, b"9" * 5000, b"\xb2", b"-1", b"+5", b"1_0", b" 7"])),
        ),
        max_size=4,
    ),
    query=near(QUERIES),
)
def test_headers_of_uploads_never_raise(
    path: bytes, method: str, headers: list[tuple[bytes, bytes]], query: bytes
) -> None:
    """Either it is refused with a status, or handed on; an unsigned upload is never handed on."""
    passed: list[bool] = []
    sent: list[Mapping[str, Any]] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        passed.append(True)

    async def receive() -> Mapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    text = path.decode("utf-8", "replace")
    scope = {"type": "http", "method": method, "path": text, "headers": headers, "query_string": query}
    asyncio.run(BodyLimit(application)(scope, receive, send))
    assert passed or sent[0]["status"] in (400, 403, 413)
    assert not (passed and method == "PUT" and text.startswith("/objects/"))


def _archives() -> list[bytes]:
    tarred, zipped = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=tarred, mode="w") as tar:
        member = tarfile.TarInfo("data/meta/info.json")
        member.size = 13
        tar.addfile(member, io.BytesIO(b'{"fps": 10.0}'))
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data/meta/info.json", '{"fps": 10.0}')
        archive.writestr("data/b.bin", b"\x00" * 5000)
    with tarfile.open(fileobj=(packed := io.BytesIO()), mode="w:gz") as tar:
        tar.addfile(member, io.BytesIO(b'{"fps": 10.0}'))
    return [tarred.getvalue(), zipped.getvalue(), packed.getvalue()]


@fuzzed
@given(near(_archives()))
def test_an_archive_unpacks_below_its_folder_or_is_refused(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "archive").write_bytes(data)
        (target := folder / "target").mkdir()
        limits = Limits(files=10, file_bytes=20_000, total_bytes=50_000)
        with contextlib.suppress(ArchiveRefused, InvalidDataset):
            unpack(folder / "archive", target, limits, lambda count: None)
        assert {path.name for path in folder.iterdir()} == {"archive", "target"}
        files = [path for path in target.rglob("*") if not path.is_dir()]
        assert all(path.is_file() and not path.is_symlink() for path in files)
        assert sum(path.stat().st_size for path in files) <= 100_000


@pytest.fixture(scope="module")
def patched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, int]:
    folder = tmp_path_factory.mktemp("patch")
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(20, 20)).astype(np.float32)
    base, new = folder / "base", folder / "new"
    base.write_bytes(safetensors.numpy.save({"w": weights, "b": weights[0]}))
    new.write_bytes(safetensors.numpy.save({"w": weights + 1e-3, "b": weights[0]}))
    out = io.BytesIO()
    write_patch(base, new, out)
    return base, out.getvalue(), new.stat().st_size


def test_a_patch_gives_bytes_or_is_refused(patched: tuple[Path, bytes, int]) -> None:
    """Whatever comes out is hashed by the robot before it is used; here it may only not raise, nor grow."""
    base, sound, size = patched

    @fuzzed
    @given(near([sound]))
    def run(data: bytes) -> None:
        out = io.BytesIO()
        patch = base.with_name("patch")
        patch.write_bytes(data)
        with contextlib.suppress(ArtifactMismatch):
            apply_patch(base, patch, out, size=size)
        assert out.tell() <= 2 * size

    run()


def test_the_samples_are_sound() -> None:
    """Or the edits would only ever try the first check."""
    for name, (decode, samples, _) in DECODERS.items():
        if name == "link session":  # most of its samples may not come at this moment
            continue
        for sample in samples:
            decode(sample)
