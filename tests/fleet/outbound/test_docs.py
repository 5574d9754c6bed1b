"""The receiver in docs/webhooks.md is the one that people copy: it takes what is signed and refuses the rest."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fleet.outbound.signature import secret_text, signed_headers

PAGE = Path(__file__).resolve().parents[3] / "docs" / "webhooks.md"


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys, "argv", ["receiver.py", secret_text(b"s" * 32)])
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {"__name__": "receiver"}
    exec(compile(code, str(PAGE), "exec"), names)
    return names["verified"]


def test_the_example_receiver_verifies(verified: Any) -> None:
    now, body = int(time.time()), b'{"type":"webhook.test"}'
    sound = signed_headers(message_id="msg_1", timestamp_s=now, body=body, secrets=[b"new", b"s" * 32])
    assert verified(sound, body)
    assert not verified(sound, body + b" ")
    assert not verified({**sound, "webhook-id": "msg_2"}, body)
    assert not verified({**sound, "webhook-signature": "v1,AAAA"}, body)
    assert not verified({}, body)
    old = signed_headers(message_id="msg_1", timestamp_s=now - 3600, body=body, secrets=[b"s" * 32])
    assert not verified(old, body)
