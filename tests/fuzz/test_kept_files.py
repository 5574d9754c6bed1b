"""What a robot reads back from its own disk at a start, after any damage: it never keeps the daemon from starting in
an unclear state; a damaged stop latch stops the robot."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TypeVar

import msgspec
from hypothesis import example, given

from fleet.daemon.config import ConfigError, PolicyConfig
from fleet.daemon.enrolment import CREDENTIALS_FILE, Credentials, EnrolmentRefused, read_credentials
from fleet.daemon.policy_store import PolicyStore
from fleet.daemon.state_dir import STOPS_FILE, WISHES_FILE, StateDir
from fleet.daemon.stop_latch import Latched
from fleet.daemon.trust import TRUST_FILE, Trust, TrustRecord
from fleet.protocol.messages import StopInfo
from tests.fuzz.mutation import DEEP, fuzzed, near

STOP = StopInfo(stop_id="6b650c4c-fddd-48f8-a29e-c57cb1eaa830", by="anna", reason="smoke", at_ns=1)
LATCHED = msgspec.json.encode(Latched((STOP,)))
TRUST = msgspec.json.encode(TrustRecord(keys=("ab" * 32,), epoch=3))
CREDENTIALS = msgspec.json.encode(Credentials(robot_id="r", key="k" * 40, name="arm"))
T = TypeVar("T")
NO_TEXT = b'{"x": "\xff\xfe"}'


@fuzzed
@given(near([LATCHED]))
@example(b"[" * DEEP)
@example(NO_TEXT)
@example(LATCHED.replace(b"smoke", b"\xff\xfe"))
@example(b"")
def test_a_damaged_stop_latch_stops(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        state = StateDir(Path(name))
        try:
            (Path(name) / STOPS_FILE).write_bytes(data)
            found = state.read_stops()
        finally:
            state.close()
    assert found is not None
    try:
        msgspec.json.decode(data, type=Latched)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        assert [stop.by for stop in found.stops] == ["restart"]


@fuzzed
@given(near([b'{"revision":1,"is_paused":false,"assignments":[]}']))
@example(b"[" * DEEP)
@example(NO_TEXT)
def test_damaged_wishes_are_forgotten(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        state = StateDir(Path(name))
        try:
            (Path(name) / WISHES_FILE).write_bytes(data)
            state.read_wishes()
        finally:
            state.close()


@fuzzed
@given(near([TRUST, CREDENTIALS]))
@example(TRUST)
@example(CREDENTIALS)
@example(b"{}")
@example(b"[" * DEEP)
@example(NO_TEXT)
def test_damaged_trust_or_credentials_are_a_typed_error(data: bytes) -> None:
    """A robot that forgot whom it trusts must not take the next key that it is offered."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / TRUST_FILE).write_bytes(data)
        (folder / CREDENTIALS_FILE).write_bytes(data)
        record, credentials = _decoded(data, TrustRecord), _decoded(data, Credentials)
        try:
            keys = Trust(folder, PolicyConfig(), robot_id="r").keys
        except ConfigError:
            assert record is None, "a sound record was refused"
        else:
            assert record is not None and keys == record.keys, "a damaged record was forgotten"
        try:
            found = read_credentials(folder)
        except EnrolmentRefused:
            assert credentials is None
        else:
            assert found == credentials is not None
        (folder / "policies").mkdir()
        (folder / "policies" / "current.json").write_bytes(data)
        PolicyStore(folder / "policies", cache_bytes=10**6).read_current()


def _decoded(data: bytes, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
