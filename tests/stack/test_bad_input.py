"""What a peer may do wrong on the running server: a typed answer, a log line, nothing stored, the process alive."""

from __future__ import annotations

import contextlib
import hashlib
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from fleet.protocol.codec import MAX_ROBOT_FRAME_BYTES, decode_server_frame
from fleet.protocol.messages import (
    PROTOCOL_VERSION,
    CameraInfo,
    DriverInfo,
    EpisodeReady,
    EpisodeRefused,
    EpisodeRegistered,
    Fault,
    Hello,
    UploadGrant,
    UploadRequest,
    Welcome,
)
from fleet.protocol.recording import (
    MANIFEST_OBJECT,
    STEPS_OBJECT,
    EpisodeManifest,
    ObjectRecord,
    Origin,
    decode_manifest,
    encode_manifest,
)
from fleet.protocol.steps import decode_steps, encode_steps
from tests.stack.harness import System, http_json

pack = msgspec.msgpack.encode
CLOSE_UNAUTHORISED, CLOSE_PROTOCOL = 4401, 4400

HELLO = Hello(
    protocol=PROTOCOL_VERSION,
    daemon_version="test",
    boot_id="boot",
    clock_ns=1,
    driver=DriverInfo(
        name="test",
        version="1",
        control_rate_hz=10.0,
        action_names=("dx", "dy", "dz", "gripper"),
        proprio_names=("x",),
        cameras=(CameraInfo(name="front", width=128, height=128),),
        tasks=("box-close",),
    ),
    architectures=(),
    capabilities=(),
    policy_version_id=None,
)


@pytest.fixture(scope="module")
def credentials(running: System) -> dict[str, Any]:
    """An enrolled robot that no daemon runs."""
    token = running.manage("enrol_token", "--name", "raw").split()[-1]
    url = f"{running.stack.url}/api/v1/robots/enrol"
    return http_json(url, body={"token": token, "name": f"raw-{uuid.uuid4().hex[:8]}"})


def _url(running: System) -> str:
    return f"ws://127.0.0.1:{running.stack.port}/ws/robot"


@contextlib.contextmanager
def _link(running: System, authorization: str) -> Iterator[ClientConnection]:
    with connect(
        _url(running), additional_headers={"Authorization": authorization}, max_size=None, proxy=None
    ) as socket:
        yield socket


def _bearer(credentials: dict[str, Any]) -> str:
    return f"Bearer {credentials['robot_id']}.{credentials['key']}"


def _say(socket: ClientConnection, seq: int, message: object) -> None:
    socket.send(pack([seq, message]))


def _hear(socket: ClientConnection, kind: type[Any]) -> Any:
    """Return the next message of a kind."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        body = decode_server_frame(socket.recv(timeout=10)).body  # type: ignore[arg-type]
        if isinstance(body, kind):
            return body
    raise AssertionError(f"no {kind.__name__}")


def _refusal(socket: ClientConnection) -> tuple[str, int]:
    """Return the code of the fatal Fault and the close code that follows."""
    fault = _hear(socket, Fault)
    assert fault.is_fatal
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            socket.recv(timeout=10)
    assert closed.value.rcvd is not None
    return fault.code, closed.value.rcvd.code


@pytest.fixture
def unchanged(running: System) -> Iterator[None]:
    """Nothing is stored and the server is the same process after the test."""

    def stored() -> tuple[object, ...]:
        tables = ("episode", "segment", "policydeployment", "lease", "robot")
        counts = tuple(running.rows(f"SELECT count(*) FROM fleet_{table}")[0][0] for table in tables)
        objects = running.stack.data_dir / "objects" / "episodes"
        return counts, sorted(str(path) for path in objects.rglob("*") if path.is_file())

    web = running.processes.get("web").process
    assert web is not None
    before = stored()
    yield
    assert stored() == before
    assert web.poll() is None
    with urllib.request.urlopen(f"{running.stack.url}/api/v1/session", timeout=10) as response:
        assert response.status == 200


def _newer(_: bytes) -> bytes:
    body: dict[str, Any] = msgspec.to_builtins(HELLO)
    return pack([1, body | {"protocol": PROTOCOL_VERSION + 1, "added_in_version_2": True}])


def _unknown_field(_: bytes) -> bytes:
    body: dict[str, Any] = msgspec.to_builtins(HELLO)
    return pack([1, body | {"surprise": 1}])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_newer, "unsupported_protocol"),
        (_unknown_field, "malformed_frame"),
        (lambda hello: hello[: len(hello) // 2], "malformed_frame"),
        (lambda hello: b"\xc1" * 100, "malformed_frame"),
        (lambda hello: pack([1, {"type": "heartbeat", "clock_ns": 1}]), "malformed_frame"),
        (lambda hello: hello + b"\x00" * MAX_ROBOT_FRAME_BYTES, "frame_too_large"),
    ],
    ids=["newer protocol", "unknown field", "cut short", "no msgpack", "missing field", "oversize"],
)
@pytest.mark.usefixtures("unchanged")
def test_a_bad_greeting_ends_the_link(
    running: System, credentials: dict[str, Any], change: Callable[[bytes], bytes], code: str
) -> None:
    """The peer gets a fatal Fault with the code and close code 4400; the log has a line with it."""
    lines = running.log("web").count(f"code={code}")
    with _link(running, _bearer(credentials)) as socket:
        socket.send(change(pack([1, HELLO])))
        assert _refusal(socket) == (code, CLOSE_PROTOCOL)
    running.wait_for(lambda: running.log("web").count(f"code={code}") > lines, what="a log line", timeout_s=5)


@pytest.mark.parametrize("authorization", ["Bearer none", "Bearer {robot_id}.wrong", "Basic abc", ""])
@pytest.mark.usefixtures("unchanged")
def test_a_wrong_key_is_refused(running: System, credentials: dict[str, Any], authorization: str) -> None:
    """Every kind of bad credentials gives the same Fault and close code 4401."""
    with _link(running, authorization.format(**credentials)) as socket:
        assert _refusal(socket) == ("unauthorised", CLOSE_UNAUTHORISED)


def test_a_revoked_key_ends_the_connection(running: System) -> None:
    """Revoking closes the open link with 4401 within moments, and the key opens no other."""
    token = running.manage("enrol_token", "--name", "revoked").split()[-1]
    url = f"{running.stack.url}/api/v1/robots/enrol"
    mine = http_json(url, body={"token": token, "name": f"revoked-{uuid.uuid4().hex[:8]}"})
    with _link(running, _bearer(mine)) as socket:
        _say(socket, 1, HELLO)
        _hear(socket, Welcome)
        code = (
            "from fleet.models import RobotKey; from fleet.services.robot import robot_key_revoke; "
            f"robot_key_revoke(key_id=RobotKey.objects.get(robot_id={mine['robot_id']!r}).id)"
        )
        running.manage("shell", "--no-imports", "-c", code)
        assert _refusal(socket) == ("unauthorised", CLOSE_UNAUTHORISED)
    with _link(running, _bearer(mine)) as socket:
        assert _refusal(socket) == ("unauthorised", CLOSE_UNAUTHORISED)


@pytest.mark.usefixtures("unchanged")
def test_an_enrolment_token_works_once(running: System, credentials: dict[str, Any]) -> None:
    """A used or invented token is refused with problem details."""
    url = f"{running.stack.url}/api/v1/robots/enrol"
    with pytest.raises(urllib.error.HTTPError) as refused:
        http_json(url, body={"token": "invented", "name": "intruder"})
    with refused.value as answer:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert 400 <= answer.status < 500


# --- Episodes -------------------------------------------------------------------------------------------------------

Steps = dict[str, np.ndarray[Any, Any]]


class Upload:
    """A real demonstration, dressed as an online episode of the raw robot, to be spoilt by a test."""

    def __init__(self, running: System, credentials: dict[str, Any], demonstrations: Path) -> None:
        self._running = running
        self._credentials = credentials
        folder = next(path.parent for path in sorted(demonstrations.glob(f"*/{MANIFEST_OBJECT}")))
        original = decode_manifest((folder / MANIFEST_OBJECT).read_bytes())
        self.files = {record.name: (folder / record.name).read_bytes() for record in original.objects}
        self.manifest: EpisodeManifest = msgspec.structs.replace(
            original,
            episode_id=str(uuid.uuid4()),
            origin=Origin.ONLINE,
            robot_id=credentials["robot_id"],
            task_id=None,
            policy_version_id=None,
        )

    def change_steps(self, change: Callable[[Steps], None]) -> None:
        """Edit the step columns; sizes and hashes of the manifest follow, as a broken recorder's would."""
        steps = decode_steps(self.files[STEPS_OBJECT])
        steps = {name: values.copy() for name, values in steps.items()}
        change(steps)
        self.files[STEPS_OBJECT] = encode_steps(steps)
        records = tuple(self._record(name, data) for name, data in self.files.items())
        self.manifest = msgspec.structs.replace(self.manifest, objects=records)

    def send(self) -> EpisodeRefused | EpisodeRegistered:
        """Ask for targets, PUT the objects, announce the episode; return the server's answer."""
        body = encode_manifest(self.manifest)
        files = {**self.files, MANIFEST_OBJECT: body}
        records = tuple(self._record(name, data) for name, data in files.items())
        with _link(self._running, _bearer(self._credentials)) as socket:
            _say(socket, 1, HELLO)
            _hear(socket, Welcome)
            _say(socket, 2, UploadRequest(episode_id=self.manifest.episode_id, objects=records))
            grant = _hear(socket, UploadGrant)
            for target in grant.targets:
                if target.is_stored:
                    continue
                self._put(target.url, files[target.name], target.headers)
            _say(
                socket, 3,
                EpisodeReady(episode_id=self.manifest.episode_id, uploaded_ns=time.time_ns(), manifest=self.manifest),
            )  # fmt: skip
            answer: EpisodeRefused | EpisodeRegistered = _hear(socket, EpisodeRefused | EpisodeRegistered)  # type: ignore[arg-type]
            return answer

    def _put(self, url: str, data: bytes, headers: dict[str, str]) -> None:
        request = urllib.request.Request(self._running.stack.url + url, data=data, headers=headers, method="PUT")
        with urllib.request.urlopen(request, timeout=10) as response:
            assert response.status in (200, 201, 204)

    @staticmethod
    def _record(name: str, data: bytes) -> ObjectRecord:
        return ObjectRecord(name=name, size=len(data), sha256=hashlib.sha256(data).hexdigest())


@pytest.fixture
def upload(running: System, credentials: dict[str, Any], demonstrations: Path) -> Upload:
    return Upload(running, credentials, demonstrations)


def _put_nan(steps: Steps) -> None:
    steps["observation.state"][3, 0] = np.nan


def _run_backwards(steps: Steps) -> None:
    steps["timestamp_s"][5] = steps["timestamp_s"][2]


def _cut_axis(steps: Steps) -> None:
    steps["action"] = steps["action"][:, :3]


@pytest.mark.parametrize("change", [_put_nan, _run_backwards, _cut_axis])
@pytest.mark.usefixtures("unchanged")
def test_a_broken_recording_is_refused_for_good(upload: Upload, change: Callable[[Steps], None]) -> None:
    """NaN, times that run backwards and wrong shapes: final refusal, and its objects do not stay in the store."""
    upload.change_steps(change)
    answer = upload.send()
    assert isinstance(answer, EpisodeRefused)
    assert (answer.code, answer.is_final) == ("invalid_episode", True)


@pytest.mark.usefixtures("unchanged")
def test_a_manifest_that_names_other_bytes_is_refused(upload: Upload) -> None:
    """Objects that differ from the manifest in hash are refused as object_mismatch."""
    wrong = tuple(msgspec.structs.replace(record, sha256="0" * 64) for record in upload.manifest.objects)
    upload.manifest = msgspec.structs.replace(upload.manifest, objects=wrong)
    answer = upload.send()
    assert isinstance(answer, EpisodeRefused)
    assert (answer.code, answer.is_final) == ("object_mismatch", True)


def test_the_same_upload_unspoilt_is_registered_once(running: System, upload: Upload) -> None:
    """The control: what the tests above spoil is fine as it is, and sending it twice gives one row."""
    assert isinstance(upload.send(), EpisodeRegistered)
    assert isinstance(upload.send(), EpisodeRegistered)
    found = running.rows("SELECT count(*) FROM fleet_episode WHERE id = %s", upload.manifest.episode_id)
    assert found == [(1,)]
