"""`manage.py mail_test ADDRESS`: send one mail on the way that alerts and invitations take, and say how it went."""

from __future__ import annotations

import smtplib
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email

TEXT = "This server can send mail: alerts, invitations and password links reach you.\n\n{url}\n"


class Command(BaseCommand):
    help = "Send one mail through SOP_SMTP_URL. Ends with status 1 and the mail server's own words if it is not taken."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("address", help="who gets it")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.SOP_MAIL_FROM:
            raise CommandError("mail_off: SOP_SMTP_URL is not set, so nothing is mailed (docs/deploy.md)")
        try:
            validate_email(options["address"])
        except ValidationError:
            raise CommandError("invalid_address: give one address, as anna@lab.example") from None
        place = f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}"
        text = TEXT.format(url=settings.SOP_PUBLIC_URL)
        try:
            EmailMessage("[SOP] test", text, settings.SOP_MAIL_FROM, [options["address"]]).send()
        except (OSError, smtplib.SMTPException) as error:
            raise CommandError(f"mail_refused: {place}: {type(error).__name__}: {error}") from None
        self.stdout.write(f"{place} took the mail from {settings.SOP_MAIL_FROM} to {options['address']}")
