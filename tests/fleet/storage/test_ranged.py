"""What the daemon fetches in parts, from each store over its own signed URLs."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import httpx
import pytest

from fleet.daemon.config import PolicyConfig
from fleet.daemon.downloads import Damaged, Downloads, FetchFailed, Wanted
from fleet.storage import open_store

PART = 64 * 1024
DATA = random.Random(1).randbytes(7 * PART + 5)


@pytest.fixture(params=["local", "s3"])
def source(request: pytest.FixtureRequest) -> Any:
    """A store and the address to which its relative URLs belong."""
    if request.param == "s3":
        return open_store(request.getfixturevalue("s3_url")), "http://127.0.0.1:9"  # its URLs are absolute
    return request.getfixturevalue("objects"), f"http://{request.getfixturevalue('server')}"


async def _fetch(base: str, wanted: Wanted, file: Path) -> int:
    async with httpx.AsyncClient(base_url=base) as client:
        config = PolicyConfig(fetch_part_bytes=PART, fetch_connections=3, fetch_attempts=2, backoff_min_s=0.01)
        return await Downloads(client, config, rng=random.Random(0)).fetch(wanted, file)


def test_parts_come_from_every_store(source: Any, tmp_path: Path) -> None:
    store, base = source
    store.put("policies/blobs/a", DATA)
    wanted = Wanted("a", store.sign_get("policies/blobs/a", expires_s=60), len(DATA))
    assert asyncio.run(_fetch(base, wanted, tmp_path / "f")) == len(DATA)
    assert (tmp_path / "f").read_bytes() == DATA
    assert asyncio.run(_fetch(base, wanted, tmp_path / "f")) == 0


def test_another_size_and_a_refused_url_are_told_apart(source: Any, tmp_path: Path) -> None:
    """A shorter object is damaged; a URL that expired, or an object that is gone, asks for fresh ones."""
    store, base = source
    store.put("policies/blobs/a", DATA)
    url = store.sign_get("policies/blobs/a", expires_s=60)
    with pytest.raises(Damaged):
        asyncio.run(_fetch(base, Wanted("a", url, len(DATA) + PART), tmp_path / "f"))
    gone = store.sign_get("policies/blobs/none", expires_s=60)
    for refused in (gone, url.replace("expires=", "expires=1").replace("Expires=60", "Expires=61")):
        with pytest.raises(FetchFailed) as error:
            asyncio.run(_fetch(base, Wanted("a", refused, len(DATA)), tmp_path / "f"))
        assert error.value.is_url_refused
