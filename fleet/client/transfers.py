"""Exports and imports: work of the server that a script asks for, follows and fetches or sends."""

from __future__ import annotations

import hashlib
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fleet.client import types
from fleet.client.download import PIECE_BYTES, Progress, download, file_sha256, silent
from fleet.client.errors import ChecksumWrong, ClientError, Conflict, MalformedAnswer
from fleet.client.resources import Listing, decoded, plain_name

SUMS = "SHA256SUMS"
POLL_S = 1.0


class Exports(Listing[types.Export]):
    def formats(self) -> dict[str, Any]:
        return decoded(self.transport.request("GET", f"{self.path}/formats").content, dict[str, Any])

    def check(self, **asked: Any) -> dict[str, Any]:
        """Say what an export would hold and what stands in its way; nothing is queued."""
        return decoded(self.transport.request("POST", f"{self.path}/check", body=asked).content, dict[str, Any])

    def request(self, format: str, *, idempotency_key: str | None = None, **asked: Any) -> types.Export:
        """Ask for one: dataset_version, or filter or ids; options, destination, name."""
        body = {"format": format, **asked}
        answer = self.transport.request("POST", self.path, body=body, idempotency_key=idempotency_key)
        return decoded(answer.content, types.Export)

    def cancel(self, export_id: str) -> types.Export:
        return decoded(self.transport.request("POST", f"{self.path}/{export_id}/cancel").content, types.Export)

    def retry(self, export_id: str) -> types.Export:
        return decoded(self.transport.request("POST", f"{self.path}/{export_id}/retry").content, types.Export)

    def wait(
        self,
        export_id: str,
        *,
        timeout_s: float = 24 * 3600.0,
        watch: Callable[[types.Export], None] = lambda export: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> types.Export:
        """Follow until it is done; `watch` sees each state.

        Raises: ClientError if it failed, was cancelled, or takes longer than `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            export = self.get(export_id)
            watch(export)
            if export.is_over:
                break
            if time.monotonic() > deadline:
                raise ClientError(f"the export is still {export.state} after {timeout_s:.0f} s")
            sleep(POLL_S)
        if export.state != "done":
            reason = f": {export.error.message} ({export.error.code})" if export.error else ""
            raise ClientError(f"the export is {export.state}{reason}")
        return export

    def download(self, export: types.Export, folder: Path, *, progress: Progress | None = None) -> Path:
        """Fetch a finished export into `folder`/its name, every file checked; return that.

        What an interrupted call fetched stays beside as `<name>.tar.part`, and the next one goes on with it.
        Raises: ClientError if something is in its place, ChecksumWrong.
        """
        target = folder / plain_name(Path(export.folder).name or export.id)
        if target.exists():
            raise ClientError(f"{target} is there already")
        tar = target.with_name(target.name + ".tar")
        if not tar.exists():
            download(self.transport, f"/api/v1{self.path}/{export.id}/download", tar, progress=progress)
        work = target.with_name(f".{target.name}.unpacking")
        unpack(tar, work)
        root = _root_of(work)
        verify(root, sums_sha256=export.sha256)
        root.rename(target)
        if work.exists():
            work.rmdir()
        tar.unlink()
        return target


def unpack(tar: Path, folder: Path) -> None:
    """Unpack plain files into a new folder; links, devices and paths that lead out are refused.

    Raises: MalformedAnswer.
    """
    if folder.exists():
        _remove(folder)
    folder.mkdir(parents=True)
    try:
        with tarfile.open(tar) as archive:
            for member in archive:
                if not (member.isreg() or member.isdir()):
                    raise MalformedAnswer(f"the export holds something other than files: {member.name!r}")
                plain_name(member.name)
                archive.extract(member, folder, filter="data")
    except (tarfile.TarError, EOFError) as error:
        raise MalformedAnswer(f"the export is no sound tar file: {error}") from error


def verify(folder: Path, *, sums_sha256: str | None) -> None:
    """Compare every file with SHA256SUMS, and that with the server's word. Raises: ChecksumWrong, MalformedAnswer."""
    sums = folder / SUMS
    if not sums.exists():
        raise MalformedAnswer(f"the export has no {SUMS}")
    if sums_sha256 is not None and file_sha256(sums) != sums_sha256:
        raise ChecksumWrong(f"{SUMS} is not the one that the server promised")
    listed = set()
    for line in sums.read_text().splitlines():
        wanted, _, name = line.partition("  ")
        file = folder / plain_name(name)
        listed.add(file)
        if not file.is_file() or file_sha256(file) != wanted:
            raise ChecksumWrong(f"{name} is missing or differs from {SUMS}")
    more = [each for each in folder.rglob("*") if each.is_file() and each not in listed and each != sums]
    if more:
        raise ChecksumWrong(f"{more[0].relative_to(folder)} is not in {SUMS}")


def _root_of(work: Path) -> Path:
    """Return the folder that holds SHA256SUMS: the archive's own, or the one in it."""
    inside = list(work.iterdir())
    is_nested = not (work / SUMS).exists() and len(inside) == 1 and inside[0].is_dir()
    return inside[0] if is_nested else work


def _remove(folder: Path) -> None:
    for each in sorted(folder.rglob("*"), reverse=True):
        each.rmdir() if each.is_dir() else each.unlink()
    folder.rmdir()


class Imports(Listing[types.Import]):
    def hand_in(self, archive: Path, *, name: str, progress: Progress | None = None) -> types.Import:
        """Send a tar, tar.gz or zip of a LeRobot dataset and ask for its dry run; `wait` follows it.

        Hashed first, so the server checks what arrives. For a day the same file under the same name is the same
        import unless that failed or was cancelled: a call that broke off is taken up, and what arrived is not sent
        again. `progress`: called with the bytes that were sent and all of them.
        Raises: Problem, Unreachable, ChecksumWrong if the file changes meanwhile, OSError.
        """
        size, sha256 = archive.stat().st_size, file_sha256(archive)
        body = {"name": name, "archive": {"size": size, "sha256": sha256}}
        key = "sop-import-" + hashlib.sha256(f"{sha256}/{name}".encode()).hexdigest()
        made = self._created(body, idempotency_key=key)
        row = self.get(made.id)
        if row.state in ("failed", "cancelled"):
            made = row = self._created(body)
        if row.state != "created" or made.upload is None:
            return row
        try:
            return self.check(row.id)
        except Conflict as error:
            if error.code != "upload_missing":
                raise
        self.transport.upload(
            made.upload.url,
            headers=made.upload.headers,
            size=size,
            content=lambda: _checked_pieces(archive, size, sha256, progress or silent),
        )
        return self.check(row.id)

    def _created(self, body: dict[str, Any], *, idempotency_key: str | None = None) -> types.Import:
        answer = self.transport.request("POST", self.path, body=body, idempotency_key=idempotency_key)
        return decoded(answer.content, types.Import)

    def mapping(self, import_id: str) -> types.ImportMapping:
        """Return which feature becomes what: at first the proposal of the dry run."""
        return decoded(self.transport.request("GET", f"{self.path}/{import_id}/mapping").content, types.ImportMapping)

    def mapping_set(self, import_id: str, mapping: Mapping[str, Any], *, over: int) -> types.ImportMapping:
        """Replace the mapping over revision `over`. Raises: Changed; Invalid if it does not fit the dataset."""
        answer = self.transport.request(
            "PUT", f"{self.path}/{import_id}/mapping", body=dict(mapping), headers={"If-Match": f'"{over}"'}
        )
        return decoded(answer.content, types.ImportMapping)

    def check(self, import_id: str) -> types.Import:
        """Ask for a dry run; `get` shows its `report`."""
        return decoded(self.transport.request("POST", f"{self.path}/{import_id}/check").content, types.Import)

    def run(self, import_id: str, **asked: Any) -> types.Import:
        return decoded(self.transport.request("POST", f"{self.path}/{import_id}/run", body=asked).content, types.Import)

    def cancel(self, import_id: str) -> types.Import:
        return decoded(self.transport.request("POST", f"{self.path}/{import_id}/cancel").content, types.Import)

    def wait(
        self,
        import_id: str,
        *,
        timeout_s: float = 24 * 3600.0,
        watch: Callable[[types.Import], None] = lambda row: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> types.Import:
        """Follow while the server works at it: until it is checked or done, or went back or ended with an `error_code`.

        Raises: ClientError if it takes longer than `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            row = self.get(import_id)
            watch(row)
            if row.state not in ("checking", "running"):
                return row
            if time.monotonic() > deadline:
                raise ClientError(f"the import is still {row.state} after {timeout_s:.0f} s")
            sleep(POLL_S)


def _checked_pieces(path: Path, size: int, sha256: str, progress: Progress) -> Iterator[bytes]:
    """Yield the file; ends with an error if it changed since it was hashed, rather than send what is refused."""
    seen, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            seen.update(piece)
            yield piece
            done += len(piece)
            progress(done, size)
    if seen.hexdigest() != sha256:
        raise ChecksumWrong(f"{path} changed while it was sent")
