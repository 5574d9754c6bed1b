"""What an episode's stored objects must be before it is registered: the bytes, steps and videos that its manifest says.

Called by `episode.py` for robots' uploads and for imports. Nothing is written or removed here.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import IO, cast

from django.conf import settings

from fleet.errors import VideoCheckSlow
from fleet.exports.video import probe_video
from fleet.protocol.errors import ObjectMismatch
from fleet.protocol.recording import (
    MANIFEST_OBJECT,
    STEPS_OBJECT,
    EpisodeManifest,
    ObjectRecord,
    encode_manifest,
    validate_steps,
)
from fleet.protocol.steps import decode_steps
from fleet.selectors.objects import object_store
from fleet.storage import ObjectMissing, keys
from fleet.storage.seekable import SeekableObject


class ObjectAbsent(ObjectMismatch):
    """An object is not stored (yet): the robot may upload it and try again."""


def manifest_sha256(manifest: EpisodeManifest) -> str:
    """Return the hex SHA-256 of a manifest's canonical bytes."""
    return hashlib.sha256(encode_manifest(manifest)).hexdigest()


def episode_objects_check(manifest: EpisodeManifest) -> None:
    """Compare every stored object with the manifest, then check the steps and the videos.

    Raises: ObjectAbsent, ObjectMismatch, InvalidEpisode, InvalidVideo, VideoCheckSlow.
    """
    deadline_s = time.monotonic() + settings.SOP_VIDEO_CHECK_S

    def check_time() -> None:
        if time.monotonic() > deadline_s:
            raise VideoCheckSlow(f"the episode was not read through in {settings.SOP_VIDEO_CHECK_S:g} s")

    _check_bytes(manifest, check_time)
    try:
        steps = decode_steps(object_store().get(keys.episode_object(manifest.episode_id, STEPS_OBJECT)))
        validate_steps(steps, manifest)
        _check_videos(manifest, check_time)
    except ObjectMissing:  # the collector took it for an upload that nobody finished
        raise ObjectAbsent("an object went away while it was checked") from None


def _check_bytes(manifest: EpisodeManifest, check_time: Callable[[], object]) -> None:
    """Of an object that came in parts this reads the whole: its parts were checked, what they make was not."""
    body = encode_manifest(manifest)
    records = [*manifest.objects, ObjectRecord(name=MANIFEST_OBJECT, size=len(body), sha256=manifest_sha256(manifest))]
    store = object_store()
    for record in records:
        try:
            found = store.digest(keys.episode_object(manifest.episode_id, record.name), before_read=check_time)
        except ObjectMissing:
            raise ObjectAbsent(f"'{record.name}' is not stored", object=record.name) from None
        if found != (record.size, record.sha256):
            raise ObjectMismatch(f"'{record.name}' differs from the manifest in size or SHA-256", object=record.name)


def _check_videos(manifest: EpisodeManifest, check_time: Callable[[], object]) -> None:
    for camera in manifest.cameras:
        key = keys.episode_object(manifest.episode_id, camera.object)
        with SeekableObject(object_store(), key, before_read=check_time) as file:
            probe_video(cast("IO[bytes]", file), manifest, camera)
