"""Policy versions on the robot's disk: a cache of blobs named by their SHA-256, and which version drove last.

    <state>/policies/blobs/<sha256>.safetensors      verified; a name without ".part" is whole
    <state>/policies/blobs/<sha256>.part             a download that can be resumed
    <state>/policies/current.json                    manifest of the version that drove last

Downloads go on where they stopped (HTTP Range) and count only after size and SHA-256 agree with the manifest.
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
from fleet.protocol.errors import ArtifactMismatch, SopError
from fleet.protocol.messages import PolicyTarget
from fleet.protocol.policy import BlobRef, PolicyManifest, decode_policy_manifest, encode_policy_manifest
from fleet.protocol.recording import sha256_of_file

logger = logging.getLogger(__name__)

MAX_MANIFEST_BYTES = 4 * 1024**2


class FetchFailed(SopError):
    """The download did not come through this time; what arrived is kept."""

    code = "fetch_failed"


class CurrentVersion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The version that drove last, as written in current.json."""

    number: int
    manifest: PolicyManifest


class PolicyStore:
    """Not thread-safe; the policy host's task alone uses it."""

    def __init__(self, directory: Path, *, cache_bytes: int) -> None:
        self._blobs = directory / "blobs"
        self._current = directory / "current.json"
        self._cache_bytes = cache_bytes
        self._blobs.mkdir(parents=True, exist_ok=True)

    def path(self, sha256: str) -> Path:
        return self._blobs / f"{sha256}.safetensors"

    def read_current(self) -> CurrentVersion | None:
        """Return the version that drove last if the record is sound, else None (and say so)."""
        if not self._current.exists():
            return None
        try:
            current = msgspec.json.decode(self._current.read_bytes(), type=CurrentVersion)
            decode_policy_manifest(encode_policy_manifest(current.manifest))
        except (OSError, msgspec.MsgspecError, ArtifactMismatch) as error:
            logger.error("the record of the last policy is unusable: %s", error)
            return None
        return current

    def write_current(self, current: CurrentVersion) -> None:
        """Remember what to load after a restart without a server."""
        write_durably(self._current, msgspec.json.encode(current))

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
        """Remove the longest unused blobs until the cache fits; blobs in `keep` and their downloads stay."""
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
        except httpx.TransportError as error:
            raise FetchFailed(f"manifest: {type(error).__name__}: {error}") from None
        if hashlib.sha256(data).hexdigest() != target.manifest_sha256:
            raise ArtifactMismatch("the policy manifest's SHA-256 differs from the announced one")
        manifest = decode_policy_manifest(data)
        if manifest.version_id != target.version_id:
            raise ArtifactMismatch("the policy manifest names another version")
        return manifest

    async def fetch_blob(
        self, client: httpx.AsyncClient, blob: BlobRef, url: str, *, timeout_s: float, attempts: int, backoff: Backoff
    ) -> int:
        """Download one blob into the cache; return the bytes that were transferred.

        A damaged result is fetched from the beginning once more before it is called a mismatch.
        Raises: FetchFailed after `attempts` broken transfers; ArtifactMismatch.
        """
        part = self._blobs / f"{blob.sha256}.part"
        fetched, mismatches, problem = 0, 0, ""
        for attempt in range(attempts):
            if attempt:
                await asyncio.sleep(backoff.next_s())
            try:
                fetched += await _resume(client, url, part, blob, timeout_s=timeout_s)
            except httpx.TransportError as error:
                problem = f"{type(error).__name__}: {error}"
                continue
            if sha256_of_file(part) == (blob.size, blob.sha256):
                sync(part)
                part.rename(self.path(blob.sha256))
                sync(self._blobs)
                return fetched
            part.unlink()
            mismatches += 1
            if mismatches == 2:
                raise ArtifactMismatch(f"blob '{blob.name}' differs from its manifest", sha256=blob.sha256)
        raise FetchFailed(f"blob '{blob.name}': {problem or 'the transfer was damaged'}")


async def _resume(client: httpx.AsyncClient, url: str, part: Path, blob: BlobRef, *, timeout_s: float) -> int:
    """Append the missing bytes to `part`, never more than one beyond the blob's size; return how many came."""
    held = part.stat().st_size if part.exists() else 0
    if held >= blob.size:
        return 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={held}-"} if held else {})
    fetched = 0
    async with client.stream("GET", url, headers=headers, timeout=timeout_s) as response:
        if response.status_code == 416:
            part.unlink(missing_ok=True)
            raise httpx.ReadError("the server does not know this range")
        await _refuse_error(response)
        is_resumed = response.status_code == 206 and response.headers.get("Content-Range", "").startswith(
            f"bytes {held}-"
        )
        with part.open("ab" if is_resumed else "wb") as file:
            room = blob.size - file.tell()
            async for piece in response.aiter_raw():
                file.write(piece[: room + 1 - fetched])  # one byte too many shows that it is another file
                fetched += len(piece)
                if fetched > room:
                    break
    if part.stat().st_size < blob.size:
        raise httpx.ReadError(f"the transfer ended at {part.stat().st_size} of {blob.size} bytes")
    return fetched


async def _refuse_error(response: httpx.Response) -> None:
    if response.is_success:
        return
    await response.aread()
    raise FetchFailed(problem_of(response), status=response.status_code)
