"""What must not reach production, one sentence a problem. Called by `settings/production.py` before anything starts."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from urllib.parse import parse_qs, unquote, urlsplit

from sop_web.env import Environment
from sop_web.mail import mail_settings

SECRET_LEAST = 50  # characters, of which at least SECRET_KINDS differ: Django's own measure
SECRET_KINDS = 5
PASSWORD_LEAST = 16  # machines type these
_WEAK_WORDS = ("password", "changeme", "change-me", "secret", "default", "postgres", "minioadmin", "example")
_SAFE_SSL_MODES = ("require", "verify-ca", "verify-full")


def unsafe_values(environment: Environment) -> list[str]:
    """Return every problem at once, so that an administrator mends them in one go. Repeats no secret."""
    return [*_debug(environment), *_keys(environment), *_addresses(environment), *_servers(environment),
            *_stores(environment), *_mail(environment)]  # fmt: skip


def _debug(environment: Environment) -> Iterator[str]:
    if environment.is_debug:
        yield "SOP_DEBUG must not be 1: error pages would show settings and source"


def _keys(environment: Environment) -> Iterator[str]:
    key = environment.secret_key
    if key.startswith("django-insecure") or len(key) < SECRET_LEAST or len(set(key)) < SECRET_KINDS:
        yield f"SOP_SECRET_KEY must be set to {SECRET_LEAST} random characters or more"
    is_made = any(
        url.startswith("turn") for server in environment.ice_servers for url in server.urls if not server.username
    )
    if is_made and _is_weak(environment.turn_secret):
        yield f"SOP_TURN_SECRET must be {PASSWORD_LEAST} random characters or more"
    for server in environment.ice_servers:
        if server.username and _is_weak(server.credential):
            yield f"SOP_ICE_SERVERS: the credential of {server.urls[0]} must be {PASSWORD_LEAST} characters or more"


def _addresses(environment: Environment) -> Iterator[str]:
    url = urlsplit(environment.public_url)
    if url.scheme != "https" or not url.hostname:
        yield "SOP_PUBLIC_URL must begin with https://"
    if url.path or url.query or url.fragment:
        yield "SOP_PUBLIC_URL must be an origin, https://host or https://host:port, with nothing behind it"
    hosts = environment.allowed_hosts
    if environment.is_hosts_default or not hosts:
        yield "SOP_ALLOWED_HOSTS must be set"
    elif any("*" in host for host in hosts):
        yield "SOP_ALLOWED_HOSTS must name the hosts, not '*'"
    elif url.hostname and not any(_covers(host, url.hostname) for host in hosts):
        yield f"SOP_ALLOWED_HOSTS must name the host of SOP_PUBLIC_URL, {url.hostname}"


def _servers(environment: Environment) -> Iterator[str]:
    if not environment.database_url:
        yield "DATABASE_URL must be set"
    else:
        yield from _server(environment.database_url, "DATABASE_URL")
    if environment.is_redis_default:
        yield "REDIS_URL must be set"
    else:
        yield from _server(environment.redis_url, "REDIS_URL")


def _server(url: str, name: str) -> Iterator[str]:
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    if parts.hostname is None and (name == "DATABASE_URL" or parts.scheme == "unix"):
        return  # a socket in the file system, guarded by its mode and by PostgreSQL's peer authentication
    if _is_weak(unquote(parts.password or "")):
        yield f"{name} needs a password of {PASSWORD_LEAST} random characters or more"
    is_tls = parts.scheme == "rediss" or query.get("sslmode", [""])[-1] in _SAFE_SSL_MODES
    if not is_tls and not _is_near(parts.hostname or ""):
        how = "sslmode=require or stronger" if name == "DATABASE_URL" else "rediss://"
        yield f"{name} leads to another network without TLS: use {how}"


def _stores(environment: Environment) -> Iterator[str]:
    named = {"OBJECT_STORE_URL": environment.object_store_url}
    named |= {f"SOP_EXPORT_DESTINATIONS: {name}": url for name, url in environment.export_destinations.items()}
    for name, url in named.items():
        endpoint = parse_qs(urlsplit(url).query).get("endpoint", [""])[-1]
        if endpoint.startswith("http://"):
            yield f"{name}: the endpoint must be https://, episodes and weights travel through it"


def _mail(environment: Environment) -> Iterator[str]:
    mail = mail_settings(environment.smtp_url)
    if mail.sender and mail.tls == "none" and not _is_near(mail.host):
        yield "SOP_SMTP_URL must use TLS: invitations and password resets travel through it"


def _is_weak(secret: str) -> bool:
    folded = secret.lower()
    is_common = any(folded.startswith(word) or folded.endswith(word) for word in _WEAK_WORDS)
    return len(secret) < PASSWORD_LEAST or len(set(secret)) < SECRET_KINDS or is_common


def _is_near(host: str) -> bool:
    """Whether a host is this machine or a neighbour of the same private network: one name, as in Docker's."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return "." not in host


def _covers(allowed: str, host: str) -> bool:
    return allowed == host or (allowed.startswith(".") and (host.endswith(allowed) or host == allowed[1:]))
