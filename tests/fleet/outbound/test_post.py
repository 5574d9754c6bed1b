"""A POST to a real receiver: within its deadline, no redirects, to the judged address alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from fleet.outbound.addresses import AddressForbidden, AllowList
from fleet.outbound.post import MAX_RESPONSE_BYTES, PostAnswer, PostFailed, post
from fleet.outbound.signature import secret_text, signed_headers
from tests.fleet.outbound.receiver import Receiver, listening

LOOPBACK = AllowList.parse("127.0.0.0/8")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with listening() as found:
        yield found


def _post(url: str, *, timeout_s: float = 5.0, allowed: AllowList = LOOPBACK, **more: object) -> PostAnswer:
    return post(url, body=b"{}", headers={"X-Mark": "1"}, allowed=allowed, timeout_s=timeout_s, **more)  # type: ignore[arg-type]


def test_body_and_headers_arrive(receiver: Receiver) -> None:
    assert _post(receiver.url).status == 200
    [(headers, body)] = receiver.got
    assert (body, headers["x-mark"], headers["host"]) == (b"{}", "1", urlsplit(receiver.url).netloc)


def test_redirects_are_not_followed(receiver: Receiver) -> None:
    receiver.behaviour = "redirect"
    assert _post(receiver.url).status == 302
    assert (len(receiver.got), receiver.redirected) == (1, 0)


@pytest.mark.parametrize("behaviour", ["slow", "drip"])
def test_no_receiver_holds_the_sender_beyond_its_time(receiver: Receiver, behaviour: str) -> None:
    """Silence, and a byte now and then, which no timeout of one read would ever end."""
    receiver.behaviour = behaviour
    began_s = time.monotonic()
    with pytest.raises(PostFailed):
        _post(receiver.url, timeout_s=0.6)
    assert 0.5 < time.monotonic() - began_s < 5


def test_of_a_huge_answer_little_is_read(receiver: Receiver) -> None:
    receiver.behaviour = "huge"
    assert _post(receiver.url).status == 200
    receiver.released.wait(0.2)
    assert receiver.sent_bytes < 2000 * 65536, "the whole answer was read"
    assert MAX_RESPONSE_BYTES == 65536


def test_garbage_and_closed_ports_are_failures(receiver: Receiver) -> None:
    receiver.behaviour = "garbage"
    with pytest.raises(PostFailed):
        _post(receiver.url)
    with pytest.raises(PostFailed):
        _post("http://127.0.0.1:1/")


def test_inside_addresses_are_never_connected_to(receiver: Receiver) -> None:
    port = urlsplit(receiver.url).port
    for url in (receiver.url, f"http://localhost:{port}/hook", f"http://2130706433:{port}/"):
        with pytest.raises(AddressForbidden):
            _post(url, allowed=AllowList())
    assert receiver.got == []


def test_the_judged_address_is_the_one_connected_to(receiver: Receiver) -> None:
    """A name that answers otherwise the second time (DNS rebinding) is asked once only."""
    port, asked = urlsplit(receiver.url).port, []

    def resolve(host: str, port: int, timeout_s: float) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.9.9.9"]

    assert _post(f"http://moving.example:{port}/hook", resolve=resolve).status == 200
    assert asked == ["moving.example"]
    assert receiver.got[0][0]["host"] == f"moving.example:{port}"


def test_signatures_are_those_of_standard_webhooks() -> None:
    """The example of the specification's reference libraries, and one signature a secret."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    headers = signed_headers(
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp_s=1614265330, body=body, secrets=[secret, b"old"]
    )
    first, second = headers["webhook-signature"].split(" ")
    assert first == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    text = b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330." + body
    assert second == "v1," + base64.b64encode(hmac.new(b"old", text, hashlib.sha256).digest()).decode()
    assert secret_text(secret) == "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
