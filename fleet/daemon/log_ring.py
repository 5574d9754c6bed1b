"""The daemon's newest log lines, kept in memory without secrets, for people at the console.

`LogRing` is a logging handler and belongs to every thread that logs; `LogSender` lives on the event loop and sends. The
robot's own log on stderr is not touched. Nothing is sent before the server asked on this connection: an older server
does not know the message.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections import deque
from collections.abc import Callable, Sequence

from fleet.daemon.config_report import LogConfig
from fleet.protocol.messages import MAX_LOG_LINES, MAX_LOG_TEXT, LogLine, LogsWanted, RobotLogs, RobotMessage

HIDDEN = "(hidden)"
# No pattern begins with a run of any length: a line of base64 would cost its square, in the thread that logs.
_URL = re.compile(r"\b([a-z][a-z0-9+.-]{0,15}://)(?:[^\s/@?#\"']*@)?([^\s?#\"']*)(?:[?#][^\s\"']*)?", re.IGNORECASE)
_SCHEME = re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE)
_NAMED = re.compile(
    r"((?:password|passwd|secret|token|api[_-]?key|credential|authorization|signature)[\w-]{0,64}[\"']?\s*[=:]\s*)"
    r"(?:b?\"[^\"]*\"|b?'[^']*'|[^\s,;&\"']+)",
    re.IGNORECASE,
)
# What looks like a key wherever it stands: long, and neither a hash nor a UUID nor plain words.
_OPAQUE = re.compile(r"(?<![\w/-])(?=[\w-]*[A-Z])(?=[\w-]*[a-z])(?=[\w-]*[0-9])[A-Za-z0-9_-]{32,}(?![\w/-])")


def redacted(text: str, *, secrets: Sequence[str] = ()) -> str:
    """Return the text without the given secrets, credentials, and what signs URLs."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, HIDDEN)
    text = _URL.sub(r"\1\2", text)
    text = _SCHEME.sub(rf"\1 {HIDDEN}", text)
    text = _NAMED.sub(rf"\1{HIDDEN}", text)
    return _OPAQUE.sub(HIDDEN, text)


def _fitting(text: str) -> str:
    """Return the beginning that fits into a message: in bytes of UTF-8, without what UTF-8 cannot hold (file names)."""
    return text.encode("utf-8", "replace")[:MAX_LOG_TEXT].decode("utf-8", "ignore")


class LogRing(logging.Handler):
    """Keeps the newest lines. `secrets`: texts that never leave the robot, whatever is around them."""

    def __init__(self, config: LogConfig, *, secrets: Sequence[str] = ()) -> None:
        super().__init__(logging.INFO)
        self._secrets = tuple(secrets)
        self._lines: deque[tuple[int, LogLine]] = deque(maxlen=config.lines)
        self._unsent: deque[LogLine] = deque(maxlen=config.unsent_lines)
        self._dropped = 0
        self._guard = threading.Lock()  # beside the handler's own, which Python calls optional

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self._line(record)
        except Exception:  # a record whose arguments do not fit its text must not end the caller
            self.handleError(record)
            return
        with self._guard:
            self._lines.append((record.levelno, line))
            if record.levelno >= logging.WARNING:
                self._dropped += len(self._unsent) == self._unsent.maxlen
                self._unsent.append(line)

    def _line(self, record: logging.LogRecord) -> LogLine:
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += f" ({type(record.exc_info[1]).__name__}: {record.exc_info[1]})"
        # Cut first, so that an endless line costs no endless search, and again: what is put in may be longer.
        text = redacted(text[: 4 * MAX_LOG_TEXT].replace("\x00", ""), secrets=self._secrets)
        name = record.name[:100].encode("utf-8", "replace").decode()
        return LogLine(
            at_ns=int(record.created * 1e9), level=record.levelname.lower()[:16], logger=name, text=_fitting(text)
        )

    def last(self, limit: int, *, level: int = logging.INFO) -> tuple[LogLine, ...]:
        """Return the newest lines of at least this level, the oldest first."""
        with self._guard:
            found = [line for number, line in self._lines if number >= level]
        return tuple(found[-limit:])

    def take_unsent(self) -> tuple[tuple[LogLine, ...], int]:
        """Return the warnings and errors since the last time, and how many more there were."""
        with self._guard:
            lines, dropped = tuple(self._unsent), self._dropped
            self._unsent.clear()
            self._dropped = 0
        return lines[-MAX_LOG_LINES:], dropped


class LogSender:
    """Answers the server's questions, and sends warnings and errors at most once a period."""

    def __init__(self, ring: LogRing, config: LogConfig, *, send: Callable[[RobotMessage], bool]) -> None:
        self._ring = ring
        self._config = config
        self._send = send
        self._is_wanted = False
        self._answered_s = -1e9

    def wanted(self, message: LogsWanted) -> None:
        """Answer, unless an answer went out a moment ago."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._answered_s < self._config.answer_period_s and message.request_id:
            return
        if message.request_id:
            self._answered_s = now_s
        else:
            self._ring.take_unsent()  # they are among the last ones
        self._is_wanted = True
        level = logging.INFO if message.request_id else logging.WARNING
        lines = self._ring.last(min(message.limit, self._config.lines), level=level)
        self._send(RobotLogs(request_id=message.request_id, lines=lines))

    def unlinked(self) -> None:
        """The next server may be another one, and asks for itself."""
        self._is_wanted = False

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._config.send_period_s)
            if not self._is_wanted:
                continue
            lines, dropped = self._ring.take_unsent()
            if lines:
                self._send(RobotLogs(lines=lines, dropped=dropped))
