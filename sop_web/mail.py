"""Where mail is handed in: SOP_SMTP_URL, read into Django's settings. Called by the settings modules."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from sop_web.env_values import EnvironmentInvalid

SHAPE = "smtp://user:password@host:587?from=sop@lab.example"
_ADDRESS = re.compile(r"[^\s@<>,;:]+@[^\s@<>,;:]+")
_MODES = ("starttls", "implicit", "none")


@dataclass(frozen=True)
class MailSettings:
    """Where mail is handed in. `sender` empty: nowhere. `tls`: starttls, implicit or none."""

    sender: str = ""
    host: str = "localhost"
    port: int = 587
    user: str = ""
    password: str = ""
    tls: str = "starttls"


def mail_settings(url: str) -> MailSettings:
    """Read `smtp://user:password@host:587?from=sop@lab.example&tls=starttls`; an empty URL: nothing is mailed.

    Raises: EnvironmentInvalid, which repeats nothing of the URL: it holds a password.
    """
    if not url:
        return MailSettings()
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.scheme != "smtp" or not parts.hostname or parts.path or parts.fragment:
        raise EnvironmentInvalid(f"SOP_SMTP_URL must look like {SHAPE}, with every special character %-encoded")
    if set(query) - {"from", "tls"}:
        raise EnvironmentInvalid("SOP_SMTP_URL: after the '?' stand from and tls, nothing else")
    sender, tls = query.get("from", ""), query.get("tls", "starttls")
    if not _ADDRESS.fullmatch(sender):
        raise EnvironmentInvalid(f"SOP_SMTP_URL: from must be one address, as in {SHAPE}")
    if tls not in _MODES:
        raise EnvironmentInvalid("SOP_SMTP_URL: tls is starttls, implicit or none")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if bool(user) != bool(password):
        raise EnvironmentInvalid("SOP_SMTP_URL: a user and a password go together")
    try:
        port = parts.port or (465 if tls == "implicit" else 587)
    except ValueError:
        raise EnvironmentInvalid("SOP_SMTP_URL: the port must lie between 1 and 65535") from None
    return MailSettings(sender, parts.hostname, port, user, password, tls)
