"""The policy in docs/storage.md allows what the code asks of a bucket, and no more."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
STORAGE = ROOT / "fleet/storage"
# What AWS wants to have allowed for a call of boto3's client, or for a signed URL of that operation.
NEEDED = {
    "get_object": "s3:GetObject",
    "head_object": "s3:GetObject",
    "put_object": "s3:PutObject",
    "upload_fileobj": "s3:PutObject",
    "create_multipart_upload": "s3:PutObject",
    "upload_part": "s3:PutObject",
    "complete_multipart_upload": "s3:PutObject",
    "abort_multipart_upload": "s3:AbortMultipartUpload",
    "delete_object": "s3:DeleteObject",
    "list_objects_v2": "s3:ListBucket",
    "list_parts": "s3:ListMultipartUploadParts",
    "list_multipart_uploads": "s3:ListBucketMultipartUploads",
    "get_bucket_cors": "s3:GetBucketCORS",
    "put_bucket_cors": "s3:PutBucketCORS",
}
NO_CALLS = {"get_paginator", "generate_presigned_url", "close"}  # name others, and those are found by their names


def _calls() -> set[str]:
    text = "\n".join(path.read_text() for path in STORAGE.glob("s3*.py"))
    made = set(re.findall(r"\b_?client\.([a-z_0-9]+)\(", text))
    named = NEEDED.keys() & set(re.findall(r"\"([a-z_0-9]+)\"", text))
    return (made | named) - NO_CALLS


def test_the_documented_policy_is_what_the_code_needs() -> None:
    page = (ROOT / "docs/storage.md").read_text()
    found = re.search(r"```json\n(.*?)```", page.partition("credentials must be allowed")[2], re.DOTALL)
    assert found is not None
    allowed = {action for part in json.loads(found[1])["Statement"] for action in part["Action"]}

    needed = {NEEDED[call] for call in _calls()}

    assert needed - allowed == {"s3:GetBucketCORS", "s3:PutBucketCORS"}, "the page names these apart, for once"
    assert allowed <= needed
    assert all(action in page for action in needed)


def test_nothing_else_talks_to_a_bucket() -> None:
    users = {path.relative_to(ROOT) for path in (ROOT / "fleet").rglob("*.py") if "import boto" in path.read_text()}

    assert users and all(path.is_relative_to("fleet/storage") and path.stem.startswith("s3") for path in users)
