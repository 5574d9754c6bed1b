"""Where a robot puts the objects of an episode: each with one PUT, or in parts when it is large (ADR 0009)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec
from django.conf import settings

from fleet.errors import InvalidRequest
from fleet.protocol.errors import ObjectMismatch
from fleet.protocol.messages import ObjectParts, PartTarget, UploadTarget
from fleet.protocol.recording import MAX_OBJECT_BYTES, ObjectRecord
from fleet.selectors.objects import object_store
from fleet.storage import ObjectConflict, keys
from fleet.storage.parts import PartPlan

UPLOAD_URL_EXPIRES_S = 3600
MAX_OBJECTS = 32
PARTS_AT_ONCE = 64  # granted in one answer: a signed URL has up to 2 kB, a frame 1 MiB
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def episode_upload_grant(
    *, episode_id: str, objects: Sequence[ObjectRecord], parts: Sequence[ObjectParts] = (), takes_parts: bool = False
) -> tuple[UploadTarget, ...]:
    """Return where to PUT each object; those stored already with the same hash need nothing.

    `takes_parts`: whether this robot can send parts. It is then told to for objects above SOP_PARTS_ABOVE_BYTES, asks
    again with `parts`, is told the missing ones, and asks once more: an object whose parts are all there takes its key.
    Raises: InvalidRequest for impossible names, sizes or hashes, PartsInvalid for impossible parts; ObjectMismatch if
    a key holds other content.
    """
    if not _UUID.fullmatch(episode_id):
        raise InvalidRequest("episode_id must be a UUID", field="episode_id")
    if not 0 < len(objects) <= MAX_OBJECTS or len({record.name for record in objects}) != len(objects):
        raise InvalidRequest(f"an episode has 1 to {MAX_OBJECTS} objects, each once", field="objects")
    cut = {each.name: each for each in parts}
    if len(cut) != len(parts) or not set(cut) <= {record.name for record in objects}:
        raise InvalidRequest("parts belong to objects of this episode, each once", field="parts")
    for record in objects:
        _check_record(record)
    existing = _existing(episode_id, objects)
    targets = [
        _upload_target(episode_id, record, cut, takes_parts=takes_parts, may_be_stored=record.name in existing)
        for record in objects
    ]
    return tuple(_at_most(targets, PARTS_AT_ONCE))


def _check_record(record: ObjectRecord) -> None:
    is_sound = _NAME.fullmatch(record.name) and _SHA256.fullmatch(record.sha256)
    if not is_sound or not 0 < record.size <= MAX_OBJECT_BYTES:
        raise InvalidRequest(f"object '{record.name[:64]}' has a bad name, size or hash", field="objects")


def _existing(episode_id: str, objects: Sequence[ObjectRecord]) -> set[str]:
    """Return the names of those that have an object at their key, whatever it holds."""
    named = {keys.episode_object(episode_id, record.name): record.name for record in objects}
    return {named[key] for key in object_store().existing(keys.episode_object(episode_id, ""), named)}


def _upload_target(
    episode_id: str,
    record: ObjectRecord,
    cut: Mapping[str, ObjectParts],
    *,
    takes_parts: bool,
    may_be_stored: bool,
) -> UploadTarget:
    key = keys.episode_object(episode_id, record.name)
    stored = UploadTarget(name=record.name, url="", headers={}, is_stored=True)
    if may_be_stored and _is_stored(key, record):
        return stored
    if record.name in cut:
        return _part_targets(key, record, cut[record.name]) or stored
    if takes_parts and record.size > settings.SOP_PARTS_ABOVE_BYTES:
        return UploadTarget(name=record.name, url="", headers={}, is_stored=False, part_bytes=settings.SOP_PART_BYTES)
    signed = object_store().sign_put(key, size=record.size, sha256=record.sha256, expires_s=UPLOAD_URL_EXPIRES_S)
    return UploadTarget(name=record.name, url=signed.url, headers=signed.headers, is_stored=False)


def _is_stored(key: str, record: ObjectRecord) -> bool:
    """Whether the object is there. What was promised of one in parts is believed here, and read before registration.

    Raises: ObjectMismatch.
    """
    store = object_store()
    if not store.exists(key):
        return False
    if store.holds(key, size=record.size, sha256=record.sha256):
        return True
    if store.digest(key) != (record.size, record.sha256):
        raise ObjectMismatch(f"'{record.name}' of this episode is stored with other content", object=record.name)
    return True


def _part_targets(key: str, record: ObjectRecord, cut: ObjectParts) -> UploadTarget | None:
    """Return where the missing parts go; None when none was missing, and the object has its key now."""
    plan = PartPlan(size=record.size, sha256=record.sha256, part_bytes=cut.part_bytes, parts=cut.sha256)
    upload = object_store().parted(key, plan)
    if not upload.missing:
        try:
            upload.complete()
        except ObjectConflict:
            if not _is_stored(key, record):
                raise
        return None
    due = upload.missing[:PARTS_AT_ONCE]
    signed = [(number, upload.sign(number, expires_s=UPLOAD_URL_EXPIRES_S)) for number in due]
    parts = tuple(PartTarget(number=number, url=put.url, headers=put.headers) for number, put in signed)
    return UploadTarget(name=record.name, url="", headers={}, is_stored=False, part_bytes=cut.part_bytes, parts=parts)


def _at_most(targets: Sequence[UploadTarget], limit: int) -> list[UploadTarget]:
    """Leave out parts beyond so many of all objects together; an object may have to be asked for once more."""
    granted = []
    for target in targets:
        kept = target.parts[:limit]
        limit -= len(kept)
        granted.append(msgspec.structs.replace(target, parts=kept))
    return granted
