"""A store whose signed URLs are asked over real HTTP."""

from __future__ import annotations

import hashlib

import httpx

from fleet.storage import ObjectStore, SignedPut


class Served:
    """A store whose signed URLs somebody answers; `http` resolves the relative ones."""

    def __init__(self, store: ObjectStore, http: httpx.Client) -> None:
        self.store, self.http = store, http

    def sign_put(self, data: bytes, *, key: str = "episodes/e/front.mp4") -> SignedPut:
        return self.store.sign_put(key, size=len(data), sha256=hashlib.sha256(data).hexdigest(), expires_s=60)

    def put(self, signed: SignedPut, body: bytes, **changes: str | None) -> int:
        """PUT with exactly the signed headers but for `changes`, None to leave one out."""
        headers = {name.lower(): value for name, value in signed.headers.items()} | changes
        sent = {name: value for name, value in headers.items() if value is not None}
        return self.http.put(signed.url, content=body, headers=sent).status_code
