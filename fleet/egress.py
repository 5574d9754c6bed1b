"""How many robots may download policies at once, and how many bytes a second they get together.

A publish makes every robot ask in the same second. So a robot needs a slot: it asks, gets one, or is told in how many
seconds to ask again and keeps its place in the queue meanwhile. A slot is a robot's, whatever its connections, and ends
soon after the last of them. Bytes are paid for from one account; each robot has one payment outstanding in a process,
so robots take turns however many connections they open, and what one cannot use goes to the others.

The account and the slots are in Redis, by its own clock, so that all server processes count together. Without Redis
nothing is limited, as in rate_limit.py. Bytes from a bucket do not pass through the server and are not counted.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
import weakref
from collections.abc import AsyncIterator, Sequence
from typing import cast

import redis
from django.conf import settings

from fleet import live
from fleet.errors import DownloadsBusy

logger = logging.getLogger(__name__)

PREFIX = "sop:egress"
IDLE_MS = 500  # a slot outlives its last connection by this: a robot asks for its next part at once
HOLD_MS = 30_000  # and this long without a payment, where a server process died
BURST_MS = 100  # of the rate, after a pause
WAIT_MOST_S = 60.0
UNNAMED = "unnamed"  # URLs that were signed for nobody share one slot

# KEYS: slots (robot -> end), their open connections (robot -> count), the queue (robot -> first asked), until when
# those in it are waited for. ARGV: robot, slots, hold ms, ms to wait a turn, most ms to wait.
# Answers: admitted (1 or 0), ms to wait.
_ADMIT = """
local clock = redis.call('time')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
for _, gone in ipairs(redis.call('zrangebyscore', KEYS[1], '-inf', now)) do
  redis.call('zrem', KEYS[1], gone) redis.call('hdel', KEYS[2], gone)
end
for _, gone in ipairs(redis.call('zrangebyscore', KEYS[4], '-inf', now)) do
  redis.call('zrem', KEYS[3], gone) redis.call('zrem', KEYS[4], gone)
end
local robot, most = ARGV[1], tonumber(ARGV[2])
local free = most - redis.call('zcard', KEYS[1])
local ahead = redis.call('zrank', KEYS[3], robot) or redis.call('zcard', KEYS[3])
if redis.call('zscore', KEYS[1], robot) or ahead < free then
  redis.call('zadd', KEYS[1], now + ARGV[3], robot)
  redis.call('hincrby', KEYS[2], robot, 1)
  redis.call('zrem', KEYS[3], robot) redis.call('zrem', KEYS[4], robot)
  return {1, 0}
end
local wait = math.min(ARGV[4] * (1 + math.floor(ahead / most)), tonumber(ARGV[5]))
redis.call('zadd', KEYS[3], 'NX', now, robot)
redis.call('zadd', KEYS[4], now + 3 * wait + 5000, robot)
return {0, wait}
"""

# KEYS: slots, open connections. ARGV: robot, idle ms.
_LEAVE = """
local clock = redis.call('time')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if redis.call('hincrby', KEYS[2], ARGV[1], -1) > 0 then return end
redis.call('hdel', KEYS[2], ARGV[1])
redis.call('zadd', KEYS[1], 'XX', now + ARGV[2], ARGV[1])
"""

# KEYS: the account, slots. ARGV: microseconds that these bytes take, burst in microseconds, robot, hold ms.
# Answers: microseconds until they may be sent.
_PAY = """
local clock = redis.call('time')
local now = clock[1] * 1000000 + clock[2]
local paid = math.max(tonumber(redis.call('get', KEYS[1]) or '0'), now - ARGV[2])
redis.call('set', KEYS[1], string.format('%.0f', paid + ARGV[1]), 'px', 60000)
redis.call('zadd', KEYS[2], 'XX', math.floor(now / 1000) + ARGV[4], ARGV[3])
return math.max(0, math.ceil(paid - now))
"""

# Until when (monotonic seconds) Redis is not asked after it failed: each question to one that hangs takes seconds in a
# thread that uploads and exports need, too.
_away_until_s = -1e9
AWAY_S = 5.0

_lanes: weakref.WeakValueDictionary[tuple[int, str], asyncio.Lock] = weakref.WeakValueDictionary()


def egress_admit(*, robot: str, rng: random.Random | None = None) -> None:
    """Give the robot a slot for one more connection, to be ended by `egress_paced`.

    Raises: DownloadsBusy; data["wait_s"] grows with the queue ahead and is spread by half, so that robots which were
    refused together do not come back together.
    """
    most, turn_ms = settings.SOP_EGRESS_DOWNLOADS, settings.SOP_EGRESS_RETRY_S * 1000
    arguments = (robot or UNNAMED, most, HOLD_MS, round(turn_ms), round(WAIT_MOST_S * 1000))
    answer = _ask(_ADMIT, _keys("slots", "open", "queue", "due"), arguments)
    if answer is None:
        return
    is_admitted, wait_ms = cast("list[int]", answer)
    if not is_admitted:
        wait_s = wait_ms / 1000 * (rng or random.Random()).uniform(1.0, 1.5)
        raise DownloadsBusy(f"{most} robots download already; your place in the queue is kept", wait_s=wait_s)


def egress_leave(*, robot: str) -> None:
    """End one connection of an admitted robot."""
    _ask(_LEAVE, _keys("slots", "open"), (robot or UNNAMED, IDLE_MS))


async def egress_paced(pieces: AsyncIterator[bytes], *, robot: str) -> AsyncIterator[bytes]:
    """Yield what an admitted robot is sent, at its turn and at the rate of all together; end its connection."""
    key = (id(asyncio.get_running_loop()), robot)
    lane = _lanes.setdefault(key, asyncio.Lock())
    try:
        async for piece in pieces:
            async with lane:
                wait_s = await asyncio.to_thread(_pay, robot, len(piece))
                if wait_s > 0:
                    await asyncio.sleep(wait_s)
            yield piece
    finally:
        await asyncio.to_thread(egress_leave, robot=robot)


def _pay(robot: str, size: int) -> float:
    """Return the seconds until these bytes may be sent."""
    cost_us = round(size * 1e6 / settings.SOP_EGRESS_BYTES_S)
    wait_us = _ask(_PAY, _keys("paid", "slots"), (cost_us, BURST_MS * 1000, robot or UNNAMED, HOLD_MS))
    return cast("int", wait_us or 0) / 1e6


def _ask(script: str, names: tuple[str, ...], arguments: Sequence[str | int]) -> object:
    """Return what the script answers, None while Redis is away: then nothing is limited."""
    global _away_until_s
    if time.monotonic() < _away_until_s:
        return None
    try:
        return cast("object", live.connection().eval(script, len(names), *names, *arguments))
    except redis.RedisError:
        _away_until_s = time.monotonic() + AWAY_S
        logger.warning("downloads are not limited for %.0f s: Redis does not answer", AWAY_S, exc_info=True)
        return None


def _keys(*names: str) -> tuple[str, ...]:
    return tuple(f"{PREFIX}:{name}" for name in names)
