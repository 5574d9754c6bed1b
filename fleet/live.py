"""What robots do right now: their newest status and thumbnail, kept in Redis with a time to live; and which workers
live, and what waits for them.

Written by `services/robot.py` and `task_watch.py`, read by selectors. Nothing here is truth: when Redis forgets, the
next heartbeat brings it back. Presence is the existence of the status, which expires after PRESENCE_FACTOR heartbeats.
"""

from __future__ import annotations

import functools
import json
import socket
import struct
import time
from collections.abc import Sequence
from typing import cast

import msgspec
import redis
from django.conf import settings

from fleet.protocol.messages import MAX_LOG_LINES, LogLine, RobotStatus

PRESENCE_FACTOR = 4.0
THUMBNAIL_TTL_S = 60
LOGS_TTL_S = 7 * 86_400  # of the warnings and errors that robots send by themselves
LOGS_ANSWER_TTL_S = 3600
LOGS_QUESTION_TTL_S = 30  # an answer that comes later is not kept
LOGS_SHARED_S = 2  # above a daemon's answer_period_s (1 s), within which it answers one question alone
WORKERS_TTL_S = 86_400
_WORKERS_KEY = "sop:workers"
_STAMP = struct.Struct(">q")


class LiveStatus(msgspec.Struct, frozen=True):
    """`session_id`: the connection that sent it; `received_ms`: server clock, Unix milliseconds."""

    session_id: str
    received_ms: int
    status: RobotStatus


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(LiveStatus)
_line_decoder = msgspec.msgpack.Decoder(LogLine)
_answer_decoder = msgspec.msgpack.Decoder(tuple[str, list[LogLine]])

# Removes a status only if the given connection wrote it: a late goodbye must not hide its successor.
_CLEAR = "if string.find(redis.call('get', KEYS[1]) or '', ARGV[1], 1, true) then redis.call('del', KEYS[1]) end"


@functools.cache
def connection() -> redis.Redis:
    """Return this process's client (a pool; safe to share between threads)."""
    client: redis.Redis = redis.Redis.from_url(settings.SOP_REDIS_URL, socket_timeout=5, socket_connect_timeout=5)
    return client


def status_put(robot_id: object, session_id: str, status: RobotStatus) -> RobotStatus | None:
    """Keep the status; return the one before, None if the robot was offline."""
    return statuses_put([(robot_id, session_id, status)])[0]


def statuses_put(statuses: Sequence[tuple[object, str, RobotStatus]]) -> list[RobotStatus | None]:
    """The same for many in one round trip: (robot id, session id, status) of each."""
    now_ms, ttl_ms = time.time_ns() // 1_000_000, int(PRESENCE_FACTOR * settings.SOP_HEARTBEAT_S * 1000)
    pipeline = connection().pipeline(transaction=False)
    for robot_id, session_id, status in statuses:
        value = _encoder.encode(LiveStatus(session_id, now_ms, status))
        # Not by `set`, which looks through its own signature for experimental arguments: with each heartbeat.
        command = ("SET", _status_key(robot_id), value, "PX", ttl_ms, "GET")
        pipeline.execute_command(*command, get=True)  # type: ignore[no-untyped-call]
    found = [_decode(before) if before else None for before in pipeline.execute()]
    return [before.status if before is not None else None for before in found]


def status_clear(robot_id: object, session_id: str) -> None:
    """Mark the robot as offline, unless a newer connection is there."""
    statuses_clear([(robot_id, session_id)])


def statuses_clear(sessions: Sequence[tuple[object, str]]) -> None:
    """The same for many in one round trip: (robot id, session id) of each."""
    pipeline = connection().pipeline(transaction=False)
    for robot_id, session_id in sessions:
        pipeline.eval(_CLEAR, 1, _status_key(robot_id), session_id)
    pipeline.execute()


def statuses_get(robot_ids: Sequence[object]) -> list[LiveStatus | None]:
    """Return the live status of each robot, None for those offline."""
    if not robot_ids:
        return []
    values = cast("list[bytes | None]", connection().mget([_status_key(robot_id) for robot_id in robot_ids]))
    return [_decode(value) if value else None for value in values]


def _decode(value: bytes) -> LiveStatus | None:
    try:
        return _decoder.decode(value)
    except msgspec.MsgspecError:  # written by another version of the server, gone with its time to live
        return None


def thumbnail_put(robot_id: object, captured_ns: int, jpeg: bytes) -> None:
    """Keep the picture, and its stamp by itself: those of thousands are read at once, every two seconds."""
    pipeline, stamp = connection().pipeline(), _STAMP.pack(captured_ns)
    pipeline.set(_thumbnail_key(robot_id), stamp + jpeg, ex=THUMBNAIL_TTL_S)
    pipeline.set(_stamp_key(robot_id), stamp, ex=THUMBNAIL_TTL_S)
    pipeline.execute()


def thumbnail_get(robot_id: object) -> tuple[int, bytes] | None:
    """Return (captured_ns by the robot's clock, JPEG) or None."""
    value = cast("bytes | None", connection().get(_thumbnail_key(robot_id)))
    return (_STAMP.unpack_from(value)[0], value[_STAMP.size :]) if value else None


def thumbnail_stamps(robot_ids: Sequence[object]) -> list[int | None]:
    """Return captured_ns of each robot's thumbnail, without moving the pictures."""
    if not robot_ids:
        return []
    values = cast("list[bytes | None]", connection().mget([_stamp_key(robot_id) for robot_id in robot_ids]))
    return [_STAMP.unpack(value)[0] if value else None for value in values]


def logs_add(robot_id: object, lines: Sequence[LogLine]) -> None:
    """Keep lines beside those before; the newest MAX_LOG_LINES stay. A robot that joins again sends some again."""
    known = set(logs_get(robot_id))
    lines = [line for line in lines if line not in known]
    if not lines:
        return
    pipeline = connection().pipeline()
    pipeline.rpush(_logs_key(robot_id), *(_encoder.encode(line) for line in lines))
    pipeline.ltrim(_logs_key(robot_id), -MAX_LOG_LINES, -1)
    pipeline.expire(_logs_key(robot_id), LOGS_TTL_S)
    pipeline.execute()


def logs_get(robot_id: object) -> list[LogLine]:
    values = cast("list[bytes]", connection().lrange(_logs_key(robot_id), 0, -1))
    return [_line_decoder.decode(value) for value in values]


def logs_question_put(robot_id: object, request_id: str) -> str:
    """Note what the robot is asked and return it; the question of a moment ago where there is one, which then counts.

    Of two who ask at once the robot answers one alone, so both wait for the same answer.
    """
    newest = f"{_logs_key(robot_id)}:newest"
    if not connection().set(newest, request_id, nx=True, ex=LOGS_SHARED_S):
        shared = cast("bytes | None", connection().get(newest))
        if shared is not None:  # else it ended this very moment
            return shared.decode()
    connection().set(_question_key(robot_id, request_id), b"1", ex=LOGS_QUESTION_TTL_S)
    return request_id


def logs_answer_put(robot_id: object, request_id: str, lines: Sequence[LogLine]) -> bool:
    """Keep the answer in the place of the one before; False if this was not asked for."""
    if not connection().delete(_question_key(robot_id, request_id)):
        return False
    value = _encoder.encode((request_id, list(lines)))
    connection().set(f"{_logs_key(robot_id)}:answer", value, ex=LOGS_ANSWER_TTL_S)
    return True


def logs_answer_get(robot_id: object) -> tuple[str | None, list[LogLine]]:
    """Return the newest answer and the question it belongs to; (None, []) before the first."""
    value = cast("bytes | None", connection().get(f"{_logs_key(robot_id)}:answer"))
    return _answer_decoder.decode(value) if value else (None, [])


def _question_key(robot_id: object, request_id: str) -> str:
    return f"{_logs_key(robot_id)}:question:{request_id[:36]}"


def _logs_key(robot_id: object) -> str:
    return f"sop:robot:{robot_id}:logs"


def hostname() -> str:
    return socket.gethostname()


def worker_seen(name: str, queues: Sequence[str]) -> None:
    """Note that a worker lives, and what it takes tasks from. It is forgotten after a day of silence."""
    pipeline = connection().pipeline(transaction=False)
    pipeline.hset(_WORKERS_KEY, name, json.dumps({"queues": list(queues), "seen_s": time.time()}))
    pipeline.expire(_WORKERS_KEY, WORKERS_TTL_S)
    pipeline.execute()


def workers_get() -> dict[str, tuple[list[str], float]]:
    """Return the queues of each worker and when it was seen (Unix seconds); those silent for a day are dropped."""
    found: dict[str, tuple[list[str], float]] = {}
    for name, value in cast("dict[bytes, bytes]", connection().hgetall(_WORKERS_KEY)).items():
        entry = json.loads(value)
        if time.time() - entry["seen_s"] < WORKERS_TTL_S:
            found[name.decode()] = (entry["queues"], entry["seen_s"])
        else:
            connection().hdel(_WORKERS_KEY, name)
    return found


def queue_state(queue: str) -> tuple[int, bytes | None]:
    """Return how many messages wait in a Celery queue, and the oldest of them as Celery wrote it."""
    pipeline = connection().pipeline(transaction=False)
    pipeline.llen(queue)
    pipeline.lindex(queue, -1)  # pushed on the left, taken from the right
    length, oldest = pipeline.execute()
    return length, oldest


def _status_key(robot_id: object) -> str:
    return f"sop:robot:{robot_id}:status"


def _thumbnail_key(robot_id: object) -> str:
    return f"sop:robot:{robot_id}:thumbnail"


def _stamp_key(robot_id: object) -> str:
    return f"sop:robot:{robot_id}:thumbnail:stamp"
