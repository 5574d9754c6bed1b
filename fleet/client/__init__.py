"""The REST API as a script uses it: typed, without Django. Needs msgspec and httpx alone (requirements.txt beside).

    from fleet.client import Client

    with Client("https://fleet.example", token="sop_...") as sop:
        for episode in sop.episodes.iterate(task="box-close", outcome="success"):
            print(episode.id, episode.steps)

Requests are tried again, within limits, when the server is away, busy or says so in Retry-After; a POST carries an
Idempotency-Key, so that trying again does nothing twice. Refusals are exceptions with the server's code: errors.py.
"""

from fleet.client.client import Client
from fleet.client.errors import (
    Changed,
    ChecksumWrong,
    ClientError,
    Conflict,
    Forbidden,
    Invalid,
    MalformedAnswer,
    NotFound,
    Problem,
    RateLimited,
    ServerFailed,
    Unauthorised,
    Unreachable,
)

__all__ = [
    "Changed",
    "ChecksumWrong",
    "Client",
    "ClientError",
    "Conflict",
    "Forbidden",
    "Invalid",
    "MalformedAnswer",
    "NotFound",
    "Problem",
    "RateLimited",
    "ServerFailed",
    "Unauthorised",
    "Unreachable",
]
