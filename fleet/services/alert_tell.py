"""Telling people of alerts: consoles at once, webhooks and mail as the rule says, unless it is silent now.

What a silence held back is told when it ends, if the alert is still open then. Whoever was told of an alert is told of
its end too.
"""

from __future__ import annotations

import logging
from datetime import datetime

from django.conf import settings
from django.db.models import Q

from fleet.events import hint_consoles
from fleet.models import Alert, AlertMail, AlertRule, Webhook
from fleet.queue import enqueue_alert_mail
from fleet.selectors.alert_kinds import is_silent
from fleet.selectors.alert_words import span_words
from fleet.services.webhook_event import alert_event

logger = logging.getLogger(__name__)

_WHY = {
    Alert.Resolution.RECOVERED: "It is over",
    Alert.Resolution.GONE: "It is over: there is nothing to measure or watch any more",
    Alert.Resolution.RULE_OFF: "Its rule was turned off",
    Alert.Resolution.RULE_REMOVED: "Its rule was removed",
}


def alert_resolve(*, alert: Alert, resolution: Alert.Resolution, text: str, now: datetime) -> None:
    """End a locked alert; it says why and after how long. `text`: the reading that ended it, if there is one."""
    alert.resolved_at, alert.resolution, alert.clear_since = max(now, alert.opened_at), resolution, None
    lasted = span_words((alert.resolved_at - alert.opened_at).total_seconds())
    alert.resolved_text = f"{_WHY[resolution]}, after {lasted}. {text}".strip()[:500]
    alert.save(update_fields=["resolved_at", "resolution", "clear_since", "resolved_text"])
    hint_consoles("alerts", alert.id)
    logger.info("alert resolved", extra={"event": {"alert": str(alert.id), "why": resolution.value}})


def alerts_tell(*, rule: AlertRule, now: datetime, is_last: bool = False) -> int:
    """Tell what is due of a locked rule's alerts; return how many messages. Within a transaction.

    `is_last`: the rule ends here, so that no silence is waited for.
    """
    if is_silent(rule, now=now) and not is_last:
        return 0
    is_new = Q(resolved_at__isnull=True, told_at__isnull=True)
    is_over = Q(resolved_at__isnull=False, told_at__isnull=False, told_resolved_at__isnull=True)
    due = list(Alert.objects.select_for_update().filter(is_new | is_over, rule=rule).order_by("opened_at", "id"))
    for alert in due:
        field = "told_at" if alert.resolved_at is None else "told_resolved_at"
        setattr(alert, field, now)
        alert.save(update_fields=[field])
        _send(rule, alert, now)
    if due and AlertRule.Channel.MAIL.value in rule.channels:
        enqueue_alert_mail()
    return len(due)


def mail_is_set_up() -> bool:
    """Whether this server mails at all, see SOP_SMTP_URL."""
    return bool(settings.SOP_MAIL_FROM)


def _send(rule: AlertRule, alert: Alert, now: datetime) -> None:
    hint_consoles("alerts", alert.id)
    if AlertRule.Channel.WEBHOOK.value in rule.channels:
        is_open = alert.resolved_at is None
        alert_event(alert=alert, event=Webhook.Event.ALERT_OPENED if is_open else Webhook.Event.ALERT_RESOLVED)
    if AlertRule.Channel.MAIL.value not in rule.channels:
        return
    if not mail_is_set_up():
        logger.warning("alert not mailed: SOP_SMTP_URL is not set", extra={"event": {"alert": str(alert.id)}})
        return
    event = AlertMail.Event.OPENED if alert.resolved_at is None else AlertMail.Event.RESOLVED
    AlertMail.objects.create(alert=alert, event=event, recipients=rule.mail_to, next_try_at=now, created_at=now)
