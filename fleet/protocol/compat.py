"""What the server leaves out for a robot of the protocol before this one. docs/upgrade.md holds the rule.

The server speaks N and N-1, a robot its own number alone. Unknown fields are refused on both ends, so what was added
since N-1 is named here and taken away on its way to an older robot: a field becomes UNSET, which is not encoded, a
message is not sent. tests/fleet/protocol/test_compat.py compares what is left with the frozen bytes of N-1, and so
fails for an addition that is not named. When N becomes N+1, empty both tables.
"""

from __future__ import annotations

from typing import Any

import msgspec

from fleet.protocol.messages import PROTOCOL_VERSION, PolicyTarget, ServerMessage

OLDEST_ROBOT = PROTOCOL_VERSION - 1
# Of values that travel to robots: which fields came with which protocol. Their types allow UNSET.
FIELDS_SINCE: dict[type[msgspec.Struct], dict[str, int]] = {PolicyTarget: {"traceparent": 3}}
MESSAGES_SINCE: dict[type[msgspec.Struct], int] = {}


def for_robot(message: ServerMessage, protocol: int) -> ServerMessage | None:
    """Return what a robot of this protocol can read of a message, None if nothing."""
    if protocol >= PROTOCOL_VERSION:
        return message
    if MESSAGES_SINCE.get(type(message), 0) > protocol:
        return None
    stripped: ServerMessage = _stripped(message, protocol)
    return stripped


def _stripped(value: Any, protocol: int) -> Any:
    if isinstance(value, msgspec.Struct):
        since = FIELDS_SINCE.get(type(value), {})
        fields = {name: getattr(value, name) for name in value.__struct_fields__}
        return msgspec.structs.replace(value, **{
            name: msgspec.UNSET if since.get(name, 0) > protocol else _stripped(each, protocol)
            for name, each in fields.items()
        })  # fmt: skip
    if isinstance(value, tuple):
        return tuple(_stripped(each, protocol) for each in value)
    if isinstance(value, dict):
        return {key: _stripped(each, protocol) for key, each in value.items()}
    return value
