"""STUN and TURN servers for a browser or a robot, with credentials that last for one session.

As coturn's `use-auth-secret` and draft-uberti-behave-turn-rest-00: the user name is its own expiry, the password its
HMAC under the secret that the TURN server shares.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable

import msgspec
from django.conf import settings

from fleet.protocol.messages import IceServer


def ice_servers(*, name: str, clock: Callable[[], float] = time.time) -> tuple[IceServer, ...]:
    """Return SOP_ICE_SERVERS; TURN servers without credentials of their own get some for SOP_TURN_TTL_S seconds.

    `name`: whom the TURN server's log shall name. `clock`: Unix seconds.
    """
    return tuple(_with_credentials(server, name, clock) for server in settings.SOP_ICE_SERVERS)


def _with_credentials(server: IceServer, name: str, clock: Callable[[], float]) -> IceServer:
    is_turn = any(url.startswith(("turn:", "turns:")) for url in server.urls)
    if not is_turn or server.username:
        return server
    username = f"{int(clock() + settings.SOP_TURN_TTL_S)}:{name}"
    digest = hmac.new(settings.SOP_TURN_SECRET.encode(), username.encode(), hashlib.sha1).digest()
    return msgspec.structs.replace(server, username=username, credential=base64.b64encode(digest).decode())
