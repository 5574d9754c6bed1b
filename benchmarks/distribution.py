"""Bytes and seconds until every robot holds a published version, for 1, 10 and 100 robots on loopback.

    python -m benchmarks.distribution [--cases vla 3b] [--robots 1 10 100] [--limits shipped none] [--parameters 3e9]

Cases: `vla`, the demo's network (untrained weights of its architecture), whose head moved; `3b`, a manifest of
synthetic bfloat16 tensors in shards of 1 GB, of which the last 5 % moved and the rest is a frozen backbone. "Moved":
every weight by a normal 0.1 % of itself, as a few gradient steps do; what real training changes differs, and with it
the size of the patches.

A real uvicorn with an object store in a folder and a Redis of its own serves blobs and patches; robots are the daemon's
own PolicyStore and Downloads, all in one process, each with a folder and connections of its own. Each holds the version
before (hard links to one copy) and is done when every blob is on its disk, hashed. Besides: `first`, one robot that
holds nothing, and `frozen`, one that holds the blobs that did not change and none to which a patch fits.
Limits: those that are shipped, and none, which shows the machine instead. Beside each row the same bytes are copied
from file to file, one robot after the other, with an fsync each. Robots' folders are removed as they finish; the 3b
case needs 7 GB of disk and 1 GB for each robot that downloads. Prints JSON; asserts nothing. Compare figures of one run
alone.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from fleet.daemon.config import PolicyConfig
from fleet.daemon.downloads import Downloads, FetchLater
from fleet.daemon.policy_store import PolicyStore
from fleet.protocol.messages import PolicyPatch, PolicyTarget
from fleet.protocol.patch import write_patch
from fleet.protocol.policy import BlobRef, CameraSpec, PolicyManifest, encode_policy_manifest
from fleet.protocol.recording import sha256_of_file
from fleet.storage import keys, open_store
from sop_web.embedded.redis import RedisPlan, run_redis
from sop_web.embedded.system import free_port

MOVED = 1e-3  # of itself, standard deviation
SHARD = 500_000_000  # parameters in one blob
TENSOR = 16_000_000  # parameters in one tensor
SHARE = 0.05  # of the parameters that moved
UNLIMITED = {"SOP_EGRESS_DOWNLOADS": "1000000", "SOP_EGRESS_BYTES_S": str(10**15)}


@dataclass(frozen=True)
class Made:
    """A blob as a file."""

    ref: BlobRef
    path: Path


@dataclass
class Case:
    """Two versions that follow each other. `patches`: SHA-256 of the new blob -> SHA-256 of the old one, the file."""

    name: str
    before: list[Made]
    after: list[Made]
    patches: dict[str, tuple[str, Path]] = field(default_factory=dict)

    def prepare(self, folder: Path) -> None:
        """Make the patches as the server does when it publishes."""
        old = {made.ref.name: made for made in self.before}
        for made in self.after:
            base = old[made.ref.name]
            if base.ref.sha256 != made.ref.sha256:
                patch = folder / f"{self.name}-{made.ref.name}.patch"
                with patch.open("wb") as out:
                    write_patch(base.path, made.path, out)
                self.patches[made.ref.sha256] = (base.ref.sha256, patch)


def made(name: str, path: Path) -> Made:
    size, sha256 = sha256_of_file(path)
    return Made(BlobRef(name=name, size=size, sha256=sha256, tensors={}), path)


def vla(folder: Path) -> Case:
    """The demo's architecture at its own size."""
    import torch

    from learner.policies.base import BACKBONE, HEAD, PolicyShapes
    from learner.policies.blobs import encode_blob
    from learner.policies.registry import build_network
    from learner.pretrain import PretrainConfig

    torch.manual_seed(0)
    config = PretrainConfig()
    cameras = (CameraSpec(name="front", height=128, width=128),)
    shapes = PolicyShapes(cameras=cameras, proprio_dim=4, action_dim=4, horizon=config.horizon)
    network = build_network(config.architecture, config.network, shapes)
    head = network.blob_state(HEAD)
    moved = {
        name: tensor * (1 + MOVED * torch.randn_like(tensor)) if tensor.is_floating_point() else tensor
        for name, tensor in head.items()
    }
    files = {"backbone": network.blob_state(BACKBONE), "head": head, "moved": moved}
    for name, state in files.items():
        (folder / name).write_bytes(encode_blob(state))
    backbone = made("backbone", folder / "backbone")
    return Case("vla", [backbone, made("head", folder / "head")], [backbone, made("head", folder / "moved")])


def synthetic(folder: Path, parameters: int) -> Case:
    """A frozen backbone of random bytes in shards, and a last shard that moved."""
    trained = max(1, round(parameters * SHARE))
    rng, frozen, shards = np.random.default_rng(0), parameters - trained, []
    for index, start in enumerate(range(0, frozen, SHARD)):
        path = folder / f"shard-{index}"
        count = min(SHARD, frozen - start)
        with path.open("wb") as file:
            file.write(header(count))
            for size in sizes(count):
                file.write(rng.bytes(2 * size))
        shards.append(made(f"shard-{index}", path))
    with (folder / "head").open("wb") as old, (folder / "moved").open("wb") as new:
        for file in (old, new):
            file.write(header(trained))
        for size in sizes(trained):
            weights = rng.standard_normal(size, dtype=np.float32) * 0.02
            old.write(bfloat16(weights))
            new.write(bfloat16(weights * (1 + MOVED * rng.standard_normal(size, dtype=np.float32))))
    heads = made("head", folder / "head"), made("head", folder / "moved")
    return Case("3b", [*shards, heads[0]], [*shards, heads[1]])


def sizes(count: int) -> Iterator[int]:
    return (min(TENSOR, count - start) for start in range(0, count, TENSOR))


def header(count: int) -> bytes:
    """The head of a safetensors file of bfloat16 tensors with `count` values in all."""
    entries, at = {}, 0
    for index, size in enumerate(sizes(count)):
        entries[f"tensor-{index}"] = {"dtype": "BF16", "shape": [size], "data_offsets": [at, at + 2 * size]}
        at += 2 * size
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def bfloat16(values: np.ndarray[Any, np.dtype[np.float32]]) -> bytes:
    """Round to nearest, ties up."""
    return ((values.view(np.uint32) + 0x8000) >> 16).astype(np.uint16).tobytes()


class Site:
    """The object store with both versions in it, and what a robot is told of the new one."""

    def __init__(self, case: Case, folder: Path, secret: bytes) -> None:
        self._case = case
        self._store = open_store(f"file://{folder}", signing_key=secret)
        self.manifest = PolicyManifest(
            version_id=str(uuid.uuid4()), run_id=None, parent_id=None, step=1, trained_ns=time.time_ns(),
            architecture="benchmark", config={}, cameras=(), proprio_dim=1, action_dim=1, horizon=1,
            blobs=tuple(item.ref for item in case.after),
        )  # fmt: skip
        self._encoded = encode_policy_manifest(self.manifest)
        self._manifest_key = keys.policy_manifest(hashlib.sha256(self._encoded).hexdigest())
        self._store.put(self._manifest_key, self._encoded)
        for item in case.after:
            link(item.path, folder / keys.policy_blob(item.ref.sha256))
        for sha256, (base, patch) in case.patches.items():
            link(patch, folder / keys.policy_patch(base, sha256))

    def target(self, robot: str) -> PolicyTarget:
        def sign(key: str) -> str:
            return self._store.sign_get(key, expires_s=6 * 3600, holder=robot)

        patches = {}
        for sha256, (base, path) in self._case.patches.items():
            size, digest = sha256_of_file(path)
            url = sign(keys.policy_patch(base, sha256))
            patches[sha256] = PolicyPatch(base=base, url=url, size=size, sha256=digest)
        return PolicyTarget(
            version_id=self.manifest.version_id,
            number=1,
            manifest_url=sign(self._manifest_key),
            manifest_sha256=hashlib.sha256(self._encoded).hexdigest(),
            blob_urls={item.ref.sha256: sign(keys.policy_blob(item.ref.sha256)) for item in self._case.after},
            published_ns=time.time_ns(),
            patches=patches,
        )


def link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    os.link(source, target)


@dataclass
class Row:
    seconds: list[float] = field(default_factory=list)
    fetched: list[int] = field(default_factory=list)
    laters: int = 0


async def robot(site: Site, case: Case, name: str, folder: Path, url: str, config: PolicyConfig, row: Row) -> None:
    """Follow one announcement as policy_host does, from the announcement to hashed blobs on the disk."""
    store, target = PolicyStore(folder, cache_bytes=2**62), site.target(name)
    for item in held(case, name):
        link(item.path, store.path(item.ref.sha256))
    async with httpx.AsyncClient(base_url=url, timeout=httpx.Timeout(30.0)) as client:
        downloads, begun, fetched = Downloads(client, config, rng=random.Random(name)), time.monotonic(), 0
        manifest = await store.fetch_manifest(downloads, target)
        while True:
            try:
                fetched += await store.fetch_missing(downloads, manifest, target)
                break
            except FetchLater as later:
                row.laters += 1
                await asyncio.sleep(downloads.later_s(later))
        row.seconds.append(time.monotonic() - begun)
    row.fetched.append(fetched)
    assert all(store.is_held(blob) for blob in manifest.blobs)
    await asyncio.to_thread(shutil.rmtree, folder)


def held(case: Case, name: str) -> list[Made]:
    """What a robot holds before the publish."""
    return {"first": [], "frozen": [item for item in case.before if item in case.after]}.get(name, case.before)


async def publish(site: Site, case: Case, names: list[str], folder: Path, url: str, config: PolicyConfig) -> Row:
    row = Row()
    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(robot(site, case, name, folder / name, url, config, row))
    return row


def copy(case: Case, row: Row, folder: Path) -> float:
    """Copy as many bytes a robot as it fetched, with an fsync each; return the seconds of all."""
    longest = max((item.path for item in case.after), key=lambda path: path.stat().st_size)
    begun = time.monotonic()
    for count in row.fetched:
        with (folder / "copy").open("wb") as out:
            left = count
            while left > 0:
                with longest.open("rb") as source:
                    while left > 0 and (piece := source.read(min(1024 * 1024, left))):
                        left -= out.write(piece)
            out.flush()
            os.fsync(out.fileno())
    (folder / "copy").unlink(missing_ok=True)
    return time.monotonic() - begun


@contextmanager
def served(environment: dict[str, str], log: Path) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "sop_web.asgi:application", "--port", str(port), "--no-access-log"]
    with log.open("ab") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
    url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 120
    try:
        while True:
            try:
                httpx.get(f"{url}/objects/none", timeout=5)
                break
            except httpx.TransportError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the server did not start: {log}") from None
                time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def measure(case: Case, folder: Path, redis_url: str, given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    store, whole = folder / f"store-{case.name}", sum(item.ref.size for item in case.after)
    secret = "benchmark" * 8
    base = {**os.environ, "REDIS_URL": redis_url, "OBJECT_STORE_URL": f"file://{store}", "SOP_SECRET_KEY": secret}
    base |= {"DJANGO_SETTINGS_MODULE": "sop_web.settings.dev", "SOP_DATA_DIR": str(folder / "data")}
    site = Site(case, store, signing_key(secret))
    for limits in given.limits:
        free = limits == "none"
        config = PolicyConfig(fetch_rate_bytes_s=1e15) if free else PolicyConfig()
        with served(base | (UNLIMITED if free else {}), folder / "server.log") as url:
            crowds = [[f"robot-{number}" for number in range(count)] for count in given.robots]
            for names in [["first"], ["frozen"], *crowds] if free else crowds:
                row = asyncio.run(publish(site, case, names, folder / "robots", url, config))
                copied = copy(case, row, folder)
                yield {
                    "case": case.name,
                    "limits": limits,
                    "robots": names[0] if names[0] in ("first", "frozen") else len(names),
                    "version_bytes": whole,
                    "bytes_a_robot": round(statistics.mean(row.fetched)),
                    "share_of_version": round(statistics.mean(row.fetched) / whole, 4),
                    "bytes_total": sum(row.fetched),
                    "seconds_median": round(statistics.median(row.seconds), 2),
                    "seconds_last": round(max(row.seconds), 2),
                    "told_later": row.laters,
                    "copy_seconds": round(copied, 2),
                    "times_a_copy": round(max(row.seconds) / copied, 1),
                }


def signing_key(secret: str) -> bytes:
    """The key that the server derives for its URLs (fleet/selectors/objects.py)."""
    from django.utils.crypto import salted_hmac

    return salted_hmac("fleet.storage.signed-url", "v1", secret=secret, algorithm="sha256").digest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", default=["vla", "3b"], choices=["vla", "3b"])
    parser.add_argument("--robots", nargs="+", type=int, default=[1, 10, 100])
    parser.add_argument("--limits", nargs="+", default=["shipped", "none"], choices=["shipped", "none"])
    parser.add_argument("--parameters", type=float, default=3e9, help="of the case 3b")
    parser.add_argument("--folder", type=Path, help="where to work; a temporary one by default")
    given = parser.parse_args()
    with ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="sop-distribution-", dir=given.folder))
        folder = Path(name)
        redis_url = stack.enter_context(run_redis(RedisPlan(folder / "redis", free_port(), uuid.uuid4().hex, False)))
        is_idle = os.sched_getscheduler(0) == os.SCHED_IDLE
        facts = {
            "machine": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "load": os.getloadavg(),
        }
        print(json.dumps({**facts, "scheduled_idle": is_idle, "parameters": given.parameters}), flush=True)
        for case_name in given.cases:
            made_in = folder / case_name
            made_in.mkdir()
            case = vla(made_in) if case_name == "vla" else synthetic(made_in, round(given.parameters))
            begun = time.monotonic()
            case.prepare(made_in)
            print(
                json.dumps({"case": case_name, "seconds_for_patches": round(time.monotonic() - begun, 2)}), flush=True
            )
            for row in measure(case, folder, redis_url, given):
                print(json.dumps(row), flush=True)
            shutil.rmtree(made_in)
            shutil.rmtree(folder / f"store-{case_name}")
        print(json.dumps({"load": os.getloadavg()}))


if __name__ == "__main__":
    main()
