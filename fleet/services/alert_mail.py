"""Sending what alerts have to say by mail, with a bounded number of tries.

Called by the task `fleet.alert_mail` on the queue `hooks`, which is made for receivers that may be slow. A mail is
claimed before it is sent, for as long as one try may take: a worker that dies leaves it to the next one, so a mail may
come twice and is never forgotten.
"""

from __future__ import annotations

import logging
import smtplib
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.core.mail import EmailMessage
from django.utils import timezone

from fleet.models import AlertMail

logger = logging.getLogger(__name__)

RETRY_S = (30.0, 120.0, 600.0, 3600.0, 4 * 3600.0)  # waits after each failure, about 5 h in all
AT_ONCE = 50  # mails a sweep


def alert_mails_send(*, now: Callable[[], datetime] = timezone.now) -> int:
    """Send the mails that are due; return how many were sent. Ends where no mail server answers.

    The others would wait as long for nobody, and webhooks behind them, which share the workers.
    """
    due = AlertMail.objects.filter(state=AlertMail.State.PENDING, next_try_at__lte=now()).order_by("next_try_at", "id")
    sent = 0
    for mail_id in list(due.values_list("id", flat=True)[:AT_ONCE]):
        is_sent = _try(mail_id, now())
        if is_sent is None:
            break
        sent += is_sent
    return sent


def _try(mail_id: int, at: datetime) -> bool | None:
    """Return whether it was sent; None if no mail server answers."""
    claim_s = 2 * settings.EMAIL_TIMEOUT + 10
    mine = AlertMail.objects.filter(id=mail_id, state=AlertMail.State.PENDING, next_try_at__lte=at)
    if not mine.update(next_try_at=at + timedelta(seconds=claim_s)):
        return False  # another worker's
    mail = AlertMail.objects.select_related("alert").get(id=mail_id)
    try:
        _message(mail).send()
    except (OSError, smtplib.SMTPException, ValueError) as error:  # ValueError: a header that is none
        _failed(mail, error, at)
        answered = isinstance(error, (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused, ValueError))
        return False if answered else None
    values = {"state": AlertMail.State.SENT, "attempts": mail.attempts + 1, "next_try_at": None, "last_error": ""}
    AlertMail.objects.filter(id=mail.id).update(**values)
    return True


def _failed(mail: AlertMail, error: Exception, at: datetime) -> None:
    tries = mail.attempts + 1
    is_dead = tries > len(RETRY_S) or isinstance(error, ValueError)
    state = AlertMail.State.DEAD if is_dead else AlertMail.State.PENDING
    next_try_at = None if is_dead else at + timedelta(seconds=RETRY_S[tries - 1])
    text = f"{type(error).__name__}: {error}"[:300].replace("\x00", "")
    AlertMail.objects.filter(id=mail.id).update(state=state, attempts=tries, next_try_at=next_try_at, last_error=text)
    logger.warning("alert not mailed", extra={"event": {"mail": mail.id, "tries": tries, "error": text}})


def _message(mail: AlertMail) -> EmailMessage:
    """Recipients see nobody else's address."""
    alert = mail.alert
    is_over = mail.event == AlertMail.Event.RESOLVED
    subject = f"[SOP] {'resolved' if is_over else alert.severity}: {alert.rule_name}, {alert.subject_name}"
    lines = [alert.resolved_text if is_over else alert.text, ""]
    lines += [f"Opened {_stamp(alert.opened_at)}" + (f", resolved {_stamp(alert.resolved_at)}" if is_over else "")]
    lines += ["", f"{settings.SOP_PUBLIC_URL}/alerts", ""]
    headers = {"Auto-Submitted": "auto-generated", "References": f"<alert-{alert.id}@sop>"}
    return EmailMessage(
        " ".join(subject.split()), "\n".join(lines), settings.SOP_MAIL_FROM, bcc=mail.recipients, headers=headers
    )


def _stamp(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at is not None else ""
