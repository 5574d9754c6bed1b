"""Logging: one line an event on stderr, as text for people or as JSON for machines.

Code logs `logger.info("event name", extra={"event": {...}})`; the fields land in the line in both formats.
Ids of the work under way come by themselves: of the request (`fleet.acting`), also in the tasks that it asked for, and
what the edges bind (`fleet.log_context`): robot, user, task and its id, and the run, export or import it is about.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from fleet.acting import request_id_or_empty
from fleet.log_context import log_fields


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """Return the ids of the work that logs, then what the line itself says."""
    found = getattr(record, "event", None)
    request = request_id_or_empty()
    named = {"request": request} if request else {}
    return {**named, **log_fields(), **(found if isinstance(found, dict) else {})}


class TextFormatter(logging.Formatter):
    """`time level logger message key=value ...`"""

    def format(self, record: logging.LogRecord) -> str:
        stamp = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S.%f")[:-3]
        fields = "".join(f" {key}={value}" for key, value in _fields(record).items())
        line = f"{stamp} {record.levelname:<7} {record.name} {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line; values that JSON lacks become strings."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def logging_config(log_format: str) -> dict[str, object]:
    """Return Django's LOGGING. `log_format`: "text" or "json"."""
    formatter = "sop_web.logs.JsonFormatter" if log_format == "json" else "sop_web.logs.TextFormatter"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": "INFO"},
        "loggers": {"django.server": {"handlers": ["stderr"], "propagate": False}},
    }
