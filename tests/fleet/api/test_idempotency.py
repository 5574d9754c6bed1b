"""A POST under an Idempotency-Key: done once, answered the same for a day, refused for another request."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from fleet.errors import RateLimited
from fleet.models import EpisodeLabel, IdempotentRequest, SavedFilter
from fleet.services import saved_filter
from fleet.services.idempotency import LOCK_S, MAX_A_USER, idempotency_claim, idempotency_sweep
from fleet.storage.local import LocalStore
from tests.fleet import builders
from tests.fleet.api.episode_rows import register

pytestmark = pytest.mark.django_db
JSON = "application/json"
URL = "/api/v1/saved-filters"
BODY = {"name": "mine", "query": {"task": ["box-close"]}}


@pytest.fixture
def ann(django_user_model: Any) -> Any:
    return django_user_model.objects.create_user("ann")


@pytest.fixture
def signed_in(client: Client, ann: Any) -> Client:
    client.force_login(ann)
    return client


def _post(client: Client, body: Any = BODY, *, key: str = "k1", url: str = URL) -> Any:
    return client.post(url, body, JSON, headers={"Idempotency-Key": key})


def test_the_same_request_is_done_once(signed_in: Client) -> None:
    first = _post(signed_in)
    SavedFilter.objects.all().delete()
    second = _post(signed_in)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert not SavedFilter.objects.exists()
    assert _post(signed_in, key="k2").status_code == 201
    assert SavedFilter.objects.count() == 1


def test_etags_are_repeated_too(signed_in: Client, objects: LocalStore) -> None:
    episode = register(builders.task(), builders.enrol().robot)
    signed_in.patch(f"/api/v1/episodes/{episode.id}/label", {"tags": ["a"]}, JSON, headers={"If-Match": '"0"'})
    headers = {"If-Match": '"1"', "Idempotency-Key": "k"}
    answers = [signed_in.post(f"/api/v1/episodes/{episode.id}/label/undo", headers=headers) for _ in range(2)]
    assert [each.status_code for each in answers] == [200, 200]
    assert [each.headers["ETag"] for each in answers] == ['"2"', '"2"']
    assert EpisodeLabel.objects.filter(episode=episode).count() == 3  # the recorded one, the tag, the undo


@pytest.mark.parametrize(
    ("body", "url"),
    [({**BODY, "name": "other"}, URL), (BODY, f"{URL}?x=1")],
)
def test_another_request_under_the_key_is_refused(signed_in: Client, body: Any, url: str) -> None:
    _post(signed_in)
    refused = _post(signed_in, body, url=url)
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
    assert SavedFilter.objects.count() == 1


def test_refusals_are_not_kept(signed_in: Client) -> None:
    """What changed nothing may come again, put right or not."""
    assert _post(signed_in, {"name": ""}).status_code == 400
    assert not IdempotentRequest.objects.exists()
    assert _post(signed_in).status_code == 201


def test_a_failure_keeps_neither_the_work_nor_the_key(signed_in: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    keep = "fleet.api.idempotency.idempotency_keep"

    def fail(**_: object) -> None:
        raise RuntimeError

    signed_in.raise_request_exception = False
    with monkeypatch.context() as broken:
        broken.setattr(keep, fail)
        assert _post(signed_in).status_code == 500
    assert not SavedFilter.objects.exists() and not IdempotentRequest.objects.exists()
    assert _post(signed_in).status_code == 201


@pytest.mark.parametrize("key", ["", "a b", "x" * 201, "é"])
def test_bad_keys(signed_in: Client, key: str) -> None:
    refused = _post(signed_in, key=key)
    assert (refused.status_code, refused.json()["field"]) == (422, "Idempotency-Key")
    assert not SavedFilter.objects.exists()


def test_keys_are_ones_own(signed_in: Client, django_user_model: Any) -> None:
    _post(signed_in)
    bob = Client()
    bob.force_login(django_user_model.objects.create_user("bob"))
    assert "Idempotency-Replayed" not in _post(bob).headers
    assert SavedFilter.objects.count() == 2


def test_a_day_later_it_is_forgotten(signed_in: Client) -> None:
    _post(signed_in)
    IdempotentRequest.objects.update(expires_at=timezone.now())
    assert "Idempotency-Replayed" not in _post(signed_in, {**BODY, "name": "other"}).headers
    assert idempotency_sweep() == 0
    IdempotentRequest.objects.update(expires_at=timezone.now())
    assert idempotency_sweep() == 1


def test_a_claim_whose_process_died_ends(signed_in: Client, ann: Any) -> None:
    _post(signed_in)
    row = IdempotentRequest.objects.get()
    IdempotentRequest.objects.update(status=None, body="")
    busy = _post(signed_in)
    assert (busy.status_code, busy.json()["code"], busy.headers["Retry-After"]) == (409, "idempotency_key_busy", "1")
    IdempotentRequest.objects.update(locked_until=timezone.now() - timedelta(seconds=LOCK_S))
    assert _post(signed_in).status_code == 201
    assert IdempotentRequest.objects.get().pk == row.pk


def test_kept_keys_are_bounded(ann: Any) -> None:
    now = timezone.now()
    rows = (
        IdempotentRequest(user=ann, key=f"{n}", fingerprint="f", expires_at=now + timedelta(1), locked_until=now)
        for n in range(MAX_A_USER)
    )
    IdempotentRequest.objects.bulk_create(rows, batch_size=5000)
    with pytest.raises(RateLimited):
        idempotency_claim(user=ann, key="one more", fingerprint="f")


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_one_is_done(server: str, ann: Any, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is told to wait while the first is being done, and gets its answer afterwards."""
    begun, go_on = threading.Event(), threading.Event()
    real = saved_filter.saved_filter_set

    def slow(**values: Any) -> SavedFilter:
        begun.set()
        assert go_on.wait(20)
        return real(**values)

    monkeypatch.setattr("fleet.api.saved_filters.saved_filter_set", slow)
    client.force_login(ann)
    cookie = f"sessionid={client.cookies['sessionid'].value}; csrftoken={'c' * 32}"
    answers: list[Any] = []
    first = threading.Thread(target=lambda: answers.append(_over_the_wire(server, cookie)))
    first.start()
    assert begun.wait(20)
    busy = _over_the_wire(server, cookie)
    assert (busy.status_code, busy.json()["code"], busy.headers["Retry-After"]) == (409, "idempotency_key_busy", "1")
    go_on.set()
    first.join(20)
    assert answers[0].status_code == 201
    again = _over_the_wire(server, cookie)
    assert (again.status_code, again.json()) == (201, answers[0].json())
    assert again.headers["Idempotency-Replayed"] == "true"
    assert SavedFilter.objects.count() == 1


def _over_the_wire(server: str, cookie: str) -> Any:
    import httpx

    headers = {"Cookie": cookie, "X-CSRFToken": "c" * 32, "Idempotency-Key": "both", "Origin": f"http://{server}"}
    return httpx.post(f"http://{server}{URL}", json=BODY, headers=headers, timeout=30)
