"""What every operation of the schema has: problem documents, headers, and rows that may have some fields alone."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from fleet.api.errors import PROBLEM_TYPE
from fleet.api.sparse import PARAMETER as FIELDS

_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
PROBLEM = {
    "type": "object",
    "description": "RFC 9457. `code` is stable and for programs; `detail` is for people. `field`: the value to blame.",
    "properties": {
        "type": {**_TEXT, "format": "uri-reference"},
        "code": _TEXT,
        "title": _TEXT,
        "detail": _TEXT,
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "instance": {**_TEXT, "format": "uri-reference"},
        "field": _TEXT,
    },
    "required": ["type", "code", "title", "detail", "status", "instance"],
}
_HEADERS: dict[str, Any] = {
    "X-Request-ID": {"schema": _TEXT, "description": "The request's name, in logs too."},
    "RateLimit-Limit": {"schema": _COUNT, "description": "Requests a minute."},
    "RateLimit-Remaining": {"schema": _COUNT, "description": "Requests that are left now."},
    "RateLimit-Reset": {"schema": _COUNT, "description": "Seconds until all are left."},
}
_ETAG = {"ETag": {"schema": _TEXT, "description": "For If-None-Match, and for If-Match of a change."}}
_RETRY = {"Retry-After": {"schema": _COUNT, "description": "Seconds to wait."}}


_REFUSALS = {
    "401": ("Unauthorised", "Not signed in, or a token that no longer works."),
    "403": ("Forbidden", "Not allowed."),
    "404": ("NotFound", "Missing, or not yours to see."),
    "412": ("Changed", "It changed since it was read."),
    "428": ("Unguarded", "If-Match is missing."),
    "429": ("TooMany", "Too many requests, or too much that waits."),
    "4XX": ("Refused", "Refused; docs/api-errors.md describes every code."),
}


def complete(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """A postprocessing hook of drf-spectacular."""
    components = result["components"]
    components["schemas"]["Problem"] = PROBLEM
    components["headers"] = {**_HEADERS, **_ETAG, **_RETRY}
    components["responses"] = {
        name: {
            "description": description,
            "headers": _headers(*_HEADERS, *(_RETRY if status in ("429", "4XX") else ())),
            "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, (name, description) in _REFUSALS.items()
    }
    for path, method, operation in _operations(result):
        _allow_fewer_fields(operation, components["schemas"])
        for status, response in operation["responses"].items():
            response["headers"] = _headers(*_HEADERS, *(_ETAG if status == "200" else ()))
        _add_refusals(operation, has_path_parameter="{" in path, is_read=method == "get")
    _tidy(result)
    return result


def _tidy(part: Any) -> None:
    """Take off marks for a hook that is not used, and "one of anything or null", which null is twice."""
    if isinstance(part, dict):
        part.pop("x-spec-enum-id", None)
        if {} in part.get("oneOf", ()):
            del part["oneOf"]
    for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        _tidy(each)


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _operations(result: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in result["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def _add_refusals(operation: dict[str, Any], *, has_path_parameter: bool, is_read: bool) -> None:
    is_guarded = any(each["name"] == "If-Match" for each in operation.get("parameters", ()))
    statuses = [
        *(("401", "403") if operation.get("security") else ()),
        *(("404",) if has_path_parameter else ()),
        *(("412", "428") if is_guarded else ()),
        "429",
        "4XX",
    ]
    for status in statuses:
        operation["responses"].setdefault(status, {"$ref": f"#/components/responses/{_REFUSALS[status][0]}"})
    if is_read:
        operation["responses"].setdefault("304", {"description": "The asker holds it."})


def _allow_fewer_fields(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Where `?fields=` is offered, the answer is the whole rows or rows with some of their fields."""
    if not any(each["name"] == FIELDS and each["in"] == "query" for each in operation.get("parameters", ())):
        return
    body = operation["responses"]["200"]["content"]["application/json"]
    whole = body["schema"]
    body["schema"] = {"anyOf": [whole, {"$ref": _some_of(whole["$ref"], schemas)}]}


def _some_of(reference: str, schemas: dict[str, Any]) -> str:
    """Return a reference to the same schema without required fields; of a page, of its rows."""
    name = reference.rsplit("/", 1)[1]
    some = copy.deepcopy(schemas[name])
    rows = some.get("properties", {}).get("results")
    if rows is None:
        some.pop("required", None)
    else:
        rows["items"] = {"$ref": _some_of(rows["items"]["$ref"], schemas)}
    some["description"] = "With the fields that were asked for."
    schemas[f"{name}Some"] = some
    return f"{reference}Some"
