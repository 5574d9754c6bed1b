"""What a robot must not get registered: videos, steps and manifests that are not what they say. Nothing of it stays."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import msgspec
import numpy as np
import pytest

from fleet.errors import DuplicateEpisode, VideoCheckSlow
from fleet.models import Episode, Segment
from fleet.protocol.calibration import Calibration
from fleet.protocol.errors import InvalidEpisode, InvalidManifest, InvalidVideo, ObjectMismatch, SopError
from fleet.protocol.recording import (
    MANIFEST_OBJECT,
    STEPS_OBJECT,
    CameraRecord,
    EpisodeManifest,
    Outcome,
    encode_manifest,
)
from fleet.protocol.steps import encode_steps
from fleet.services import episode_check
from fleet.services.episode import episode_register
from fleet.storage import keys, seekable
from fleet.storage.local import LocalStore
from fleet.storage.seekable import SeekableObject
from tests.fleet import builders

pytestmark = pytest.mark.django_db
Files = dict[str, bytes]


def _sealed(manifest: EpisodeManifest, files: Files, **changes: Any) -> tuple[EpisodeManifest, Files]:
    """Hash everything anew: the manifest stands by these files, whatever they are."""
    objects = tuple(builders.record(name, data) for name, data in files.items() if name != MANIFEST_OBJECT)
    manifest = msgspec.structs.replace(manifest, **({"objects": objects} | changes))
    return manifest, {**files, MANIFEST_OBJECT: encode_manifest(manifest)}


def _two_cameras(steps: int = 5) -> tuple[EpisodeManifest, Files]:
    manifest, files = builders.episode(builders.task(), builders.enrol().robot, steps=steps)
    wrist = CameraRecord(name="wrist", object="wrist.mp4", width=64, height=48)
    files["wrist.mp4"] = builders.video(steps, width=64, height=48)
    return _sealed(manifest, files, cameras=(*manifest.cameras, wrist))


def _refused(objects: LocalStore, manifest: EpisodeManifest, files: Files) -> SopError:
    """Register; assert that it was refused, that there is no row, and that the store is as empty as before."""
    builders.store(manifest, files)
    with pytest.raises(SopError) as caught:
        episode_register(robot_id=manifest.robot_id, manifest=manifest, uploaded_ns=None)
    assert (Episode.objects.count(), Segment.objects.count()) == (0, 0)
    assert list(objects.list()) == []
    return caught.value


def _uneven(folder: Path) -> bytes:
    """Five frames of which the fourth is shown half a frame late."""
    path = folder / "uneven.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"bf": "0"})
        stream.width = stream.height = builders.PIXELS
        stream.time_base = stream.codec_context.time_base = Fraction(1, 20)
        for time in (0, 2, 4, 7, 8):
            frame = av.VideoFrame.from_ndarray(np.zeros((builders.PIXELS, builders.PIXELS, 3), np.uint8))
            frame.pts, frame.time_base = time, Fraction(1, 20)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path.read_bytes()


def _hollow(data: bytes) -> bytes:
    """A video whose index is whole and whose pictures are noise."""
    start = data.index(b"mdat") + 4
    size = int.from_bytes(data[start - 8 : start - 4], "big") - 8
    return data[:start] + b"\x5a" * size + data[start + size :]


BAD_VIDEOS: dict[str, Callable[[Path], bytes]] = {
    "one frame short": lambda _: builders.video(4),
    "one frame more": lambda _: builders.video(6),
    "other size": lambda _: builders.video(5, width=64),
    "other rate": lambda _: builders.video(5, rate_hz=15.0),
    "a frame late": _uneven,
    "cut": lambda _: builders.video(5)[:-100],
    "no video at all": lambda _: b"not really a video" * 10,
    "pictures that are noise": lambda _: _hollow(builders.video(5)),
    "no index": lambda _: builders.video(5)[: builders.video(5).index(b"moov") - 4],
    "a playlist": lambda folder: f"#EXTM3U\n#EXTINF:1,\nfile://{folder}/secret.mp4\n#EXT-X-ENDLIST\n".encode(),
}


@pytest.fixture(params=["small", "large"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a small video count as one that is not read whole."""
    if request.param == "large":
        monkeypatch.setattr(episode_check, "SMALL_BYTES", 0)


@pytest.mark.usefixtures("size")
@pytest.mark.parametrize("case", BAD_VIDEOS)
def test_a_video_that_is_not_what_the_manifest_says(objects: LocalStore, tmp_path: Path, case: str) -> None:
    """Its sizes and hashes are true, so only looking into it tells; a playlist opens no file of this server."""
    (tmp_path / "secret.mp4").write_bytes(builders.video(5))
    manifest, files = builders.episode(builders.task(), builders.enrol().robot)
    error = _refused(objects, *_sealed(manifest, files | {"front.mp4": BAD_VIDEOS[case](tmp_path)}))
    assert isinstance(error, InvalidVideo), error
    assert (error.code, error.data["object"]) == ("invalid_video", "front.mp4")


@pytest.mark.usefixtures("size")
def test_a_good_video_of_each_camera_is_registered(objects: LocalStore) -> None:
    manifest, files = _two_cameras()
    builders.store(manifest, files)
    assert episode_register(robot_id=manifest.robot_id, manifest=manifest, uploaded_ns=None).index_seq == 1


def _fragmented(data: bytes) -> bytes:
    """The same frames with an index before each group of them, and none for all."""
    target = io.BytesIO()
    options = {"movflags": "frag_keyframe+empty_moov"}
    with av.open(io.BytesIO(data)) as source, av.open(target, "w", format="mp4", options=options) as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = stream
                container.mux(packet)
    return target.getvalue()


def _noise(folder: Path, b_frames: int) -> bytes:
    """30 frames of noise, each some kilobytes."""
    path = folder / "noise.mp4"
    pictures = np.random.default_rng(0).integers(0, 255, (30, builders.PIXELS, builders.PIXELS, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"bf": str(b_frames)})
        stream.width = stream.height = builders.PIXELS
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())
    return path.read_bytes()


LARGE_VIDEOS: dict[str, Callable[[Path], bytes]] = {
    "index at the end": lambda folder: _noise(folder, 0),
    "frames stored in another order": lambda folder: _noise(folder, 2),
    "index in pieces": lambda folder: _fragmented(_noise(folder, 0)),
}


@pytest.mark.parametrize("case", LARGE_VIDEOS)
def test_of_a_large_video_the_index_and_the_first_picture_are_read(
    objects: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    video = LARGE_VIDEOS[case](tmp_path)
    read: list[int] = []
    monkeypatch.setattr(episode_check, "SMALL_BYTES", 0)
    monkeypatch.setattr(seekable, "BLOCK_BYTES", 512)
    fetch = SeekableObject._fetch

    def noted(file: SeekableObject, start: int) -> bytes:
        read.append(start)
        return fetch(file, start)

    monkeypatch.setattr(SeekableObject, "_fetch", noted)
    manifest, files = builders.episode(builders.task(), builders.enrol().robot, steps=30)
    manifest, files = _sealed(manifest, files | {"front.mp4": video})
    builders.store(manifest, files)
    assert episode_register(robot_id=manifest.robot_id, manifest=manifest, uploaded_ns=None).index_seq == 1
    assert len(set(read)) * 512 / len(video) < 0.5


def test_a_check_that_takes_too_long_may_be_tried_again(objects: LocalStore, settings: Any) -> None:
    manifest, files = _two_cameras()
    builders.store(manifest, files)
    settings.SOP_VIDEO_CHECK_S = 0.0
    with pytest.raises(VideoCheckSlow):
        episode_register(robot_id=manifest.robot_id, manifest=manifest, uploaded_ns=None)
    assert Episode.objects.count() == 0
    settings.SOP_VIDEO_CHECK_S = 60.0
    assert episode_register(robot_id=manifest.robot_id, manifest=manifest, uploaded_ns=None).index_seq == 1


@pytest.mark.parametrize("is_owned", [False, True], ids=["against the manifest", "with it"])
def test_two_cameras_files_exchanged(objects: LocalStore, is_owned: bool) -> None:
    manifest, files = _two_cameras()
    files |= {"front.mp4": files["wrist.mp4"], "wrist.mp4": files["front.mp4"]}
    error = _refused(objects, *(_sealed(manifest, files) if is_owned else (manifest, files)))
    assert isinstance(error, InvalidVideo if is_owned else ObjectMismatch)


@pytest.mark.parametrize(("steps", "human"), [(4, 0), (6, 0), (5, 2)])
@pytest.mark.parametrize("is_owned", [False, True], ids=["against the manifest", "with it"])
def test_steps_of_another_episode(objects: LocalStore, steps: int, human: int, is_owned: bool) -> None:
    manifest, files = builders.episode(builders.task(), builders.enrol().robot)
    files[STEPS_OBJECT] = encode_steps(builders.step_arrays(steps, human=human))
    error = _refused(objects, *(_sealed(manifest, files) if is_owned else (manifest, files)))
    assert isinstance(error, InvalidEpisode if is_owned else ObjectMismatch)


@pytest.mark.parametrize("name", [STEPS_OBJECT, "front.mp4", "wrist.mp4", MANIFEST_OBJECT])
@pytest.mark.parametrize("left", [0, 1, -1])
def test_truncated_objects(objects: LocalStore, name: str, left: int) -> None:
    manifest, files = _two_cameras()
    error = _refused(objects, manifest, files | {name: files[name][:left]})
    assert (type(error), error.data["object"]) == (ObjectMismatch, name)


def _lie(record_change: dict[str, Any]) -> Callable[[EpisodeManifest], dict[str, Any]]:
    def change(manifest: EpisodeManifest) -> dict[str, Any]:
        first, *rest = manifest.objects
        return {"objects": (msgspec.structs.replace(first, **record_change), *rest)}

    return change


def _renamed(name: str) -> Callable[[EpisodeManifest], dict[str, Any]]:
    def change(manifest: EpisodeManifest) -> dict[str, Any]:
        steps, video = manifest.objects
        (camera,) = manifest.cameras
        return {
            "objects": (steps, msgspec.structs.replace(video, name=name)),
            "cameras": (msgspec.structs.replace(camera, object=name),),
        }

    return change


LIES: dict[str, tuple[Callable[[EpisodeManifest], dict[str, Any]], type[SopError]]] = {
    "smaller": (_lie({"size": 7}), ObjectMismatch),
    "larger": (_lie({"size": 10**6}), ObjectMismatch),
    "nothing": (_lie({"size": 0}), InvalidManifest),
    "more than any object has": (_lie({"size": 2**62}), InvalidManifest),
    "other hash": (_lie({"sha256": "0" * 64}), ObjectMismatch),
    "no hash": (_lie({"sha256": "x"}), InvalidManifest),
    "other steps": (lambda _: {"steps": 6}, InvalidManifest),
    "a calibration of another hash": (
        lambda _: {"calibration": Calibration(document="{}", sha256="0" * 64)}, InvalidManifest
    ),
    "a calibration that is none": (
        lambda _: {"calibration": Calibration(document="[]", sha256=hashlib.sha256(b"[]").hexdigest())}, InvalidManifest
    ),
    "no camera": (lambda _: {"cameras": ()}, InvalidManifest),
    "the steps as video": (_renamed(STEPS_OBJECT), InvalidManifest),
    "the manifest as video": (_renamed(MANIFEST_OBJECT), InvalidManifest),
    **{f"name {name!a}": (_renamed(name), InvalidManifest) for name in (
        "../front.mp4", "../../kept", "/etc/passwd", "a/b.mp4", "..", ".front.mp4", "front.mp4\x00", "F.mp4", "x" * 65
    )},
}  # fmt: skip


@pytest.mark.parametrize("case", LIES)
def test_a_manifest_that_lies(objects: LocalStore, case: str) -> None:
    change, kind = LIES[case]
    manifest, files = builders.episode(builders.task(), builders.enrol().robot)
    lying = msgspec.structs.replace(manifest, **change(manifest))
    builders.store(manifest, {**files, MANIFEST_OBJECT: encode_manifest(lying)})
    error = _refused(objects, lying, {})
    assert type(error) is kind, error


UPPER_CASE = "3F2F7704-9115-48AF-AAA8-F0F1EA0B69A0"


@pytest.mark.parametrize("episode_id", ["../../kept", "..", "", "A" * 36, UPPER_CASE, "x/" + "0" * 34])
def test_an_id_with_a_path_in_it_reaches_nothing(objects: LocalStore, episode_id: str) -> None:
    manifest, _ = builders.episode(builders.task(), builders.enrol().robot, episode_id=episode_id)
    objects.put("kept", b"mine")
    with pytest.raises(InvalidManifest):
        episode_register(robot_id=manifest.robot_id, manifest=manifest, uploaded_ns=None)
    assert (Episode.objects.count(), list(objects.list())) == (0, ["kept"])


def test_a_registered_id_with_other_content_changes_nothing(objects: LocalStore) -> None:
    """Other steps, another outcome, another video: refused, and the first keeps its bytes."""
    manifest, files = builders.episode(builders.task(), builders.enrol().robot)
    builders.store(manifest, files)
    episode_register(robot_id=manifest.robot_id, manifest=manifest, uploaded_ns=None)
    before = {key: objects.get(key) for key in objects.list()}
    rewarded = encode_steps(builders.step_arrays(5) | {"reward": np.ones(5, np.float32)})
    others = (
        msgspec.structs.replace(manifest, outcome=Outcome.FAILURE),
        _sealed(manifest, files | {"front.mp4": builders.video(5, shade=200)})[0],
        _sealed(manifest, files | {STEPS_OBJECT: rewarded})[0],
    )
    for other in others:
        with pytest.raises(DuplicateEpisode) as caught:
            episode_register(robot_id=manifest.robot_id, manifest=other, uploaded_ns=None)
        assert caught.value.code == "duplicate_id"
    assert {key: objects.get(key) for key in objects.list()} == before
    assert list(before) == sorted(keys.episode_object(manifest.episode_id, name) for name in files)
