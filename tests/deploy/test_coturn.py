"""deploy/coturn/turnserver.conf in Debian's coturn: our credentials open it for their time, and never into the host."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aioice import stun, turn

from fleet.protocol.messages import IceServer
from fleet.selectors.ice import ice_servers
from sop_web.embedded import system
from tests.deploy import front

pytestmark = front.needs("turnserver")
TTL_S = 600.0


@dataclass(frozen=True)
class Relay:
    """A running coturn."""

    port: int
    tls_port: int
    secret: str
    authority: Path


@pytest.fixture(scope="module")
def relay(make_open_folder: Callable[[str], Path]) -> Iterator[Relay]:
    folder = make_open_folder("coturn")
    secrets = front.configure(folder / "secrets")
    found = Relay(system.free_port(), system.free_port(), (secrets / "turn_secret").read_text(), secrets / "tls.crt")
    text = front.replaced(
        (secrets / "turnserver.conf").read_text(),
        {
            "listening-port=3478": f"listening-ip=127.0.0.1\nrelay-ip=127.0.0.1\nlistening-port={found.port}",
            "tls-listening-port=5349": f"tls-listening-port={found.tls_port}",
            "/run/secrets/tls_certificate": str(secrets / "tls.crt"),
            "/run/secrets/tls_key": str(secrets / "tls.key"),
            "/tmp/turnserver.pid": str(folder / "turnserver.pid"),
        },
    )
    (folder / "turnserver.conf").write_text(text)
    command = [front.program("turnserver"), "-c", str(folder / "turnserver.conf")]
    with front.process(command, folder=folder, name="coturn") as log:
        front.wait_for(
            lambda: front.listens(found.port) and front.listens(found.tls_port), what="coturn listens", log=log
        )
        bad = [line for line in log.read_text().splitlines() if "Bad configuration" in line or "Unknown" in line]
        assert bad == []
        yield found


def _credentials(settings: Any, relay: Relay, *, age_s: float = 0.0, secret: str | None = None) -> dict[str, str]:
    """Return what the API gives a browser, made `age_s` seconds ago."""
    settings.SOP_ICE_SERVERS = (IceServer(urls=(f"turn:localhost:{relay.port}",)),)
    settings.SOP_TURN_SECRET = secret or relay.secret
    settings.SOP_TURN_TTL_S = TTL_S
    (server,) = ice_servers(name="operator", clock=lambda: time.time() - age_s)
    return {"username": server.username, "password": server.credential}


async def _allocate(relay: Relay, credentials: dict[str, str], **options: Any) -> tuple[str, int]:
    """Return the relayed address. Raises: stun.TransactionFailed."""
    address = ("127.0.0.1", relay.tls_port if options.get("ssl") else relay.port)
    endpoint = turn.create_turn_endpoint(asyncio.DatagramProtocol, address, **credentials, **options)
    transport, _ = await asyncio.wait_for(endpoint, timeout=20)
    relayed: tuple[str, int] = transport.get_extra_info("sockname")
    transport.close()
    await asyncio.sleep(0)  # lets the transport's own clean-up task begin
    return relayed


@pytest.mark.parametrize("how", ["udp", "tcp", "tls"])
async def test_our_credential_opens_a_relay(settings: Any, relay: Relay, how: str) -> None:
    """Over all three ways that browsers try; the relay's port is one that the compose file publishes."""
    options: dict[str, Any] = {"transport": "udp" if how == "udp" else "tcp"}
    if how == "tls":
        options["ssl"] = ssl.create_default_context(cafile=str(relay.authority))
    host, port = await _allocate(relay, _credentials(settings, relay), **options)
    assert host == "127.0.0.1" and 49160 <= port <= 49259


async def test_one_that_is_still_valid_works_and_one_that_expired_does_not(settings: Any, relay: Relay) -> None:
    """A credential works for SOP_TURN_TTL_S and is refused after it, whoever has it."""
    await _allocate(relay, _credentials(settings, relay, age_s=TTL_S - 60))
    with pytest.raises(stun.TransactionFailed) as refused:
        await _allocate(relay, _credentials(settings, relay, age_s=TTL_S + 60))
    assert refused.value.response.attributes["ERROR-CODE"][0] == 401


@pytest.mark.parametrize("change", ["secret", "later", "none"])
async def test_what_the_secret_did_not_sign_is_refused(settings: Any, relay: Relay, change: str) -> None:
    credentials = _credentials(settings, relay, secret="another-secret" if change == "secret" else None)
    if change == "later":  # an expiry moved into the future by its holder
        credentials["username"] = f"{int(time.time()) + 10**6}:operator"
    if change == "none":
        credentials = {"username": "operator", "password": ""}
    with pytest.raises(stun.TransactionFailed) as refused:
        await _allocate(relay, credentials)
    assert refused.value.response.attributes["ERROR-CODE"][0] == 401


@pytest.mark.parametrize("peer", ["127.0.0.1", "172.18.0.2", "169.254.169.254"])
async def test_no_relay_leads_into_the_host(settings: Any, relay: Relay, peer: str) -> None:
    """Loopback, the containers beside it and a cloud's metadata address are no peers."""
    endpoint = turn.create_turn_endpoint(
        asyncio.DatagramProtocol, ("127.0.0.1", relay.port), **_credentials(settings, relay)
    )
    transport, _ = await asyncio.wait_for(endpoint, timeout=20)
    try:
        inner = transport._TurnTransport__inner_protocol  # type: ignore[attr-defined]
        with pytest.raises(stun.TransactionFailed) as refused:
            await inner.channel_bind(0x4000, (peer, 8333))
        assert refused.value.response.attributes["ERROR-CODE"][0] == 403
    finally:
        transport.close()
        await asyncio.sleep(0)


def test_the_health_check_tells_a_relay_from_none(relay: Relay) -> None:
    """Without an answer it waits for ever, which Docker ends at the check's timeout and counts as a failure."""
    command = [front.program("turnutils_stunclient"), "127.0.0.1", "-p"]
    assert subprocess.run([*command, str(relay.port)], capture_output=True, timeout=30).returncode == 0
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run([*command, str(system.free_port())], capture_output=True, timeout=2)
