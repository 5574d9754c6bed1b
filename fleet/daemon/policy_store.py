"""Policy versions on the robot's disk: a cache of blobs named by their SHA-256, and which version drove last.

    <state>/policies/blobs/<sha256>.safetensors      verified; a name without ".part" is whole
    <state>/policies/blobs/<sha256>.part             a download that can be resumed, with what has arrived of it in
    <state>/policies/blobs/<sha256>.part.progress    (downloads.py)
    <state>/policies/current.json                    manifest of the version that drove last
    <state>/policies/versions/, hold.json            to go back to by hand, see policy_hold.py

A blob of which an earlier one is held comes as a patch where the server has one (protocol/patch.py): only what changed
travels, and the result is hashed like any other. Downloads go on where they stopped, over several connections, and
count only after size and SHA-256 agree with the manifest.

Episodes have the right of way on the disk: a fetch leaves the spool the room that it may still take, and what no
version needs that drives, is held to or can be gone back to makes room for both (`make_room`).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import msgspec

from fleet.daemon.downloads import (
    Damaged,
    DiskFull,
    Downloads,
    FetchFailed,
    Wanted,
    discard,
    finish,
    refuse_error,
)
from fleet.daemon.files import free_bytes, held_bytes, is_full, sync, write_durably
from fleet.daemon.policy_hold import CurrentVersion, VersionHistory, read_hold
from fleet.protocol.errors import UNPARSABLE, ArtifactMismatch
from fleet.protocol.messages import PolicyPatch, PolicyTarget
from fleet.protocol.patch import apply_patch
from fleet.protocol.policy import BlobRef, PolicyManifest, decode_policy_manifest, encode_policy_manifest
from fleet.protocol.recording import sha256_of_file

logger = logging.getLogger(__name__)

MAX_MANIFEST_BYTES = 4 * 1024**2


class PolicyStore:
    """Not thread-safe; the event loop's alone. One fetches at a time: the policy host at once, a shadow when the host
    does not, and it makes way for it (`fetching`)."""

    def __init__(self, directory: Path, *, cache_bytes: int, spool_room: Callable[[], int] = lambda: 0) -> None:
        """`spool_room`: how many bytes of the disk episodes may still take, which no fetch uses."""
        self._blobs = directory / "blobs"
        self._current = directory / "current.json"
        self._cache_bytes = cache_bytes
        self._spool_room = spool_room
        self._blobs.mkdir(parents=True, exist_ok=True)
        self.policies = directory
        self.history = VersionHistory(directory)
        self.driving: Callable[[], tuple[PolicyManifest, ...]] = lambda: ()  # what drives or shall: never evicted
        self.shadow_blobs: frozenset[str] = frozenset()  # of the candidate that is shadowed: neither
        self._fetch_lock = asyncio.Lock()
        self._shadow_fetch: asyncio.Task[int] | None = None

    @contextlib.asynccontextmanager
    async def fetching(self) -> AsyncIterator[None]:
        """Fetch what the robot shall drive with, alone. A shadow's download stops, and goes on after it."""
        self.stop_shadow_fetch()
        async with self._fetch_lock:
            yield

    def stop_shadow_fetch(self) -> None:
        """End a shadow's download, if there is one; what has arrived is kept."""
        if self._shadow_fetch is not None:
            self._shadow_fetch.cancel()

    async def fetch_for_shadow(self, downloads: Downloads, manifest: PolicyManifest, target: PolicyTarget) -> int:
        """Fetch as `fetch_missing`. Raises: as it; FetchFailed also when the version that drives went first."""
        async with self._fetch_lock:
            self._shadow_fetch = asyncio.create_task(self.fetch_missing(downloads, manifest, target))
            try:
                await asyncio.wait((self._shadow_fetch,))
            finally:
                fetch, self._shadow_fetch = self._shadow_fetch, None
                fetch.cancel()
                await asyncio.gather(fetch, return_exceptions=True)
        if fetch.cancelled():
            raise FetchFailed("the download was ended: a version to drive with goes first, or the order is withdrawn")
        return fetch.result()

    def fits_beside(self, manifest: PolicyManifest, driving: PolicyManifest | None) -> bool:
        """Whether the cache holds both."""
        sizes = {blob.sha256: blob.size for item in (manifest, driving) if item is not None for blob in item.blobs}
        return sum(sizes.values()) <= self._cache_bytes

    def path(self, sha256: str) -> Path:
        return self._blobs / f"{sha256}.safetensors"

    def read_current(self) -> CurrentVersion | None:
        """Return the version that drove last if the record is sound, else None (and say so)."""
        if not self._current.exists():
            return None
        try:
            current = msgspec.json.decode(self._current.read_bytes(), type=CurrentVersion)
            decode_policy_manifest(encode_policy_manifest(current.manifest))
        except (OSError, *UNPARSABLE, ArtifactMismatch) as error:
            logger.error("the record of the last policy is unusable: %s", error)
            return None
        return current

    def write_current(self, current: CurrentVersion) -> None:
        """Remember what to load after a restart without a server, and what to go back to by hand. Raises: OSError."""
        try:
            self._write_current(current)
        except OSError as error:
            if not is_full(error):
                raise
            self.make_room()
            self._write_current(current)

    def _write_current(self, current: CurrentVersion) -> None:
        write_durably(self._current, msgspec.json.encode(current))
        self.history.add(current)

    def is_held(self, blob: BlobRef) -> bool:
        path = self.path(blob.sha256)
        return path.exists() and path.stat().st_size == blob.size

    def verify(self, blob: BlobRef) -> None:
        """Hash a blob on disk again. Raises: ArtifactMismatch, and removes it, if it has changed or is gone."""
        path = self.path(blob.sha256)
        if not path.exists() or sha256_of_file(path) != (blob.size, blob.sha256):
            path.unlink(missing_ok=True)
            raise ArtifactMismatch(f"blob '{blob.name}' on disk is missing or damaged", sha256=blob.sha256)
        with contextlib.suppress(OSError):
            path.touch()  # used now: the longest unused goes first

    def evict(self) -> None:
        """Remove the longest unused blobs until the cache fits."""
        total = sum(held_bytes(path) for path in self._blobs.iterdir())
        for path in self._unused():
            if total <= self._cache_bytes:
                return
            total -= held_bytes(path)
            path.unlink(missing_ok=True)

    def make_room(self) -> None:
        """Remove every blob that nothing needs: the disk is full."""
        unused = self._unused()
        freed_bytes = sum(held_bytes(path) for path in unused)
        for path in unused:
            path.unlink(missing_ok=True)
        if unused:
            logger.warning("the disk is full: %.1f MB of policy versions were removed", freed_bytes / 1e6)

    def _unused(self) -> list[Path]:
        """Return blobs and downloads that nothing needs, the longest unused first.

        Needed are what drives or shall and what is shadowed; what the robot is held to; and the two versions that
        drove last: one of them is what a local `revert` goes back to, with or without a server.
        """
        last, hold = self.history.versions(), read_hold(self.policies)
        held = [item for item in last if hold is not None and item.manifest.version_id == hold.version_id]
        needed = [*self.driving(), *(item.manifest for item in (*last[:2], *held))]
        keep = self.shadow_blobs.union(blob.sha256 for manifest in needed for blob in manifest.blobs)
        unused = [path for path in self._blobs.iterdir() if path.name.partition(".")[0] not in keep]
        return sorted(unused, key=_used_ns)

    def _require_room(self, manifest: PolicyManifest) -> None:
        """Make room for what is missing of a version, and leave the spool's. Raises: DiskFull.

        A robot that has no version at all records nothing: its first one may take the spool's room.
        """
        missing = [blob for blob in manifest.blobs if not self.is_held(blob)]
        wanted = sum(max(0, blob.size - held_bytes(self._part(blob))) for blob in missing)
        spool = self._spool_room() if self.history.versions() else 0
        for path in self._unused():
            if free_bytes(self._blobs) >= wanted + spool:
                return
            path.unlink(missing_ok=True)
        free = free_bytes(self._blobs)
        if missing and free < wanted + spool:
            text = f"a version takes {_mb(wanted)} of the disk, {_mb(free)} are free, {_mb(spool)} are for episodes"
            raise DiskFull(text)

    async def fetch_manifest(self, downloads: Downloads, target: PolicyTarget) -> PolicyManifest:
        """Download and check the manifest. Raises: FetchFailed; ArtifactMismatch if it is not what was announced."""
        timeout_s = downloads.config.fetch_timeout_s
        try:
            async with downloads.client.stream("GET", target.manifest_url, timeout=timeout_s) as response:
                await refuse_error(response)
                data = b""
                async for piece in response.aiter_bytes():
                    data += piece
                    if len(data) > MAX_MANIFEST_BYTES:
                        raise ArtifactMismatch("the policy manifest is too large")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise FetchFailed(f"manifest: {type(error).__name__}: {error}") from None
        if hashlib.sha256(data).hexdigest() != target.manifest_sha256:
            raise ArtifactMismatch("the policy manifest's SHA-256 differs from the announced one")
        manifest = decode_policy_manifest(data)
        if manifest.version_id != target.version_id:
            raise ArtifactMismatch("the policy manifest names another version")
        return manifest

    async def fetch_missing(self, downloads: Downloads, manifest: PolicyManifest, target: PolicyTarget) -> int:
        """Fetch what is not held, as differences where that helps; return the bytes transferred.

        Raises: FetchFailed, FetchLater, DiskFull; ArtifactMismatch; OSError.
        """
        self._require_room(manifest)
        try:
            return await self._fetch_missing(downloads, manifest, target)
        except OSError as error:
            if not is_full(error):
                raise
            raise DiskFull("the disk became full while a version was fetched") from error

    async def _fetch_missing(self, downloads: Downloads, manifest: PolicyManifest, target: PolicyTarget) -> int:
        fetched_bytes = 0
        for blob in manifest.blobs:
            if self.is_held(blob):
                continue
            patch = target.patches.get(blob.sha256)
            patched = await self.fetch_patched(downloads, blob, patch) if patch is not None else None
            if patched is not None:
                fetched_bytes += patched
                continue
            url = target.blob_urls.get(blob.sha256)
            if url is None:
                raise FetchFailed(f"no URL for blob '{blob.name}'", status=404)
            fetched_bytes += await self.fetch_blob(downloads, blob, url)
        return fetched_bytes

    async def fetch_patched(self, downloads: Downloads, blob: BlobRef, patch: PolicyPatch) -> int | None:
        """Make a blob of an earlier one and a patch; return the bytes transferred, None if it must be fetched whole.

        Raises: FetchLater: a server that is busy must not be asked for the whole blob instead.
        """
        base = self.path(patch.base)
        if not base.exists() or not 0 < patch.size < blob.size:
            return None
        file, made = self._blobs / f"{patch.sha256}.part", self._blobs / f"{blob.sha256}.patched"
        try:
            received_bytes = await downloads.fetch(Wanted(f"patch of {blob.name}", patch.url, patch.size), file)
            await asyncio.to_thread(_apply, base, file, made, blob, patch)
            await asyncio.to_thread(self._take, made, blob)
        except FetchFailed as error:
            if not error.is_url_refused:  # what arrived is kept, and the patch goes on next time
                raise
            logger.warning("the patch of blob '%s' is not given out any more: it is fetched whole", blob.name)
            discard(file)
            return None
        except (Damaged, ArtifactMismatch, OSError) as error:
            logger.warning("no use for the patch of blob '%s' (%s): it is fetched whole", blob.name, error)
            discard(file)
            return None
        finally:
            made.unlink(missing_ok=True)
        discard(file)
        return received_bytes

    async def fetch_blob(self, downloads: Downloads, blob: BlobRef, url: str) -> int:
        """Download one blob into the cache; return the bytes that were transferred.

        A damaged result is fetched from the beginning once more before it is called a mismatch.
        Raises: FetchFailed, FetchLater; ArtifactMismatch.
        """
        part = self._part(blob)
        received_bytes = 0
        for _ in range(2):
            try:
                received_bytes += await downloads.fetch(Wanted(f"blob {blob.name}", url, blob.size), part)
            except Damaged as error:
                logger.warning("blob '%s': %s", blob.name, error.message)
                discard(part)
                continue
            if await asyncio.to_thread(sha256_of_file, part) == (blob.size, blob.sha256):
                await asyncio.to_thread(self._take, part, blob)
                finish(part)
                return received_bytes
            discard(part)
        raise ArtifactMismatch(f"blob '{blob.name}' differs from its manifest", sha256=blob.sha256)

    def _part(self, blob: BlobRef) -> Path:
        return self._blobs / f"{blob.sha256}.part"

    def _take(self, file: Path, blob: BlobRef) -> None:
        """Give a file that was hashed the blob's name, durably."""
        sync(file)
        file.rename(self.path(blob.sha256))
        sync(self._blobs)


def _used_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:  # a download that a thread finished meanwhile
        return 0


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _apply(base: Path, file: Path, made: Path, blob: BlobRef, patch: PolicyPatch) -> None:
    """Check the patch, apply it, check the result. Raises: ArtifactMismatch, OSError."""
    if sha256_of_file(file) != (patch.size, patch.sha256):
        raise ArtifactMismatch("the patch differs from its announcement")
    with made.open("wb") as out:
        apply_patch(base, file, out, size=blob.size)
    if sha256_of_file(made) != (blob.size, blob.sha256):
        raise ArtifactMismatch("the patch gives another file")
