"""What an episode's stored objects must be before it is registered: the bytes, steps and videos that its manifest says.

Called by `episode.py` for robots' uploads and for imports. Nothing is written or removed here.
"""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Mapping
from typing import IO, cast

from django.conf import settings

from fleet.errors import VideoCheckSlow
from fleet.exports.video import probe_video
from fleet.protocol.errors import InvalidVideo, ObjectMismatch
from fleet.protocol.recording import (
    MANIFEST_OBJECT,
    STEPS_OBJECT,
    CameraRecord,
    EpisodeManifest,
    ObjectRecord,
    encode_manifest,
    validate_steps,
)
from fleet.protocol.steps import decode_steps
from fleet.selectors.objects import object_store
from fleet.storage import ObjectMissing, keys
from fleet.storage.seekable import SeekableObject

SMALL_BYTES = 1024 * 1024


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

    whole = _check_bytes(manifest, check_time)
    try:
        steps = whole.get(STEPS_OBJECT) or object_store().get(keys.episode_object(manifest.episode_id, STEPS_OBJECT))
        validate_steps(decode_steps(steps), manifest)
        _check_videos(manifest, whole, check_time)
    except ObjectMissing:  # the collector took it for an upload that nobody finished
        raise ObjectAbsent("an object went away while it was checked") from None


def _check_bytes(manifest: EpisodeManifest, check_time: Callable[[], object]) -> dict[str, bytes]:
    """Compare size and SHA-256 of every object; return the bytes of the small ones by name.

    A small one is read once and hashed here: in a bucket each look costs a request. Of a large one that came in parts
    this reads the whole: its parts were checked, what they make was not.
    """
    body = encode_manifest(manifest)
    records = [*manifest.objects, ObjectRecord(name=MANIFEST_OBJECT, size=len(body), sha256=manifest_sha256(manifest))]
    store, whole = object_store(), {}
    for record in records:
        key = keys.episode_object(manifest.episode_id, record.name)
        try:
            if record.size <= SMALL_BYTES:
                check_time()
                data = whole[record.name] = store.read(key, start=0, size=record.size + 1)
                found = (len(data), hashlib.sha256(data).hexdigest())
            else:
                found = store.digest(key, before_read=check_time)
        except ObjectMissing:
            raise ObjectAbsent(f"'{record.name}' is not stored", object=record.name) from None
        if found != (record.size, record.sha256):
            raise ObjectMismatch(f"'{record.name}' differs from the manifest in size or SHA-256", object=record.name)
    return whole


def _check_videos(manifest: EpisodeManifest, whole: Mapping[str, bytes], check_time: Callable[[], object]) -> None:
    sizes = {record.name: record.size for record in manifest.objects}
    for camera in manifest.cameras:
        if camera.object in whole:
            check_time()
            probe_video(io.BytesIO(whole[camera.object]), manifest, camera)
            continue
        key = keys.episode_object(manifest.episode_id, camera.object)
        with SeekableObject(object_store(), key, size=sizes[camera.object], before_read=check_time) as file:
            _check_large_video(file, manifest, camera)


def _check_large_video(file: SeekableObject, manifest: EpisodeManifest, camera: CameraRecord) -> None:
    """Read its index and its first picture; what the other pictures' bytes are, the hash has said.

    FFmpeg reads an index that is spread over the file (a fragmented MP4) before the first picture. A video that is not
    sound over blanks is read through before it is refused.
    """

    def spare_the_rest() -> None:
        file.is_blank = True

    try:
        probe_video(cast("IO[bytes]", file), manifest, camera, first_seen=spare_the_rest)
    except InvalidVideo:
        file.is_blank = False
        probe_video(cast("IO[bytes]", file), manifest, camera)
