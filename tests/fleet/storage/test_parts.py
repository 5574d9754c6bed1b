"""Uploads in parts, on every store: checked part by part, gone on with, put together in one step, abandoned."""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, datetime, timedelta

import pytest

from fleet.protocol.errors import ObjectMismatch
from fleet.storage import ObjectConflict, ObjectStore, StoreUnavailable
from fleet.storage.base import KeyInvalid, SignedPut, Swept
from fleet.storage.parts import MIN_PART_BYTES, PartPlan, PartsInvalid
from fleet.storage.s3 import S3Store
from tests.fleet.storage.served import Served

PART = MIN_PART_BYTES
DATA = random.Random(5).randbytes(2 * PART + 1234)
KEY = "episodes/e/front.mp4"
PARTS = tuple(DATA[at : at + PART] for at in range(0, len(DATA), PART))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def plan_of(data: bytes, *, whole: str = "") -> PartPlan:
    cuts = tuple(sha256(data[at : at + PART]) for at in range(0, len(data), PART))
    return PartPlan(size=len(data), sha256=whole or sha256(data), part_bytes=PART, parts=cuts)


PLAN = plan_of(DATA)


def send(served: Served, number: int, *, plan: PartPlan = PLAN, key: str = KEY, body: bytes | None = None) -> int:
    upload = served.store.parted(key, plan)
    return served.put(upload.sign(number, expires_s=60), PARTS[number - 1] if body is None else body)


def test_parts_become_the_object_in_one_step(served: Served) -> None:
    """In any order, and nothing is at the key before the end."""
    for number in (3, 1):
        assert send(served, number) == 200
    upload = served.store.parted(KEY, PLAN)
    assert upload.missing == (2,)
    assert (served.store.exists(KEY), list(served.store.list()), list(served.store.scan())) == (False, [], [])
    with pytest.raises(StoreUnavailable):
        upload.complete()
    assert send(served, 2) == 200
    upload = served.store.parted(KEY, PLAN)
    assert upload.missing == ()
    upload.complete()
    assert served.store.digest(KEY) == (len(DATA), sha256(DATA))
    assert served.store.get(KEY) == DATA
    assert served.store.holds(KEY, size=len(DATA), sha256=sha256(DATA))
    assert served.store.sweep(before=datetime.now(UTC) + timedelta(days=1), is_dry=True) == Swept(0, 0)


def test_a_part_is_checked_as_it_arrives(served: Served) -> None:
    """Other bytes, another length, another part's URL, an altered URL: refused, and the part is still missing."""
    signed = served.store.parted(KEY, PLAN).sign(2, expires_s=60)
    assert served.put(signed, PARTS[0]) in (400, 422)
    assert served.put(signed, PARTS[1] + b"x", **{"content-length": str(PART + 1)}) == 403
    checksum = next(name.lower() for name in signed.headers if "sha256" in name.lower())
    assert served.put(signed, PARTS[1], **{checksum: None}) == 403
    altered = signed.url.replace("part=2", "part=1").replace("partNumber=2", "partNumber=1")
    assert altered != signed.url
    assert served.put(SignedPut(altered, signed.headers), PARTS[1]) == 403
    assert served.put(SignedPut(signed.url.replace("front", "other"), signed.headers), PARTS[1]) == 403
    assert served.store.parted(KEY, PLAN).missing == (1, 2, 3)


def test_the_same_part_again_changes_nothing(served: Served) -> None:
    for number in (1, 1, 2, 3, 3):
        assert send(served, number) == 200
    served.store.parted(KEY, PLAN).complete()
    assert served.store.digest(KEY) == (len(DATA), sha256(DATA))


def test_a_key_that_is_taken_meanwhile_keeps_its_content(served: Served) -> None:
    for number in PLAN.numbers:
        send(served, number)
    upload = served.store.parted(KEY, PLAN)
    served.store.put(KEY, b"other")
    with pytest.raises(ObjectConflict):
        upload.complete()
    assert served.store.get(KEY) == b"other"


def test_a_false_promise_of_the_whole_is_found_when_it_is_read(served: Served) -> None:
    """Each part is as promised and the whole is not: a folder hashes it at once, `digest` reads it in a bucket."""
    plan = plan_of(DATA, whole=sha256(b"something else"))
    for number in plan.numbers:
        assert send(served, number, plan=plan) == 200
    upload = served.store.parted(KEY, plan)
    if isinstance(served.store, S3Store):
        upload.complete()
        assert served.store.digest(KEY) == (len(DATA), sha256(DATA))
    else:
        with pytest.raises(ObjectMismatch):
            upload.complete()
        assert not served.store.exists(KEY)


def test_other_parts_than_promised_are_not_put_together(served: Served) -> None:
    """The upload holds parts of an earlier promise: they are sent again, and the object is what the plan says."""
    other = random.Random(6).randbytes(len(DATA))
    others = plan_of(other)
    for number in others.numbers:
        assert send(served, number, plan=others, body=other[(number - 1) * PART : number * PART]) == 200
    upload = served.store.parted(KEY, PLAN)
    if not upload.missing:  # SeaweedFS lists parts without their checksums
        with pytest.raises(StoreUnavailable):
            upload.complete()
        assert not served.store.exists(KEY)
    for number in served.store.parted(KEY, PLAN).missing:
        assert send(served, number) == 200
    served.store.parted(KEY, PLAN).complete()
    assert served.store.digest(KEY) == (len(DATA), sha256(DATA))


def test_what_is_abandoned_is_gone_and_others_stay(served: Served) -> None:
    near = "episodes/e2/front.mp4"
    send(served, 1)
    send(served, 1, key=near)
    served.store.abandon("episodes/e/")
    assert served.store.parted(near, PLAN).missing == (2, 3)
    assert served.store.parted(KEY, PLAN).missing == (1, 2, 3)
    served.store.abandon("episodes/none/")


def test_unfinished_uploads_are_swept_by_age(served: Served) -> None:
    send(served, 1)
    send(served, 3)
    now = datetime.now(UTC)
    assert served.store.sweep(before=now - timedelta(hours=1), is_dry=False) == Swept(0, 0)
    held = Swept(1, PART + len(PARTS[2]))
    assert served.store.sweep(before=now + timedelta(minutes=1), is_dry=True) == held
    assert served.store.sweep(before=now + timedelta(minutes=1), is_dry=False) == held
    assert served.store.parted(KEY, PLAN).missing == (1, 2, 3)


def test_impossible_keys_are_refused(store: ObjectStore) -> None:
    with pytest.raises(KeyInvalid):
        store.parted("../x", PLAN)


@pytest.mark.parametrize(
    "changes",
    [
        {"part_bytes": PART - 1},
        {"part_bytes": 0},
        {"size": 0},
        {"size": 3 * PART + 1},
        {"size": 2 * PART},
        {"parts": ()},
        {"parts": (*PLAN.parts[:2], "short")},
        {"sha256": "A" * 64},
    ],
    ids=["small parts", "no parts", "nothing", "too few", "too many", "none named", "no hash", "upper case"],
)
def test_impossible_plans_are_refused(changes: dict[str, object]) -> None:
    values: dict[str, object] = {"size": PLAN.size, "sha256": PLAN.sha256, "part_bytes": PART, "parts": PLAN.parts}
    with pytest.raises(PartsInvalid):
        PartPlan(**(values | changes))  # type: ignore[arg-type]
