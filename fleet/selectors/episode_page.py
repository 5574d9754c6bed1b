"""Pages of episodes by keyset: a page costs the same wherever it lies, and new episodes move nothing."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from django.db.models import QuerySet
from django.db.models.fields.tuple_lookups import Tuple, TupleGreaterThan, TupleLessThan

from fleet.errors import InvalidRequest
from fleet.models import Episode

SORTS = {
    "registered": "index_seq",
    "ended": "ended_at",
    "steps": "steps",
    "share": "human_share",
    "size": "size_bytes",
}
SORT_NAMES = tuple(sign + name for name in SORTS for sign in ("-", ""))
DEFAULT_SORT = "-registered"
_PYTHON_TYPES: dict[str, type] = {"ended": datetime, "share": float}


@dataclass(frozen=True)
class EpisodePage:
    """`next` and `previous` are cursors, None at the end and the beginning."""

    rows: list[Episode]
    next: str | None
    previous: str | None


class _Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The row that a page begins after (or, going back, ends before): its sort value and its index_seq."""

    sort: str
    is_back: bool
    value: Any
    seq: int


def episode_page(rows: QuerySet[Episode], *, sort: str, cursor: str, size: int) -> EpisodePage:
    """Return `size` rows in the order `sort` (of SORT_NAMES), from `cursor` on ("" for the first page).

    Raises: InvalidRequest for a cursor that is none, or is of another order.
    """
    at = _decode(cursor, sort) if cursor else None
    is_back = at is not None and at.is_back
    is_descending = sort.startswith("-") is not is_back
    field = SORTS[sort.removeprefix("-")]
    if at is not None:
        rows = _beyond(rows, field, at, is_descending)
    fields = (field,) if field == "index_seq" else (field, "index_seq")
    found = list(rows.order_by(*(f"-{name}" if is_descending else name for name in fields))[: size + 1])
    has_more = len(found) > size
    found = found[:size]
    if is_back:
        found.reverse()
    has_next, has_previous = (True, has_more) if is_back else (has_more, at is not None)
    return EpisodePage(
        rows=found,
        next=_encode(sort, field, found[-1], is_back=False) if found and has_next else None,
        previous=_encode(sort, field, found[0], is_back=True) if found and has_previous else None,
    )


def _beyond(rows: QuerySet[Episode], field: str, at: _Cursor, is_descending: bool) -> QuerySet[Episode]:
    if field == "index_seq":
        return rows.filter(**{"index_seq__lt" if is_descending else "index_seq__gt": at.seq})
    # A row comparison, because PostgreSQL reads its index from there; "a < x or (a = x and b < y)" it does not.
    compare = TupleLessThan if is_descending else TupleGreaterThan
    return rows.filter(compare(Tuple(field, "index_seq"), (at.value, at.seq)))


def _encode(sort: str, field: str, row: Episode, *, is_back: bool) -> str:
    packed = msgspec.json.encode(_Cursor(sort, is_back, getattr(row, field), row.index_seq))
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def _decode(cursor: str, sort: str) -> _Cursor:
    try:
        packed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        found = msgspec.json.decode(packed, type=_Cursor)
        value: Any = msgspec.convert(found.value, _PYTHON_TYPES.get(sort.removeprefix("-"), int))
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise InvalidRequest("this is no cursor of this list", field="cursor") from None
    is_in_range = 0 <= found.seq < 2**63 and (not isinstance(value, int) or 0 <= value < 2**63)
    if found.sort != sort or not is_in_range or (isinstance(value, datetime) and value.tzinfo is None):
        raise InvalidRequest("this cursor belongs to another order; begin again without it", field="cursor")
    return msgspec.structs.replace(found, value=value)
