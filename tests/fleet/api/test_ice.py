"""ICE servers: configured ones as they are, TURN servers with credentials that a coturn of the same secret accepts."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from typing import Any

import pytest
from django.test import Client

from fleet.protocol.messages import IceServer
from fleet.selectors.ice import ice_servers

pytestmark = pytest.mark.django_db

STUN = IceServer(urls=("stun:stun.example:3478",))
TURN = IceServer(urls=("turn:turn.example:3478", "turns:turn.example:5349"))
OWN = IceServer(urls=("turn:other.example",), username="fixed", credential="known")


def test_turn_credentials_are_the_hmac_of_their_expiry(settings: Any) -> None:
    """The figures are of coturn's scheme: base64(HMAC-SHA1(secret, "expiry:name"))."""
    settings.SOP_ICE_SERVERS, settings.SOP_TURN_SECRET, settings.SOP_TURN_TTL_S = (STUN, TURN, OWN), "secret", 600.0
    stun, turn, own = ice_servers(name="ann", clock=lambda: 1000.9)
    assert (stun, own, turn.urls, turn.username) == (STUN, OWN, TURN.urls, "1600:ann")
    assert turn.credential == base64.b64encode(hmac.digest(b"secret", b"1600:ann", hashlib.sha1)).decode()


def test_signed_in_browser_gets_its_own(settings: Any, client: Client, django_user_model: Any) -> None:
    settings.SOP_ICE_SERVERS, settings.SOP_TURN_SECRET, settings.SOP_TURN_TTL_S = (STUN, TURN), "secret", 600.0
    client.force_login(django_user_model.objects.create_user("ann"))
    answer = client.get("/api/v1/ice-servers")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    body = answer.json()
    assert body["valid_s"] == 600.0
    assert body["ice_servers"][0] == {"urls": ["stun:stun.example:3478"], "username": "", "credential": ""}
    expiry, name = body["ice_servers"][1]["username"].split(":")
    assert name == "ann" and 590 < int(expiry) - time.time() <= 600


def test_none_by_default_and_nothing_for_strangers(client: Client, django_user_model: Any) -> None:
    assert client.get("/api/v1/ice-servers").status_code == 401
    client.force_login(django_user_model.objects.create_user("ann"))
    assert client.get("/api/v1/ice-servers").json()["ice_servers"] == []
