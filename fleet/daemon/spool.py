"""Closed episodes on disk between the recorder and the server. Bounded, crash-safe, and it never drops unsent data.

    <state>/spool/pending/<episode_id>/    closed, not yet registered
    <state>/spool/uploaded/<episode_id>/   registered; the oldest go first when room is needed, here or on a full disk
    <state>/spool/refused/<episode_id>/    refused for good by the server, with refusal.json; kept for a person
    <state>/spool/closed.log               one episode id a line, every episode ever closed here

An episode is closed by one rename (recorder.write_episode). `closed.log` follows: on a full disk as soon as there is
room, and at the next start if the process died in between. Called from the writer thread, the control thread and the
uploader: everything is locked.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from fleet.daemon.episode import EpisodeRecording
from fleet.daemon.files import size_of, sync, write_durably
from fleet.daemon.recorder import TEMPORARY_PREFIX, write_episode
from fleet.protocol.errors import UNPARSABLE
from fleet.protocol.messages import ShadowEpisode, SpoolStats
from fleet.protocol.recording import MANIFEST_OBJECT, EpisodeManifest, decode_manifest

logger = logging.getLogger(__name__)

FIRST_RESERVE = 1 / 16  # of the capacity, kept free for an episode while none has been closed yet
REFUSAL_FILE = "refusal.json"
SHADOW_FILE = "shadow.json"


class Spool:
    """The spool of one robot. `on_closed` is called after each close, from the writer's thread."""

    def __init__(self, directory: Path, *, capacity_bytes: int, video_crf: int = 18) -> None:
        self.on_closed: Callable[[], object] = lambda: None
        self._capacity_bytes = capacity_bytes
        self._video_crf = video_crf
        self._lock = threading.Lock()
        self._pending_dir = directory / "pending"
        self._uploaded_dir = directory / "uploaded"
        self._refused_dir = directory / "refused"
        self._log_path = directory / "closed.log"
        for folder in (self._pending_dir, self._uploaded_dir, self._refused_dir):
            folder.mkdir(parents=True, exist_ok=True)
        self._remove_half_written()
        self._pending = _sizes(self._pending_dir)
        self._uploaded = _sizes(self._uploaded_dir)
        self._refused = _sizes(self._refused_dir)
        self._reserved = 0
        sizes = [*self._pending.values(), *self._uploaded.values()]
        self._largest_bytes = max(sizes, default=0)
        logged = self._read_log()
        self._unlogged = [
            i for known in (self._pending, self._uploaded, self._refused) for i in known if i not in logged
        ]
        self._closed = logged.union(self._unlogged)
        self._log_closed()
        if self._unlogged:
            self.shrink()

    # --- Recording ---------------------------------------------------------------------------------------------------

    def reserve(self) -> bool:
        """Make room for one more episode by removing the oldest uploaded ones; False if unsent ones fill the spool."""
        with self._lock:
            expected = self._largest_bytes or int(FIRST_RESERVE * self._capacity_bytes)
            wanted = (self._reserved + 1) * expected
            while self._used_bytes() + wanted > self._capacity_bytes and self._uploaded:
                self._remove_oldest_uploaded()
            if self._used_bytes() + wanted > self._capacity_bytes:
                return False
            self._reserved += 1
            return True

    def unreserve(self) -> None:
        """Give the room back: the episode was closed, or never came to be."""
        with self._lock:
            self._reserved = max(0, self._reserved - 1)

    def add(
        self, recording: EpisodeRecording, *, software: dict[str, str], shadow: ShadowEpisode | None = None
    ) -> EpisodeManifest:
        """Close an episode: write it whole, count it, tell `on_closed`. `shadow`: what a candidate proposed in it.

        Trying again after an OSError is safe, also when the episode had been written already.
        Raises: InvalidEpisode or InvalidManifest (nothing was stored); OSError when the disk fails.
        """
        if self.path(recording.spec.episode_id).exists():
            manifest = self.manifest(recording.spec.episode_id)
        else:
            beside = {SHADOW_FILE: msgspec.json.encode(shadow)} if shadow is not None else {}
            crf = self._video_crf
            manifest = write_episode(recording, self._pending_dir, software=software, video_crf=crf, beside=beside)
        size = size_of(self._pending_dir / manifest.episode_id)
        with self._lock:
            self._pending[manifest.episode_id] = size
            self._largest_bytes = max(self._largest_bytes, size)
            if manifest.episode_id not in self._closed:
                self._closed.add(manifest.episode_id)
                self._unlogged.append(manifest.episode_id)
            self._log_closed()
        self.on_closed()
        return manifest

    def room(self) -> int:
        """Return how many bytes episodes may still take of the disk."""
        with self._lock:
            return max(0, self._capacity_bytes - self._used_bytes())

    def shrink(self) -> bool:
        """Remove uploaded episodes, the oldest first, for one more: the disk is full. Whether there were any."""
        with self._lock:
            before, wanted = self._used_bytes(), max(1, self._largest_bytes)
            while self._uploaded and before - self._used_bytes() < wanted:
                self._remove_oldest_uploaded()
            self._log_closed()
            return self._used_bytes() < before

    # --- Uploading ---------------------------------------------------------------------------------------------------

    def pending(self) -> list[str]:
        """Return the ids of unsent episodes, oldest first."""
        with self._lock:
            return list(self._pending)

    def path(self, episode_id: str, name: str = "") -> Path:
        """Return the path of an object of a pending episode."""
        return self._pending_dir / episode_id / name

    def manifest(self, episode_id: str) -> EpisodeManifest:
        """Read a pending episode's manifest. Raises: OSError, InvalidManifest."""
        return decode_manifest(self.path(episode_id, MANIFEST_OBJECT).read_bytes())

    def shadow(self, episode_id: str) -> ShadowEpisode | None:
        """Read what a candidate proposed in a pending episode. A damaged record is left out, and says so."""
        try:
            return msgspec.json.decode(self.path(episode_id, SHADOW_FILE).read_bytes(), type=ShadowEpisode)
        except FileNotFoundError:
            return None
        except (OSError, *UNPARSABLE) as error:
            logger.error("the shadow's record of episode %s is unusable: %s", episode_id, error)
            return None

    def mark_uploaded(self, episode_id: str) -> None:
        """The server has registered it: it may be removed when room is needed. Unknown ids are ignored."""
        with self._lock:
            if episode_id in self._pending:
                self._move(episode_id, self._uploaded_dir)
                self._uploaded[episode_id] = self._pending.pop(episode_id)

    def mark_refused(self, episode_id: str, *, code: str, message: str) -> None:
        """The server will never take it: set it aside with the reason. Unknown ids are ignored."""
        with self._lock:
            if episode_id in self._pending:
                reason = msgspec.json.encode({"code": code, "message": message})
                write_durably(self._pending_dir / episode_id / REFUSAL_FILE, reason)
                self._move(episode_id, self._refused_dir)
                self._refused[episode_id] = self._pending.pop(episode_id)

    # --- Counting ----------------------------------------------------------------------------------------------------

    @property
    def closed_count(self) -> int:
        """Episodes closed on this robot, all time."""
        with self._lock:
            return len(self._closed)

    def stats(self) -> SpoolStats:
        with self._lock:
            return SpoolStats(
                pending_episodes=len(self._pending),
                pending_bytes=sum(self._pending.values()),
                capacity_bytes=self._capacity_bytes,
            )

    # --- Inside ------------------------------------------------------------------------------------------------------

    def _used_bytes(self) -> int:
        return sum(sum(sizes.values()) for sizes in (self._pending, self._uploaded, self._refused))

    def _remove_oldest_uploaded(self) -> None:
        episode_id = next(iter(self._uploaded))
        doomed = self._uploaded_dir / f"{TEMPORARY_PREFIX}{episode_id}"  # a crash half-way leaves no half episode
        (self._uploaded_dir / episode_id).rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)
        del self._uploaded[episode_id]
        logger.info("removed uploaded episode %s to make room", episode_id)

    def _move(self, episode_id: str, folder: Path) -> None:
        (self._pending_dir / episode_id).rename(folder / episode_id)
        sync(folder)
        sync(self._pending_dir)

    def _remove_half_written(self) -> None:
        for folder in (self._pending_dir, self._uploaded_dir):
            for path in folder.glob(f"{TEMPORARY_PREFIX}*"):
                logger.warning("removing half-written %s", path.name)
                shutil.rmtree(path)

    def _read_log(self) -> set[str]:
        """Read closed.log and cut a torn last line."""
        data = self._log_path.read_bytes() if self._log_path.exists() else b""
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) != len(data):
            os.truncate(self._log_path, len(whole))
        return set(whole.decode("ascii").split())

    def _log_closed(self) -> None:
        """Bring closed.log up to date. It may wait for room: the episodes are closed, are sent, and count."""
        if not self._unlogged:
            return
        try:
            self._append_log(self._unlogged)
        except OSError as error:
            logger.error("closed.log lacks %d episodes for now: %s", len(self._unlogged), error)
            return
        self._unlogged.clear()

    def _append_log(self, episode_ids: list[str]) -> None:
        """Append whole lines or nothing: what a full disk took of a line would merge with the next try.

        Raises: OSError.
        """
        data = "".join(f"{episode_id}\n" for episode_id in episode_ids).encode("ascii")
        with self._log_path.open("ab", buffering=0) as file:
            size = file.tell()
            try:
                if file.write(data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
            except OSError:
                file.truncate(size)
                raise


def _sizes(folder: Path) -> dict[str, int]:
    """Return episode id -> bytes of a folder's episodes, oldest first (a directory's mtime is when it was written)."""
    directories = sorted((path for path in folder.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime_ns)
    return {path.name: size_of(path) for path in directories}
