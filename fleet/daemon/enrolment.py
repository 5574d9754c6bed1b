"""The robot's identity: enrol once with a one-time token, then keep the key in the state directory (mode 0600)."""

from __future__ import annotations

import asyncio
import logging
import platform
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec

from fleet.daemon.backoff import Backoff
from fleet.daemon.config import DaemonConfig
from fleet.daemon.files import is_full, write_durably
from fleet.daemon.trust import remember_keys
from fleet.protocol.errors import UNPARSABLE, SopError

logger = logging.getLogger(__name__)

CREDENTIALS_FILE = "credentials.json"
ROOM_FILE = "enrolment.room"  # there while the server is asked
ROOM_BYTES = 16 * 1024  # for the key and the server's keys, a block each


class EnrolmentRefused(SopError):
    """The server does not take the token, or there is neither token nor key."""

    code = "enrolment_refused"


class Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a robot proves itself with. `key` is a secret."""

    robot_id: str
    key: str
    name: str

    @property
    def authorization(self) -> str:
        return f"Bearer {self.robot_id}.{self.key}"

    def __repr__(self) -> str:
        return f"Credentials(robot_id={self.robot_id!r}, name={self.name!r})"


def read_credentials(state_dir: Path) -> Credentials | None:
    """Return the stored identity, None if the robot was never enrolled.

    Raises: EnrolmentRefused if the file is damaged.
    """
    path = state_dir / CREDENTIALS_FILE
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Credentials)
    except UNPARSABLE as error:
        raise EnrolmentRefused(f"{path} is damaged ({error}); enrol again with a new token") from None


async def identity_of(config: DaemonConfig, client: httpx.AsyncClient) -> Credentials | None:
    """Return the stored identity, enrol for one, or None for a robot that works offline by configuration."""
    stored = read_credentials(config.state_dir)
    if stored is not None or config.server is None:
        return stored
    if config.token is None:
        raise EnrolmentRefused("this robot is not enrolled: start it once with --token")
    bounds = {"min_s": config.link.backoff_min_s, "max_s": config.link.backoff_max_s}
    name = config.name or platform.node() or "robot"
    return await enrol(
        client,
        token=config.token,
        name=name,
        state_dir=config.state_dir,
        backoff=Backoff(**bounds, rng=random.Random()),
    )


async def enrol(client: httpx.AsyncClient, *, token: str, name: str, state_dir: Path, backoff: Backoff) -> Credentials:
    """Trade the token for a key and store it. A server that is away is asked again until it answers.

    A token counts once, so nothing is asked while the disk has no room for the answer.
    Raises: EnrolmentRefused if the server says no; OSError if the disk fails in another way than being full.
    """
    body = {"token": token, "name": name, "wants_keys": True}
    room = state_dir / ROOM_FILE
    while True:
        await _until_written(backoff, lambda: write_durably(room, bytes(ROOM_BYTES)))
        try:
            response = await client.post("/api/v1/robots/enrol", json=body)
        except httpx.HTTPError as error:
            await _wait(backoff, f"{type(error).__name__}: {error}")
            continue
        finally:
            room.unlink()
        if response.status_code == 201:
            return await _keep(_parse(response.content), state_dir, backoff)
        if response.status_code < 500 and response.status_code != 429:
            raise EnrolmentRefused(f"the server refused the token: {problem_of(response)}")
        await _wait(backoff, problem_of(response))


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    """`policy_keys`: only of a server that signs versions; what else it says is not for this daemon."""

    robot_id: str
    key: str
    name: str
    policy_keys: tuple[str, ...] = ()


async def _keep(answer: _Answer, state_dir: Path, backoff: Backoff) -> Credentials:
    credentials = Credentials(robot_id=answer.robot_id, key=answer.key, name=answer.name)
    file, data = state_dir / CREDENTIALS_FILE, msgspec.json.encode(credentials)
    await _until_written(backoff, lambda: remember_keys(state_dir, answer.policy_keys))
    await _until_written(backoff, lambda: write_durably(file, data, mode=0o600))
    logger.info("enrolled as %s (%s)", credentials.name, credentials.robot_id)
    return credentials


def _parse(data: bytes) -> _Answer:
    try:
        return msgspec.json.decode(data, type=_Answer)
    except UNPARSABLE as error:
        raise EnrolmentRefused(f"the server's answer to the enrolment does not parse: {error}") from None


async def _until_written(backoff: Backoff, write: Callable[[], None]) -> None:
    """Write, again and again while the disk is full. Raises: OSError if it fails in another way."""
    while True:
        try:
            write()
        except OSError as error:
            if not is_full(error):
                raise
            await _wait(backoff, f"disk: {error}")
        else:
            return


async def _wait(backoff: Backoff, problem: str) -> None:
    wait_s = backoff.next_s()
    logger.warning("enrolment failed (%s), next try in %.1f s", problem, wait_s)
    await asyncio.sleep(wait_s)


def problem_of(response: httpx.Response) -> str:
    """Return the code and text of problem details, or the status alone."""
    try:
        body: Any = msgspec.json.decode(response.content)
    except UNPARSABLE:
        body = None
    if not isinstance(body, dict):
        return f"HTTP {response.status_code}"
    return f"HTTP {response.status_code} {body.get('code', '')} {str(body.get('detail', ''))[:200]}".strip()
