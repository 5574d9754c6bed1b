"""Every code that a problem document may carry, with its status and meaning, read from the error trees themselves."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import fleet.outbound.post  # noqa: F401  # its errors are of the server too, whoever has loaded it by now
from fleet.api.errors import status_of_kind
from fleet.protocol.errors import SopError

_LINE = re.compile(r"[├└]── (\w+)[ ]+([a-z0-9_]+)(?:[ ]+(\S.*))?$", re.MULTILINE)

# What Django and the framework refuse before a view decides.
PLAIN = (
    ("bad_request", 400, "the request is malformed"),
    ("invalid", 400, "a value in the query or the body is refused; `detail` names it"),
    ("parse_error", 400, "the body is not JSON"),
    ("csrf_failed", 403, "a change with a session needs its CSRF token"),
    ("method_not_allowed", 405, "this address does not know the method"),
    ("not_acceptable", 406, "no form in which the answer could be sent is accepted"),
    ("body_too_large", 413, "a request's body has a limit"),
    ("length_required", 411, "an upload states its length"),
    ("range_not_satisfiable", 416, "the range lies beyond the object"),
    ("unsupported_media_type", 415, "the body is not of a type that is read here"),
)


# Classes whose tree says no more than their name.
UNTOLD = {
    "authority_error": "who drives the robot cannot change like this",
    "name_taken": "another one has this name",
    "key_invalid": "the store has no such place",
    "object_missing": "the store has no such object",
    "signature_invalid": "the signed URL has expired, or is for something else",
    "import_failed": "the import failed; `detail` says why",
    "export_error": "the export failed; `detail` says why",
}


@dataclass(frozen=True, order=True)
class Entry:
    """`status` 500: never answered of itself; a bug, or of a link that is not HTTP."""

    code: str
    status: int
    meaning: str

    @property
    def is_http(self) -> bool:
        return self.status < 500


def error_catalog() -> list[Entry]:
    """Return all codes by name; of classes that share one the meanings together."""
    meanings: dict[tuple[str, int], list[str]] = {}
    for code, status, meaning in PLAIN:
        meanings.setdefault((code, status), []).append(meaning)
    for kind in sorted(error_kinds(), key=lambda each: each.__name__):
        meaning = _meaning(kind)
        found = meanings.setdefault((kind.code, status_of_kind(kind)), [])
        if meaning and meaning not in found:
            found.append(meaning)
    return sorted(Entry(code, status, "; or ".join(found)) for (code, status), found in meanings.items())


def error_kinds(kind: type[SopError] = SopError) -> Iterator[type[SopError]]:
    """Yield the classes of this process that name a code of their own, apart from robots' and clients'."""
    for child in kind.__subclasses__():
        is_ours = child.__module__.startswith("fleet.") and not child.__module__.startswith("fleet.daemon")
        if is_ours and "code" in vars(child):
            yield child
        yield from error_kinds(child)


def _meaning(kind: type[SopError]) -> str:
    """From the tree in the module's docstring, or the class's own docstring."""
    doc = inspect.getdoc(sys.modules[kind.__module__]) or ""
    drawn = {name: meaning for name, code, meaning in _LINE.findall(doc) if code == kind.code}
    told = drawn.get(kind.__name__) or (vars(kind).get("__doc__") or "").strip().split("\n")[0].rstrip(".")
    return told or UNTOLD.get(kind.code, "")


def as_markdown() -> str:
    """Return docs/api-errors.md."""
    head = (
        "# Error codes of the REST API\n\n"
        "Every refusal is a problem document (RFC 9457) whose `code` is one of these; its `type` leads to the same\n"
        "list on the server (`/api/docs/errors`). Written by `make openapi`; do not edit.\n\n"
    )
    seen, unseen = (
        "| code | status | meaning |\n|---|---|---|\n"
        + "".join(
            f"| `{each.code}` | {each.status} | {each.meaning} |\n"
            for each in error_catalog()
            if each.is_http == is_http
        )
        for is_http in (True, False)
    )
    between = "## On links, in logs and in reports\n\nMet over HTTP, these are a fault of the server.\n\n"
    return f"{head}{seen}\n{between}{unseen}"
