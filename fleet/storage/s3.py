"""Object store in an S3 bucket: AWS, or any server that checks SHA-256 checksums and If-None-Match (ADR 0008).

Robots PUT and GET with presigned URLs, so their bytes never pass through this server; they must be able to reach the
endpoint under the name in OBJECT_STORE_URL, since the host is part of the signature. Credentials come from boto3's
chain (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, a role); with a role's temporary ones a URL ends with
them, whatever its own time. What is PUT in one request may have 5 GiB at most; robots send large objects in parts
(`s3_parts.py`), and files of our own go so too. Imported by `factory.py` when the URL asks for it.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import boto3.session
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from fleet.protocol.errors import ObjectMismatch
from fleet.storage.base import (
    ConfigurationInvalid,
    ObjectMissing,
    ObjectStore,
    SignedPut,
    StoredObject,
    StoreUnavailable,
    Swept,
    check_key,
)
from fleet.storage.parts import PartedUpload, PartPlan
from fleet.storage.s3_parts import CONTENT_TYPE, S3Parts, abort_all

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 10.0  # of one read from the socket, not of a whole download
ATTEMPTS = 3
_CONNECTIONS = 16
_PIECE = 1024 * 1024
_MISSING = ("404", "NoSuchKey", "NotFound")  # a HEAD has no body, so its code is the bare status
_BEYOND = ("416", "InvalidRange")
PART_SIZE = 16 * 1024 * 1024  # 10,000 parts, the most there may be, make 160 GB
_PARTS_AT_ONCE = 4  # what a file under way costs in memory: so many parts
CORS_RULE = "sop-uploads"  # the id of our rule among those of the bucket
_SHA256 = "sha256"  # metadata of objects that came in parts, whose checksum is a hash of hashes


class S3Store(ObjectStore):
    """Objects under `prefix` of a bucket that exists already. Opening it sends nothing.

    `endpoint`: of a server other than AWS, "http://host:port"; its buckets are then addressed by path. `region`: None
    leaves it to boto3's chain.
    """

    def __init__(
        self, bucket: str, prefix: str = "", *, endpoint: str | None = None, region: str | None = None
    ) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        with _translated():
            self._client = _client(endpoint, region)

    def put(self, key: str, data: bytes) -> None:
        place = self._place(key)
        with _translated(key):
            # The store compares the bytes with the checksum before it takes them, and keeps it for `digest`.
            self._client.put_object(
                **place, Body=data, ContentType=CONTENT_TYPE, ChecksumSHA256=_base64(hashlib.sha256(data).digest())
            )

    def get(self, key: str) -> bytes:
        place = self._place(key)
        with _translated(key):
            # boto3 compares the body with the checksum that the store keeps.
            body: bytes = self._client.get_object(**place)["Body"].read()
            return body

    def put_file(self, key: str, path: Path, *, sha256: str) -> None:
        """As the contract says; the store compares each part with its own checksum before it takes it."""
        if path.stat().st_size <= PART_SIZE:
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() != sha256:
                raise ObjectMismatch("the file differs from its SHA-256", key=key)
            self.put(key, data)
            return
        place = self._place(key)
        extra = {"ContentType": CONTENT_TYPE, "ChecksumAlgorithm": "SHA256", "Metadata": {_SHA256: sha256}}
        config = TransferConfig(
            multipart_threshold=PART_SIZE, multipart_chunksize=PART_SIZE, max_concurrency=_PARTS_AT_ONCE
        )
        with _translated(key), path.open("rb") as file:
            hashed = _Hashed(file)
            self._client.upload_fileobj(hashed, place["Bucket"], place["Key"], ExtraArgs=extra, Config=config)
        if hashed.digest != sha256:
            self.delete(key)
            raise ObjectMismatch("the file differs from its SHA-256", key=key)

    def holds(self, key: str, *, size: int, sha256: str) -> bool:
        """As the contract says; of an object in parts the hash that came with it counts, beside its parts' own."""
        try:
            head = self._head(key)
        except ObjectMissing:
            return False
        stated = _whole_checksum(head) or str(head.get("Metadata", {}).get(_SHA256, ""))
        return (int(head["ContentLength"]), stated) == (size, sha256)

    def open(self, key: str, *, start: int = 0) -> IO[bytes]:
        place = self._place(key)
        with _translated(key):
            try:
                wanted = {"Range": f"bytes={start}-"} if start else {}
                body: Any = self._client.get_object(**place, **wanted)["Body"]
            except ClientError as error:
                if str(error.response.get("Error", {}).get("Code", "")) not in _BEYOND:
                    raise
                return io.BytesIO()  # nothing is there from `start` on, as in a file
        found: IO[bytes] = io.BufferedReader(_Body(body, key), buffer_size=64 * 1024)
        return found

    def read(self, key: str, *, start: int, size: int) -> bytes:
        """By a request for these bytes alone: a stream that is left early costs its connection, and what was sent."""
        place = self._place(key)
        with _translated(key):
            try:
                answer = self._client.get_object(**place, Range=f"bytes={start}-{start + size - 1}")
                found: bytes = answer["Body"].read()
            except ClientError as error:
                if str(error.response.get("Error", {}).get("Code", "")) not in _BEYOND:
                    raise
                return b""
            return found

    def exists(self, key: str) -> bool:
        try:
            self._head(key)
        except ObjectMissing:
            return False
        return True

    def existing(self, prefix: str, keys: Collection[str]) -> set[str]:
        """By one listing, which costs what a single HEAD does."""
        return {check_key(key) for key in keys} & set(self.list(prefix))

    def size(self, key: str) -> int:
        return int(self._head(key)["ContentLength"])

    def digest(self, key: str, *, before_read: Callable[[], object] = lambda: None) -> tuple[int, str]:
        """As the contract says; the checksum is what the store compared the bytes with when they arrived.

        Objects that came without SHA-256, or in parts (a hash of hashes), are downloaded and hashed.
        """
        head = self._head(key)
        stated = _whole_checksum(head)
        return (int(head["ContentLength"]), stated) if stated else self._hash(key, before_read)

    def delete(self, key: str) -> None:
        place = self._place(key)
        with contextlib.suppress(ObjectMissing), _translated(key):
            self._client.delete_object(**place)

    def list(self, prefix: str = "") -> Iterator[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        with _translated():
            keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
        # AWS answers in order; SeaweedFS 4.48 walks folders and puts "a/b" before "a-b".
        yield from sorted(key.removeprefix(self._prefix) for key in keys)

    def scan(self, prefix: str = "") -> Iterator[StoredObject]:
        pages = iter(
            self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix + prefix)
        )
        while True:
            with _translated():
                page = next(pages, None)
            if page is None:
                return
            for item in page.get("Contents", ()):
                yield StoredObject(item["Key"].removeprefix(self._prefix), int(item["Size"]), item["LastModified"])

    def sweep(self, *, before: datetime, is_dry: bool) -> Swept:
        count = size = 0
        with _translated():
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket, Prefix=self._prefix
            )
            for upload in (item for page in pages for item in page.get("Uploads", ())):
                if not upload["Key"].startswith(self._prefix) or upload["Initiated"] >= before:
                    continue
                place = {"Bucket": self._bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
                size += sum(int(part["Size"]) for part in self._client.list_parts(**place).get("Parts", ()))
                count += 1
                if not is_dry:
                    self._client.abort_multipart_upload(**place)
        return Swept(count, size)

    def path_or_none(self, key: str) -> Path | None:
        check_key(key)
        return None

    def sign_get(self, key: str, *, expires_s: int, holder: str = "") -> str:
        return self._sign("get_object", self._place(key), expires_s)

    def sign_put(self, key: str, *, size: int, sha256: str, expires_s: int) -> SignedPut:
        checksum = _base64(bytes.fromhex(sha256))
        parameters = {
            **self._place(key),
            "ContentLength": size,
            "ContentType": CONTENT_TYPE,
            "ChecksumSHA256": checksum,
            "IfNoneMatch": "*",  # of two racing PUTs one wins; the other, and every later one, gets 412
        }
        headers = {
            "Content-Length": str(size),
            "Content-Type": CONTENT_TYPE,
            "If-None-Match": "*",
            "x-amz-checksum-sha256": checksum,
        }
        return SignedPut(self._sign("put_object", parameters, expires_s), headers)

    def parted(self, key: str, plan: PartPlan) -> PartedUpload:
        place, metadata = self._place(key), {_SHA256: plan.sha256}
        return S3Parts(self._client, place, plan, key=key, metadata=metadata, translated=_translated, sign=self._sign)

    def abandon(self, prefix: str) -> None:
        with _translated(prefix):
            abort_all(self._client, self._bucket, self._prefix + prefix)

    def allow_uploads(self, origins: Sequence[str]) -> None:
        """Let pages of these origins PUT with our signed URLs; other CORS rules of the bucket stay.

        Needs credentials that may change the bucket's CORS, which a server has no other use for.
        Raises: StoreUnavailable, also where the store refuses.
        """
        with _translated():
            try:
                rules = self._client.get_bucket_cors(Bucket=self._bucket)["CORSRules"]
            except ClientError as error:
                if str(error.response.get("Error", {}).get("Code", "")) != "NoSuchCORSConfiguration":
                    raise
                rules = []
            others = [rule for rule in rules if rule.get("ID") != CORS_RULE]
            wanted = {"CORSRules": [*others, cors_rule(origins)]}
            self._client.put_bucket_cors(Bucket=self._bucket, CORSConfiguration=wanted)

    def _place(self, key: str) -> dict[str, Any]:
        return {"Bucket": self._bucket, "Key": self._prefix + check_key(key)}

    def _head(self, key: str) -> dict[str, Any]:
        place = self._place(key)
        with _translated(key):
            found: dict[str, Any] = self._client.head_object(**place, ChecksumMode="ENABLED")
            return found

    def _hash(self, key: str, before_read: Callable[[], object]) -> tuple[int, str]:
        place, size, found = self._place(key), 0, hashlib.sha256()
        with _translated(key):
            for piece in self._client.get_object(**place)["Body"].iter_chunks(_PIECE):
                before_read()
                size += len(piece)
                found.update(piece)
        return size, found.hexdigest()

    def _sign(self, operation: str, parameters: dict[str, Any], expires_s: int) -> str:
        with _translated():
            return str(self._client.generate_presigned_url(operation, Params=parameters, ExpiresIn=expires_s))


def cors_rule(origins: Sequence[str]) -> dict[str, Any]:
    """Return what a bucket must say for a browser to PUT with a URL and the headers of `sign_put`, and no more.

    Content-Length is the browser's own. Answers are read for their status alone, so no header is exposed.
    """
    return {
        "ID": CORS_RULE,
        "AllowedOrigins": list(origins),
        "AllowedMethods": ["PUT"],
        "AllowedHeaders": ["content-type", "if-none-match", "x-amz-checksum-sha256"],
        "MaxAgeSeconds": 3600,
    }


class _Hashed:
    """A file that the transfer manager reads once, in order, part by part: hashes what it reads.

    Not seekable, so that the manager reads ahead no further than the parts under way.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        self._hash.update(piece)
        return piece

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


class _Body(io.RawIOBase):
    """A response's body as a stream whose failures are ours."""

    def __init__(self, body: Any, key: str) -> None:
        super().__init__()
        self._body, self._key = body, key

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _translated(self._key):
            piece = self._body.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self._body.close()
        super().close()


def _whole_checksum(head: dict[str, Any]) -> str:
    """Return the SHA-256 of the whole object that the store keeps, "" if it keeps none."""
    stated = str(head.get("ChecksumSHA256", ""))
    is_whole = stated and head.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT" and "-" not in stated
    return base64.b64decode(stated).hex() if is_whole else ""


def _client(endpoint: str | None, region: str | None) -> Any:
    """Return a client, which threads may share. Its worst case is about ATTEMPTS * (connect + read timeout)."""
    config = Config(
        signature_version="s3v4",
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        max_pool_connections=_CONNECTIONS,
        s3={"addressing_style": "path" if endpoint else "auto"},
        # No CRC trailers beside our SHA-256: not every server takes them, and a robot could not send them.
        request_checksum_calculation="when_required",
    )
    # A session of its own: creating clients from boto3's shared default session is not thread-safe.
    return boto3.session.Session().client("s3", endpoint_url=endpoint, region_name=region, config=config)


@contextlib.contextmanager
def _translated(key: str = "") -> Iterator[None]:
    """Turn boto3's errors into ours; the texts go to robots, so they name no host and no bucket."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _MISSING:
            raise ObjectMissing(f"there is no object '{key}'", key=key) from None
        raise StoreUnavailable(f"the object store refused: {code}", key=key) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise ConfigurationInvalid("OBJECT_STORE_URL is s3://, so set AWS_ACCESS_KEY_ID and its secret") from error
    except (BotoCoreError, Boto3Error) as error:
        raise StoreUnavailable(f"the object store does not answer: {type(error).__name__}", key=key) from error


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
