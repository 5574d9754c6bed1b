"""What the driver and its host process say to each other: a JSON object and bytes, length first. Standard library only.

One request, one answer. A request names its operation in "op"; an answer that has "error" (a code) has "message" too.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Iterable
from typing import Any

_LENGTHS = struct.Struct("!II")
MAX_HEADER_BYTES = 1024**2
MAX_PAYLOAD_BYTES = 256 * 1024**2  # pictures of all cameras of one observation


class Closed(Exception):
    """The other end is gone."""


class Garbled(Exception):
    """What arrived is no message."""


def send(link: socket.socket, header: dict[str, Any], payload: Iterable[Any] = ()) -> None:
    """Send one message. `payload`: buffers, sent one after the other. Raises: Closed; TimeoutError; ValueError."""
    parts = [memoryview(part).cast("B") for part in payload]
    text = json.dumps(header, allow_nan=False).encode()
    size = sum(part.nbytes for part in parts)
    if len(text) > MAX_HEADER_BYTES or size > MAX_PAYLOAD_BYTES:
        raise ValueError(f"a message of {len(text)} and {size} bytes is too large")
    try:
        link.sendall(_LENGTHS.pack(len(text), size) + text)
        for part in parts:
            link.sendall(part)
    except TimeoutError:
        raise
    except OSError as error:
        raise Closed(str(error)) from None


def receive(link: socket.socket, *, timeout_s: float | None = None) -> tuple[dict[str, Any], bytearray]:
    """Return the next message; the whole of it must be here within `timeout_s`, None waits for ever.

    Raises: Closed; TimeoutError; Garbled.
    """
    deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
    header_size, size = _LENGTHS.unpack(_read(link, _LENGTHS.size, deadline_s))
    if header_size > MAX_HEADER_BYTES or size > MAX_PAYLOAD_BYTES:
        raise Garbled(f"a message of {header_size} and {size} bytes is announced")
    try:
        header = json.loads(_read(link, header_size, deadline_s))
    except (ValueError, RecursionError) as error:
        raise Garbled(str(error)) from None
    if not isinstance(header, dict):
        raise Garbled("a message is a JSON object")
    return header, _read(link, size, deadline_s)


def _read(link: socket.socket, size: int, deadline_s: float | None) -> bytearray:
    data, done = bytearray(size), 0
    with memoryview(data) as view:
        while done < size:
            left_s = None if deadline_s is None else deadline_s - time.monotonic()
            if left_s is not None and left_s <= 0:
                raise TimeoutError
            link.settimeout(left_s)
            try:
                count = link.recv_into(view[done:])
            except TimeoutError:
                raise
            except OSError as error:
                raise Closed(str(error)) from None
            if not count:
                raise Closed("the other end closed")
            done += count
    return data
