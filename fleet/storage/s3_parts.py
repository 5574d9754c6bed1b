"""Uploads in parts to a bucket: S3's own multipart uploads, found again by listing them.

Nobody remembers upload ids: the bucket lists the unfinished uploads of a key, and the parts of each. SeaweedFS lists
parts without their checksums, AWS with them; so what was put together is compared once more as a whole, by the checksum
of checksums that both keep of it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from botocore.exceptions import ClientError

from fleet.storage.base import ObjectConflict, SignedPut, StoreUnavailable
from fleet.storage.parts import PartedUpload, PartPlan

CONTENT_TYPE = "application/octet-stream"
_TAKEN = ("PreconditionFailed", "412", "ConditionalRequestConflict")
_LOST = ("NoSuchUpload", "InvalidPart", "InvalidPartOrder", "EntityTooSmall", "BadDigest")

Translated = Callable[[str], AbstractContextManager[None]]


class S3Parts(PartedUpload):
    """`place`: Bucket and Key. `translated`: turns boto3's errors into ours. `sign`: presigns an operation."""

    def __init__(
        self,
        client: Any,
        place: dict[str, Any],
        plan: PartPlan,
        *,
        key: str,
        metadata: dict[str, str],
        translated: Translated,
        sign: Callable[[str, dict[str, Any], int], str],
    ) -> None:
        self._client, self._plan, self._key = client, plan, key
        self._translated, self._sign = translated, sign
        self._bucket_and_key = place
        with translated(key):
            self._place = {**place, "UploadId": self._newest() or self._begin(metadata)}
            self._stored = self._list_parts()
        self.missing = tuple(number for number in plan.numbers if number not in self._stored)

    def sign(self, number: int, *, expires_s: int) -> SignedPut:
        size, checksum = self._plan.size_of(number), _base64(self._plan.digest_of(number))
        parameters = {**self._place, "PartNumber": number, "ContentLength": size, "ChecksumSHA256": checksum}
        headers = {"Content-Length": str(size), "x-amz-checksum-sha256": checksum}
        return SignedPut(self._sign("upload_part", parameters, expires_s), headers)

    def complete(self) -> None:
        if self.missing:
            raise StoreUnavailable("parts are missing", key=self._key)
        parts = [
            {"PartNumber": number, "ETag": self._stored[number], "ChecksumSHA256": _base64(digest)}
            for number, digest in enumerate(self._plan.parts, start=1)
        ]
        with self._translated(self._key):
            try:
                self._client.complete_multipart_upload(**self._place, IfNoneMatch="*", MultipartUpload={"Parts": parts})
            except ClientError as error:
                self._explain(error)
                raise
            self._check_whole()
            abort_all(self._client, self._bucket_and_key["Bucket"], self._bucket_and_key["Key"], is_whole_key=True)

    def _explain(self, error: ClientError) -> None:
        """Raises: ObjectConflict, StoreUnavailable for what the store says of the parts or of the key."""
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _TAKEN:
            self._client.abort_multipart_upload(**self._place)
            raise ObjectConflict("the key is taken already", key=self._key) from None
        if code in _LOST:
            if code != "NoSuchUpload":
                self._client.abort_multipart_upload(**self._place)
            raise StoreUnavailable("the store has lost a part; send it again", key=self._key) from None

    def _check_whole(self) -> None:
        """Compare what was put together with the plan. Raises: StoreUnavailable; the object is gone then."""
        head = self._client.head_object(**self._bucket_and_key, ChecksumMode="ENABLED")
        stated = str(head.get("ChecksumSHA256", ""))
        if int(head["ContentLength"]) != self._plan.size or (stated and stated != self._plan.composite):
            self._client.delete_object(**self._bucket_and_key)
            raise StoreUnavailable("the store put other parts together; send them again", key=self._key)

    def _newest(self) -> str:
        """Return the newest unfinished upload of this key, "" if there is none."""
        found = _uploads(self._client, self._bucket_and_key["Bucket"], self._bucket_and_key["Key"], is_whole_key=True)
        newest = max(found, key=lambda upload: upload["Initiated"], default={"UploadId": ""})
        return str(newest["UploadId"])

    def _begin(self, metadata: dict[str, str]) -> str:
        made = self._client.create_multipart_upload(
            **self._bucket_and_key, ContentType=CONTENT_TYPE, ChecksumAlgorithm="SHA256", Metadata=metadata
        )
        return str(made["UploadId"])

    def _list_parts(self) -> dict[int, str]:
        """Return number -> ETag of the parts that are here as promised."""
        pages = self._client.get_paginator("list_parts").paginate(**self._place)
        found = (part for page in pages for part in page.get("Parts", ()))
        return {int(part["PartNumber"]): str(part["ETag"]) for part in found if self._is_promised(part)}

    def _is_promised(self, part: dict[str, Any]) -> bool:
        number = int(part["PartNumber"])
        if number not in self._plan.numbers or int(part["Size"]) != self._plan.size_of(number):
            return False
        promised = _base64(self._plan.digest_of(number))
        return str(part.get("ChecksumSHA256", promised)) == promised


def abort_all(client: Any, bucket: str, prefix: str, *, is_whole_key: bool = False) -> None:
    """Abort the unfinished uploads of keys that begin with `prefix`; with `is_whole_key`, of this one alone."""
    for upload in _uploads(client, bucket, prefix, is_whole_key=is_whole_key):
        client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])


def _uploads(client: Any, bucket: str, prefix: str, *, is_whole_key: bool) -> list[dict[str, Any]]:
    pages = client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix)
    found = [upload for page in pages for upload in page.get("Uploads", ())]
    # A key may be the beginning of another, and a server may read the prefix loosely.
    return [item for item in found if (item["Key"] == prefix if is_whole_key else item["Key"].startswith(prefix))]


def _base64(digest: str) -> str:
    return base64.b64encode(bytes.fromhex(digest)).decode()
