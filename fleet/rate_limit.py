"""How many requests one asker may send: a bucket each in Redis that fills evenly, taken from atomically.

The generic cell rate algorithm: one number a bucket, the time at which it is full again, by Redis's own clock, so that
all server processes count together. Requests may come all at once; what was taken comes back over a minute. Without
Redis nothing is limited: an API that still answers is worth more than its limit.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import cast

import redis

from fleet import live

logger = logging.getLogger(__name__)

WINDOW_S = 60
_MICRO = 1_000_000

# ARGV: microseconds a request, requests the bucket holds. Answers: taken (1 or 0), left, microseconds until one is
# there, microseconds until the bucket is full. %.0f: Lua would write such numbers with 14 digits alone.
_TAKE = """
local clock = redis.call('time')
local now = clock[1] * 1000000 + clock[2]
local each, size = tonumber(ARGV[1]), tonumber(ARGV[2])
local full = math.max(tonumber(redis.call('get', KEYS[1]) or '0'), now)
local wait = full + each - size * each - now
if wait > 0 then return {0, 0, math.ceil(wait), math.ceil(full - now)} end
full = full + each
redis.call('set', KEYS[1], string.format('%.0f', full), 'px', math.ceil((full - now) / 1000) + 1)
return {1, math.floor((now + size * each - full) / each + 0.000001), 0, math.ceil(full - now)}
"""


@dataclass(frozen=True)
class Taken:
    """One request's outcome. `wait_s`: until the next is allowed, 0 if this one is. `reset_s`: until all are."""

    is_allowed: bool
    limit: int
    remaining: int
    wait_s: float
    reset_s: float

    def headers(self) -> dict[str, str]:
        """As RateLimit fields, whole seconds rounded up."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(math.ceil(self.reset_s)),
        }


def rate_limit_take(*, who: str, per_minute: int) -> Taken | None:
    """Take one request from a bucket; None while Redis does not answer. `who`: names the bucket."""
    arguments = (f"sop:rate:{who}", WINDOW_S * _MICRO / per_minute, per_minute)
    try:
        answer = live.connection().eval(_TAKE, 1, *arguments)
    except redis.RedisError:
        logger.warning("requests are not limited: Redis does not answer", exc_info=True)
        return None
    is_taken, left, wait_us, reset_us = cast("list[int]", answer)
    return Taken(bool(is_taken), per_minute, left, wait_us / _MICRO, reset_us / _MICRO)
