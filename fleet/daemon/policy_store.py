"""Policy versions on the robot's disk: a cache of blobs named by their SHA-256, and which version drove last.

    <state>/policies/blobs/<sha256>.safetensors      verified; a name without ".part" is whole
    <state>/policies/blobs/<sha256>.part             a download that can be resumed
    <state>/policies/current.json                    manifest of the version that drove last
    <state>/policies/versions/, hold.json            to go back to by hand, see policy_hold.py

A blob of which an earlier one is held comes as a patch where the server has one (protocol/patch.py): only what changed
travels, and the result is hashed like any other. Downloads go on where they stopped (HTTP Range) and count only after
size and SHA-256 agree with the manifest.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from pathlib import Path

import httpx
import msgspec

from fleet.daemon.backoff import Backoff
from fleet.daemon.enrolment import problem_of
from fleet.daemon.files import sync, write_durably
from fleet.daemon.policy_hold import CurrentVersion, VersionHistory
from fleet.protocol.errors import UNPARSABLE, ArtifactMismatch, SopError
from fleet.protocol.messages import PolicyPatch, PolicyTarget
from fleet.protocol.patch import apply_patch
from fleet.protocol.policy import BlobRef, PolicyManifest, decode_policy_manifest, encode_policy_manifest
from fleet.protocol.recording import sha256_of_file

logger = logging.getLogger(__name__)

MAX_MANIFEST_BYTES = 4 * 1024**2


class FetchFailed(SopError):
    """The download did not come through this time; what arrived is kept."""

    code = "fetch_failed"

    @property
    def is_url_refused(self) -> bool:
        """Whether the server answered 4xx: the URL has expired or is wrong, a fresh one may help."""
        status = self.data.get("status")
        return isinstance(status, int) and 400 <= status < 500


class PolicyStore:
    """Not thread-safe; the policy host's task alone uses it."""

    def __init__(self, directory: Path, *, cache_bytes: int) -> None:
        self._blobs = directory / "blobs"
        self._current = directory / "current.json"
        self._cache_bytes = cache_bytes
        self._blobs.mkdir(parents=True, exist_ok=True)
        self.policies = directory
        self.history = VersionHistory(directory)

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
        """Remember what to load after a restart without a server, and what to go back to by hand."""
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

    def evict(self, keep: set[str]) -> None:
        """Remove the longest unused blobs until the cache fits; blobs in `keep` and their downloads stay.

        So do those of the two versions that drove last: one of them is what a local `revert` goes back to.
        """
        keep = keep | {blob.sha256 for item in self.history.versions()[:2] for blob in item.manifest.blobs}
        files = sorted(self._blobs.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        total = sum(path.stat().st_size for path in files)
        for path in files:
            if total <= self._cache_bytes:
                return
            if path.stem not in keep:
                total -= path.stat().st_size
                path.unlink()

    async def fetch_manifest(
        self, client: httpx.AsyncClient, target: PolicyTarget, *, timeout_s: float
    ) -> PolicyManifest:
        """Download and check the manifest. Raises: FetchFailed; ArtifactMismatch if it is not what was announced."""
        try:
            async with client.stream("GET", target.manifest_url, timeout=timeout_s) as response:
                await _refuse_error(response)
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

    async def fetch_patched(
        self, client: httpx.AsyncClient, blob: BlobRef, patch: PolicyPatch, *, timeout_s: float
    ) -> int | None:
        """Make a blob of an earlier one and a patch; return the bytes transferred, None if it must be fetched whole."""
        base = self.path(patch.base)
        if not base.exists() or not 0 < patch.size < blob.size:
            return None
        file, made = self._blobs / f"{blob.sha256}.patch", self._blobs / f"{blob.sha256}.patched"
        part = BlobRef(name=blob.name, size=patch.size, sha256=patch.sha256, tensors={})
        transfer = _Transfer()
        try:
            file.unlink(missing_ok=True)
            await transfer.resume(client, patch.url, file, part, timeout_s=timeout_s)
            await asyncio.to_thread(_apply, base, file, made, blob, patch)
            made.rename(self.path(blob.sha256))
            sync(self._blobs)
        except (httpx.HTTPError, httpx.InvalidURL, FetchFailed, ArtifactMismatch, OSError) as error:
            logger.warning("no use for the patch of blob '%s' (%s): it is fetched whole", blob.name, error)
            return None
        finally:
            file.unlink(missing_ok=True)
            made.unlink(missing_ok=True)
        return transfer.received_bytes

    async def fetch_blob(
        self, client: httpx.AsyncClient, blob: BlobRef, url: str, *, timeout_s: float, attempts: int, backoff: Backoff
    ) -> int:
        """Download one blob into the cache; return the bytes that were transferred.

        A damaged result is fetched from the beginning once more before it is called a mismatch.
        Raises: FetchFailed after `attempts` broken transfers; ArtifactMismatch.
        """
        part = self._blobs / f"{blob.sha256}.part"
        transfer, mismatches, problem = _Transfer(), 0, ""
        for attempt in range(attempts):
            if attempt:
                await asyncio.sleep(backoff.next_s())
            try:
                await transfer.resume(client, url, part, blob, timeout_s=timeout_s)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                problem = f"{type(error).__name__}: {error}"
                continue
            if await asyncio.to_thread(sha256_of_file, part) == (blob.size, blob.sha256):
                sync(part)
                part.rename(self.path(blob.sha256))
                sync(self._blobs)
                return transfer.received_bytes
            part.unlink()
            mismatches += 1
            if mismatches == 2:
                raise ArtifactMismatch(f"blob '{blob.name}' differs from its manifest", sha256=blob.sha256)
        raise FetchFailed(f"blob '{blob.name}': {problem or 'the transfer was damaged'}")


def _apply(base: Path, file: Path, made: Path, blob: BlobRef, patch: PolicyPatch) -> None:
    """Check the patch, apply it, check the result. Raises: ArtifactMismatch, OSError."""
    if sha256_of_file(file) != (patch.size, patch.sha256):
        raise ArtifactMismatch("the patch differs from its announcement")
    with made.open("wb") as out:
        apply_patch(base, file, out, size=blob.size)
    if sha256_of_file(made) != (blob.size, blob.sha256):
        raise ArtifactMismatch("the patch gives another file")
    sync(made)


class _Transfer:
    """One blob's download over any number of connections; counts what came over the wire."""

    def __init__(self) -> None:
        self.received_bytes = 0

    async def resume(self, client: httpx.AsyncClient, url: str, part: Path, blob: BlobRef, *, timeout_s: float) -> None:
        """Append the missing bytes to `part`, at most one beyond the blob's size.

        Raises: httpx.TransportError if fewer came; FetchFailed on an error status.
        """
        held = part.stat().st_size if part.exists() else 0
        if held >= blob.size:
            return
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={held}-"} if held else {})
        async with client.stream("GET", url, headers=headers, timeout=timeout_s) as response:
            if response.status_code == 416:
                part.unlink(missing_ok=True)
                raise httpx.ReadError("the server does not know this range")
            await _refuse_error(response)
            content_range = response.headers.get("Content-Range", "")
            is_resumed = response.status_code == 206 and content_range.startswith(f"bytes {held}-")
            await self._write(response, part, mode="ab" if is_resumed else "wb", size=blob.size)
        if part.stat().st_size < blob.size:
            raise httpx.ReadError(f"the transfer ended at {part.stat().st_size} of {blob.size} bytes")

    async def _write(self, response: httpx.Response, part: Path, *, mode: str, size: int) -> None:
        with part.open(mode) as file:
            async for piece in response.aiter_raw():
                self.received_bytes += len(piece)
                file.write(piece[: size + 1 - file.tell()])  # one byte too many shows that it is another file
                if file.tell() > size:
                    return


async def _refuse_error(response: httpx.Response) -> None:
    if response.is_success:
        return
    await response.aread()
    raise FetchFailed(problem_of(response), status=response.status_code)
