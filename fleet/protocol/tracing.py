"""Spans along a frame's way, from its capture to the version that learned from it. docs/observability.md lists them.

Off, and then nothing of OpenTelemetry is imported, unless OTEL_EXPORTER_OTLP_ENDPOINT (or its _TRACES_ form) says where
a collector listens; the other OTEL_* variables are the SDK's own. Used by every process: the daemon, the server, its
workers and the learner. What travels between them is a W3C traceparent, a text that may always be absent: a process
that does not trace drops it, and one that cannot read it begins a trace of its own.

Spans go into a bounded queue that a thread empties. With no collector, or a slow one, the newest are dropped: whoever
works never waits, and nothing here raises into it. Most spans are recorded when their work is over, from times that are
noted anyway, so that the control loop does nothing for them.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

logger = logging.getLogger(__name__)

TRACEPARENT_CHARS = 55
FINISH_S = 2.0  # for what is left at a process's end
LINKS = 128  # of a span, as the SDK keeps by default
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
Attributes = Mapping[str, str | int | float | bool | None]


class _State:
    """Of this process: the SDK's provider and tracer once it traces."""

    provider: Any = None
    tracer: Any = None


class Work:
    """A span that is open; without tracing it does nothing."""

    def __init__(self, span: Any = None) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        """What a peer continues it by; "" without tracing."""
        return _traceparent(self._span) if self._span is not None else ""

    def set(self, attributes: Attributes) -> None:
        if self._span is not None:
            self._span.set_attributes(_known(attributes))

    def rename(self, name: str) -> None:
        if self._span is not None:
            self._span.update_name(name)

    def fail(self, kind: str) -> None:
        """`kind`: a type or code; never a message, which may hold what is secret."""
        if self._span is not None:
            from opentelemetry.trace import Status, StatusCode

            self._span.set_status(Status(StatusCode.ERROR, kind))


def start(service: str, *, environment: Mapping[str, str] = os.environ) -> bool:
    """Trace from now on if a collector is configured; whether it is. `service`: unless OTEL_SERVICE_NAME is set."""
    is_wanted = any(environment.get(name) for name in _ENDPOINTS)
    is_off = (
        environment.get("OTEL_SDK_DISABLED", "").lower() == "true" or environment.get("OTEL_TRACES_EXPORTER") == "none"
    )
    if not is_wanted or is_off or _State.tracer is not None:
        return _State.tracer is not None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        resource = Resource.create({} if environment.get("OTEL_SERVICE_NAME") else {"service.name": service})
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    except Exception as error:  # a wrong OTEL_ variable, or a robot without the packages: work goes on untraced
        logger.error("not traced: %s: %s", type(error).__name__, error)
        return False
    _State.provider, _State.tracer = provider, provider.get_tracer("sop")
    atexit.register(finish)
    return True


def finish() -> None:
    """Send what is left, for at most FINISH_S, and trace no more."""
    provider, _State.provider, _State.tracer = _State.provider, None, None
    if provider is None:
        return
    thread = threading.Thread(target=provider.shutdown, name="tracing-end", daemon=True)
    thread.start()
    thread.join(FINISH_S)


def is_on() -> bool:
    return _State.tracer is not None


def record(
    name: str,
    *,
    start_ns: int,
    end_ns: int,
    parent: str = "",
    links: Iterable[str] = (),
    attributes: Attributes | None = None,
    failed: str = "",
) -> str:
    """Note work that is over; return its traceparent, "" without tracing. Times: Unix nanoseconds of this machine.

    `parent`, `links`: traceparents; an empty parent begins a trace. `failed`: the code of what went wrong.
    """
    if _State.tracer is None:
        return ""
    span = _begun(name, parent, links, attributes, start_ns=start_ns, is_new=not parent)
    work = Work(span)
    if failed:
        work.fail(failed)
    span.end(max(start_ns, end_ns))
    return work.traceparent


@contextlib.contextmanager
def span(
    name: str,
    *,
    parent: str = "",
    links: Iterable[str] = (),
    kind: str = "INTERNAL",
    attributes: Attributes | None = None,
) -> Iterator[Work]:
    """Trace the block, as a part of what encloses it unless `parent` says otherwise.

    `kind`: SERVER of a request, CONSUMER of a task, else INTERNAL.
    """
    if _State.tracer is None:
        yield Work()
        return
    from opentelemetry import trace

    found = _begun(name, parent, links, attributes, kind=kind)
    work = Work(found)
    try:
        with trace.use_span(found, end_on_exit=False, record_exception=False, set_status_on_exception=False):
            yield work
    except BaseException as error:
        work.fail(type(error).__name__)
        raise
    finally:
        found.end()


def current() -> str:
    """Return the traceparent of what this thread or task works on, "" if none."""
    if _State.tracer is None:
        return ""
    from opentelemetry import trace

    found = trace.get_current_span()
    return _traceparent(found) if found.get_span_context().is_valid else ""


def headers(traceparent: str) -> dict[str, str]:
    """Return what a request carries."""
    return {"traceparent": traceparent} if is_on() and traceparent else {}


def _begun(
    name: str,
    parent: str,
    links: Iterable[str],
    attributes: Attributes | None,
    *,
    kind: str = "INTERNAL",
    start_ns: int | None = None,
    is_new: bool = False,
) -> Any:
    from opentelemetry import trace
    from opentelemetry.context import Context

    of_parent = _context(parent)
    context = None
    if of_parent is not None:
        context = trace.set_span_in_context(trace.NonRecordingSpan(of_parent), Context())
    elif is_new or parent:
        context = Context()
    known = [trace.Link(found) for text in list(links)[:LINKS] if (found := _context(text)) is not None]
    return _State.tracer.start_span(
        name,
        context=context,
        kind=trace.SpanKind[kind],
        links=known,
        attributes=_known(attributes or {}),
        start_time=start_ns,
        record_exception=False,
        set_status_on_exception=False,
    )


def _known(attributes: Attributes) -> dict[str, str | int | float | bool]:
    return {name: value for name, value in attributes.items() if value is not None}


def _context(traceparent: str) -> Any:
    """Return the span that a traceparent names, None if it is none: what comes from a peer is never an error."""
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None:
        return None
    from opentelemetry.trace import SpanContext, TraceFlags

    trace_id, span_id, flags = (int(part, 16) for part in match.groups())
    found = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    return found if found.is_valid else None


def _traceparent(span: Any) -> str:
    found = span.get_span_context()
    return f"00-{found.trace_id:032x}-{found.span_id:016x}-{int(found.trace_flags):02x}"
