"""Which URLs and addresses a request on a person's behalf may go to."""

from __future__ import annotations

import ipaddress

import pytest

from fleet.outbound.addresses import (
    AddressForbidden,
    AllowList,
    HostUnknown,
    UrlInvalid,
    addresses_of,
    check_url,
    is_public,
)

NOBODY = AllowList()


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:10.0.0.1",
        "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1",
    ],
)  # fmt: skip
def test_inside_addresses_are_not_public(text: str) -> None:
    """Loopback, private, link-local, carrier, multicast, reserved; and IPv4 hidden in IPv6."""
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_outside_addresses_are_public(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "example.com", "http://", "//example.com",
        "http://user:pass@example.com/", "http://example.com/#part", "http://exa mple.com/", "http://example.com:99999/",
        "http://example.com/\r\nX: y", "http://exämple.com/", "http://-bad/", "http://" + "a" * 2000, "http://[::1",
    ],
)  # fmt: skip
def test_impossible_urls_are_refused(url: str) -> None:
    with pytest.raises(UrlInvalid):
        check_url(url, NOBODY)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "https://[::1]:8443/x", "http://169.254.169.254/latest/meta-data"]
)
def test_bare_inside_addresses_are_refused_at_once(url: str) -> None:
    with pytest.raises(AddressForbidden):
        check_url(url, NOBODY)


def test_forms_that_only_a_resolver_reads_are_judged_by_what_they_resolve_to() -> None:
    """2130706433, 0x7f.1 and 127.1 are all 127.0.0.1 to the C library."""
    for host in ("2130706433", "0x7f.1", "127.1"):
        check_url(f"http://{host}/", NOBODY)
        with pytest.raises((AddressForbidden, HostUnknown)):
            addresses_of(host, 80, allowed=NOBODY, timeout_s=5)


def test_one_inside_address_forbids_the_whole_name() -> None:
    """A name with a public and a private address could be made to lead inside."""
    for answers in (["1.1.1.1", "10.0.0.5"], ["10.0.0.5"], ["::ffff:127.0.0.1"]):
        with pytest.raises(AddressForbidden):
            addresses_of("evil.example", 443, allowed=NOBODY, timeout_s=1, resolve=lambda *_, found=answers: found)
    found = addresses_of("good.example", 443, allowed=NOBODY, timeout_s=1, resolve=lambda *_: ["1.1.1.1"])
    assert found == ["1.1.1.1"]


def test_unknown_hosts_and_silent_resolvers_are_one_error() -> None:
    with pytest.raises(HostUnknown):
        addresses_of("no-such-host.invalid", 80, allowed=NOBODY, timeout_s=10)
    with pytest.raises(HostUnknown):
        addresses_of("nothing.example", 80, allowed=NOBODY, timeout_s=1, resolve=lambda *_: [])


def test_hosts_and_networks_can_be_allowed() -> None:
    allowed = AllowList.parse("10.1.0.0/16, chat.lab ,::1")
    assert allowed.allows("anything", ipaddress.ip_address("10.1.2.3"))
    assert allowed.allows("CHAT.lab", ipaddress.ip_address("192.168.0.9"))
    assert allowed.allows("x", ipaddress.ip_address("::1"))
    assert not allowed.allows("x", ipaddress.ip_address("10.2.0.1"))
    check_url("http://10.1.2.3/", allowed)
    assert AllowList.parse("") == NOBODY
    with pytest.raises(UrlInvalid):
        AllowList.parse("10.0.0.0/40")
