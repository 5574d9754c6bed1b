"""What alert rules measure, made quickly: sums of episodes, robots that are heard of, a mail server on loopback."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from django.utils import timezone

from fleet import live
from fleet.models import Alert, AlertRule, EpisodeRollup, PolicyVersion, Robot, Task
from fleet.selectors.measures import SUM_NAMES
from fleet.services.alert_rule import RuleChange, alert_rule_create
from tests.fleet import builders

RATE = {"measure": "success", "by": "task", "threshold": 0.6, "window_s": 86_400.0, "min_n": 20}


def episodes(task: Task, robot: Robot, *, n: int, wins: int, version: PolicyVersion | None = None, ago_h: float = 1.0,
             **sums: int) -> EpisodeRollup:  # fmt: skip
    """Sums of `n` episodes of which `wins` succeeded, without help."""
    quarter = timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=ago_h)
    values = {**dict.fromkeys(SUM_NAMES, 0), "episodes": n, "successes": wins, "failures": n - wins, **sums}
    return EpisodeRollup.objects.create(
        quarter=quarter, task=task, robot=robot, policy_version=version, origin="online", is_assisted=False,
        is_archived=False, **values,
    )  # fmt: skip


def heard(robot: Robot, *, pending: int = 0) -> None:
    """The robot is connected, and this many episodes wait on it."""
    spool = builders.m.SpoolStats(pending_episodes=pending, pending_bytes=0, capacity_bytes=10**9)
    live.status_put(str(robot.id), "session", builders.status(spool=spool))
    Robot.objects.filter(id=robot.id).update(last_seen_at=timezone.now())


def silent(robot: Robot, since: datetime) -> None:
    """The robot left and was last heard of at `since`."""
    live.status_clear(str(robot.id), "session")
    Robot.objects.filter(id=robot.id).update(last_seen_at=since)


@dataclass
class MailServer:
    """`refuses`: answers so many messages with 451, which says to try again."""

    port: int = 0
    refuses: int = 0
    got: list[tuple[list[str], EmailMessage]] = field(default_factory=list)

    def take_djangos(self, settings: Any) -> None:
        """Let Django's own SMTP backend hand its mail in here."""
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", self.port
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
        settings.SOP_MAIL_FROM = "sop@lab.example"


@contextlib.contextmanager
def mail_server() -> Iterator[MailServer]:
    """A real SMTP server on loopback, of the commands that a client needs to hand in a message."""
    found = MailServer()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            recipients: list[str] = []
            self._say("220 loopback")
            while line := self.rfile.readline():
                word = line.decode().strip()
                verb = word.split(" ")[0].upper()
                if verb == "RCPT":
                    recipients.append(word.split("<")[1].split(">")[0])
                    self._say("250 yes")
                elif verb == "DATA":
                    self._say("354 go on")
                    self._take(recipients)
                elif verb == "QUIT":
                    self._say("221 bye")
                    return
                else:
                    self._say("250 loopback")

        def _take(self, recipients: list[str]) -> None:
            lines = []
            while (line := self.rfile.readline()) != b".\r\n":
                lines.append(line)
            if found.refuses:
                found.refuses -= 1
                self._say("451 not now")
                return
            message: Any = message_from_bytes(b"".join(lines), policy=policy.default)
            found.got.append((recipients, message))
            self._say("250 taken")

        def _say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        found.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, name="smtp", daemon=True)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join(10)


def rule(kind: str = "rate", params: Any = None, **values: Any) -> AlertRule:
    given = {"name": f"{kind} rule", "params": RATE if params is None else params, "clear_after_s": 0.0, **values}
    return alert_rule_create(kind=kind, change=RuleChange(**given))


def offline(**values: Any) -> tuple[AlertRule, Any]:
    robot = builders.enrol("arm").robot
    silent(robot, timezone.now() - timedelta(hours=1))
    return rule("offline", {"after_s": 300}, **values), robot


def open_alerts() -> list[Alert]:
    return list(Alert.objects.filter(resolved_at__isnull=True).order_by("subject_name"))


def once(start: str, until: str) -> dict[str, str]:
    return {"kind": "once", "from": start, "until": until}


def after(seconds: float) -> Any:
    return timezone.now() + timedelta(seconds=seconds)
