"""Ids that every log line of a piece of work carries: robot, episode, run, task. Set at the edges, read by the log's
formatter; knows no Django, so that the formatter may read it before Django loads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

_fields: ContextVar[Mapping[str, object]] = ContextVar("fleet_log_fields", default=MappingProxyType({}))


def log_fields() -> Mapping[str, object]:
    """Return the ids of the work that runs here."""
    return _fields.get()


def bind(**fields: object) -> None:
    """From here on log lines of this task of the event loop, and of those it starts, carry these ids too."""
    _fields.set({**_fields.get(), **fields})


@contextmanager
def bound(**fields: object) -> Iterator[None]:
    """Within the block, log lines carry these ids too."""
    token = _fields.set({**_fields.get(), **fields})
    try:
        yield
    finally:
        _fields.reset(token)
