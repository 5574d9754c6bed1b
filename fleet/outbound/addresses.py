"""Which hosts a request on someone's behalf may reach: public addresses, and what the operator of this server allows.

A URL that a person typed must not reach what only this server can (a database, a cloud's metadata service, a router).
So every address that a name resolves to is judged, at the moment of connecting, and the connection goes to the judged
address itself: a name that answers otherwise a second later changes nothing.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from urllib.parse import urlsplit

from fleet.protocol.errors import SopError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int, float], Sequence[str]]

MAX_URL = 2000
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
# getaddrinfo knows no timeout: it runs here, and whoever waits for it leaves after theirs. Bounded at eight.
_resolvers = ThreadPoolExecutor(max_workers=8, thread_name_prefix="resolve")


class UrlInvalid(SopError):
    """The URL is not one that a request may be sent to."""

    code = "url_invalid"


class AddressForbidden(SopError):
    """The host is, or resolves to, an address inside that nobody allowed."""

    code = "address_forbidden"


class HostUnknown(SopError):
    code = "host_unknown"


@dataclass(frozen=True)
class AllowList:
    """Hosts and networks that may be reached though they are not public. `hosts` are lower case."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    @staticmethod
    def parse(text: str) -> AllowList:
        """Read "host, 10.1.0.0/16, ::1". Raises: UrlInvalid for what is neither a host nor a network."""
        hosts, networks = set(), []
        for word in filter(None, (part.strip() for part in text.split(","))):
            try:
                networks.append(ipaddress.ip_network(word, strict=False))
            except ValueError:
                if not _HOST.fullmatch(word):
                    raise UrlInvalid(f"'{word[:100]}' is neither a host nor a network like 10.1.0.0/16") from None
                hosts.add(word.lower())
        return AllowList(frozenset(hosts), tuple(networks))

    def allows(self, host: str, address: Address) -> bool:
        return host.lower() in self.hosts or any(
            address.version == network.version and address in network for network in self.networks
        )


def check_url(url: str, allowed: AllowList) -> None:
    """Judge a URL without asking the network. Raises: UrlInvalid, AddressForbidden (a bare address inside)."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UrlInvalid(f"the URL does not parse: {error}", field="url") from None
    if len(url) > MAX_URL or not url.isascii() or any(ord(c) <= 32 or ord(c) == 127 for c in url):
        raise UrlInvalid(f"a URL has at most {MAX_URL} ASCII characters and no spaces", field="url")
    if parts.scheme not in ("http", "https") or not host:
        raise UrlInvalid("the URL must begin with https:// or http:// and name a host", field="url")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise UrlInvalid("the URL must carry no user, password or fragment", field="url")
    literal = _literal(host)
    if literal is None and not _HOST.fullmatch(host):
        raise UrlInvalid("the URL's host is no host name", field="url")
    if literal is not None:
        _judge(host, literal, allowed)


def addresses_of(
    host: str, port: int, *, allowed: AllowList, timeout_s: float, resolve: Resolve | None = None
) -> list[str]:
    """Return the addresses to connect to. One forbidden among them forbids them all.

    Raises: AddressForbidden, HostUnknown.
    """
    literal = _literal(host)
    texts = [str(literal)] if literal is not None else (resolve or _resolve)(host, port, timeout_s)
    found = [ipaddress.ip_address(text) for text in texts]
    if not found:
        raise HostUnknown(f"the host '{host}' has no address")
    for address in found:
        _judge(host, address, allowed)
    return [str(address) for address in found]


def _judge(host: str, address: Address, allowed: AllowList) -> None:
    if not (is_public(address) or allowed.allows(host, address)):
        raise AddressForbidden(
            f"'{host}' leads to {address}, which is not a public address; SOP_WEBHOOK_ALLOW can allow it", field="url"
        )


def is_public(address: Address) -> bool:
    """Whether anyone on the Internet can reach the address; an IPv4 address inside an IPv6 one decides for it."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _resolve(host: str, port: int, timeout_s: float) -> list[str]:
    asked = _resolvers.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    try:
        answers = asked.result(timeout=timeout_s)
    except FutureTimeout:
        asked.cancel()
        raise HostUnknown(f"nobody said in {timeout_s:g} s where '{host}' is") from None
    except (OSError, UnicodeError):
        raise HostUnknown(f"the host '{host}' is not known") from None
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))
