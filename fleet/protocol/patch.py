"""A safetensors file as the difference to an earlier one: only what changed travels, and the result is exact.

Per tensor of the same name, type and shape: equal bytes are copied from the earlier file; changed ones are XORed with
it, their bytes sorted by significance (the sign, exponent and high mantissa bytes of weights after a few gradient
steps are mostly equal, so these planes are mostly zero) and compressed with zstd. All else is compressed as it is.
Nothing is rounded: `apply_patch` gives the very file, which the robot checks by its SHA-256 as ever.

    b"SOP-PATCH-1\\n", length of the header (8 bytes, little-endian), header (JSON), payloads one after the other

In pieces of PIECE bytes, so that neither side holds a file of gigabytes in memory. Used by the server's policy_patch
and by the daemon's policy_store.
"""

from __future__ import annotations

import itertools
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np
import pyarrow as pa

from fleet.protocol.errors import UNPARSABLE, ArtifactMismatch

MAGIC = b"SOP-PATCH-1\n"
PIECE = 16 * 1024**2  # a multiple of every item size
MAX_HEADER = 64 * 1024**2
LEVEL = 3  # of zstd; 9 is 4 times slower for 2 % less
ITEM_BYTES = {"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2}

Array = np.ndarray[Any, Any]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """`size` bytes of the new file.

    kind "copy": from `base`, the offset in the earlier file; "xor": XOR with what is there; "new": as it is.
    `payload`: bytes in the patch, compressed; 0 for copies. `item`: bytes of one number, for the planes.
    """

    kind: str
    size: int
    base: int
    payload: int
    item: int


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    base_size: int
    new_size: int
    sections: list[Section]


def write_patch(base: Path, new: Path, out: BinaryIO) -> None:
    """Write what turns the file `base` into the file `new`. Raises: ArtifactMismatch if one is no safetensors file."""
    earlier, later = _map(base), _map(new)
    known, spans = _tensors(earlier), _tensors(later)
    begins = sorted((start, end, name) for name, (_, _, start, end) in spans.items())
    first = begins[0][0] if begins else len(later)
    payloads: list[bytes] = []
    sections: list[Section] = list(_fresh(later, 0, first, 1, payloads))
    for start, end, name in begins:
        dtype, shape, base_start, _ = known.get(name, ("", (), 0, 0))
        item = ITEM_BYTES.get(spans[name][0], 1)
        if (dtype, shape) == spans[name][:2]:
            sections += _changed(earlier, later, base_start, start, end, item, payloads)
        else:
            sections += _fresh(later, start, end, item, payloads)
    header = msgspec.json.encode(_Header(len(earlier), len(later), sections))
    out.write(MAGIC + struct.pack("<Q", len(header)) + header)
    for payload in payloads:
        out.write(payload)


def apply_patch(base: Path, patch: Path, out: BinaryIO, *, size: int) -> None:
    """Write the new file of `size` bytes. Raises: ArtifactMismatch if the patch is damaged or belongs to others."""
    with patch.open("rb") as file:
        header = _read_header(file)
        earlier = _map(base)
        made = sum(item.size for item in header.sections)
        if header.base_size != len(earlier) or not made == header.new_size == size:
            raise ArtifactMismatch("the patch belongs to another file")
        for section in header.sections:
            out.write(_restore(section, earlier, file))


def _map(path: Path) -> Array:
    return np.memmap(path, np.uint8, "r") if path.stat().st_size else np.empty(0, np.uint8)


def _tensors(data: Array) -> dict[str, tuple[str, tuple[int, ...], int, int]]:
    """Return name -> (dtype, shape, begin, end), offsets in the file."""
    try:
        (length,) = struct.unpack("<Q", bytes(data[:8]))
        if length > MAX_HEADER:
            raise ValueError
        entries = json.loads(bytes(data[8 : 8 + length]))
        found = {}
        for name, entry in entries.items():
            if name != "__metadata__":
                begin, end = entry["data_offsets"]
                if not 0 <= begin <= end <= len(data) - 8 - length:
                    raise ValueError
                found[name] = (str(entry["dtype"]), tuple(entry["shape"]), 8 + length + begin, 8 + length + end)
    except (struct.error, ValueError, KeyError, TypeError, AttributeError):
        raise ArtifactMismatch("this is no safetensors file") from None
    return found


def _pieces(start: int, end: int) -> Iterator[tuple[int, int]]:
    return ((at, min(at + PIECE, end)) for at in range(start, end, PIECE))


def _fresh(later: Array, start: int, end: int, item: int, payloads: list[bytes]) -> Iterator[Section]:
    for begin, stop in _pieces(start, end):
        payloads.append(_pack(later[begin:stop], item))
        yield Section("new", stop - begin, 0, len(payloads[-1]), item)


def _changed(
    earlier: Array, later: Array, base: int, start: int, end: int, item: int, payloads: list[bytes]
) -> Iterator[Section]:
    for begin, stop in _pieces(start, end):
        at = base + begin - start
        one, other = later[begin:stop], earlier[at : at + stop - begin]
        if np.array_equal(one, other):
            yield Section("copy", stop - begin, at, 0, item)
        else:
            payloads.append(_pack(one ^ other, item))
            yield Section("xor", stop - begin, at, len(payloads[-1]), item)


def _pack(data: Array, item: int) -> bytes:
    planes = data.reshape(-1, item).T if len(data) % item == 0 else data
    packed: bytes = pa.Codec("zstd", LEVEL).compress(np.ascontiguousarray(planes).tobytes(), asbytes=True)
    return packed


def _unpack(data: bytes, size: int, item: int) -> Array:
    try:
        plain = np.frombuffer(pa.Codec("zstd").decompress(data, size, asbytes=True), np.uint8)
    except (OSError, ValueError, pa.ArrowException):
        raise ArtifactMismatch("the patch is damaged") from None
    if len(plain) != size:
        raise ArtifactMismatch("the patch is damaged")
    return np.ascontiguousarray(plain.reshape(item, -1).T).reshape(-1) if size % item == 0 else plain


def _read_header(file: BinaryIO) -> _Header:
    start = file.read(len(MAGIC) + 8)
    if len(start) != len(MAGIC) + 8 or not start.startswith(MAGIC):
        raise ArtifactMismatch("this is no patch")
    (length,) = struct.unpack("<Q", start[len(MAGIC) :])
    if length > MAX_HEADER:
        raise ArtifactMismatch("the patch's header is too large")
    try:
        header = msgspec.json.decode(file.read(length), type=_Header)
    except UNPARSABLE:
        raise ArtifactMismatch("the patch's header does not parse") from None
    sizes = itertools.chain.from_iterable((item.size, item.base, item.payload) for item in header.sections)
    is_sound = all(item.kind in ("copy", "xor", "new") and item.item in (1, 2, 4, 8) for item in header.sections)
    if not is_sound or any(size < 0 for size in sizes) or any(item.size > PIECE for item in header.sections):
        raise ArtifactMismatch("the patch's header makes no sense")
    return header


def _restore(section: Section, earlier: Array, file: BinaryIO) -> bytes:
    before = earlier[section.base : section.base + section.size]
    if section.kind != "new" and len(before) != section.size:
        raise ArtifactMismatch("the patch belongs to another file")
    if section.kind == "copy":
        return before.tobytes()
    change = _unpack(file.read(section.payload), section.size, section.item)
    return (change if section.kind == "new" else change ^ before).tobytes()
