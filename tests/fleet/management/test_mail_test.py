"""`manage.py mail_test`, with a real SMTP server on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.fleet.services.alert_rows import MailServer, mail_server


@pytest.fixture
def smtp(settings: Any) -> Iterator[MailServer]:
    with mail_server() as found:
        found.take_djangos(settings)
        yield found


def test_a_test_mail_arrives_and_names_who_took_it(smtp: MailServer) -> None:
    out = StringIO()
    call_command("mail_test", "anna@lab.example", stdout=out)
    [(recipients, message)] = smtp.got
    assert (recipients, message["From"], message["Subject"]) == (["anna@lab.example"], "sop@lab.example", "[SOP] test")
    assert out.getvalue() == f"127.0.0.1:{smtp.port} took the mail from sop@lab.example to anna@lab.example\n"


def test_the_mail_servers_refusal_is_told(smtp: MailServer) -> None:
    smtp.refuses = 1
    with pytest.raises(CommandError, match=r"mail_refused: 127.0.0.1:\d+: SMTPDataError: \(451, b'not now'\)"):
        call_command("mail_test", "anna@lab.example")
    assert smtp.got == []


def test_a_mail_server_that_is_away_is_told(smtp: MailServer, settings: Any) -> None:
    settings.EMAIL_PORT = 1
    with pytest.raises(CommandError, match=r"mail_refused: 127.0.0.1:1: ConnectionRefusedError"):
        call_command("mail_test", "anna@lab.example")


def test_without_a_mail_server_or_an_address_nothing_is_tried(smtp: MailServer, settings: Any) -> None:
    with pytest.raises(CommandError, match="invalid_address"):
        call_command("mail_test", "anna\r\nBcc: all@lab.example")
    settings.SOP_MAIL_FROM = ""
    with pytest.raises(CommandError, match="mail_off: SOP_SMTP_URL is not set"):
        call_command("mail_test", "anna@lab.example")
    assert smtp.got == []
