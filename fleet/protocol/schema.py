"""JSON Schema of what server and console exchange: the one source of the frontend's types.

Called as `python -m fleet.protocol.schema` by `npm run protocol`, which writes `frontend/src/protocol/generated.ts`.
The robot link is left out on purpose: both of its ends are Python and share `messages` itself.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import msgspec

from fleet.protocol.messages import PROTOCOL_VERSION, ConsoleClientFrame, ConsoleServerFrame
from fleet.protocol.teleop import PeerClientMessage, PeerRobotMessage


def console_schema() -> dict[str, Any]:
    """Return one schema whose `$defs` hold every message of browsers; the roots are the socket's two frames and what
    travels in the two directions of a data channel."""
    roots, components = msgspec.json.schema_components(
        (ConsoleServerFrame, ConsoleClientFrame, PeerClientMessage, PeerRobotMessage), ref_template="#/$defs/{name}"
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "SOP console link",
        "x-protocol-version": PROTOCOL_VERSION,
        "anyOf": list(roots),
        "$defs": dict(sorted(components.items())),
    }


if __name__ == "__main__":
    json.dump(console_schema(), sys.stdout, indent=1)
    sys.stdout.write("\n")
