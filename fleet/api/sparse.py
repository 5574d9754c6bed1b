"""`?fields=id,outcome`: lists and details with the named fields alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.errors import InvalidRequest

PARAMETER = "fields"


class SparseFields(APIView):
    """Put before the other bases of a view. `sparse`: serializer of a row, where the view has no serializer_class."""

    sparse: type[serializers.Serializer[Any]] | None = None

    @classmethod
    def row_fields(cls) -> tuple[str, ...]:
        """Return the names that may be asked for, in their order."""
        row = cls.sparse or cls.serializer_class  # type: ignore[attr-defined]
        return tuple(row().get_fields())

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method in ("GET", "HEAD"):
            self._check_fields(request)

    def _check_fields(self, request: Request) -> None:
        """Raises: InvalidRequest, before any row is read."""
        asked = _asked(request)
        if asked is None:
            return
        unknown = [name[:50] for name in asked if name not in self.row_fields()]
        if unknown:
            known = ", ".join(self.row_fields())
            raise InvalidRequest(f"there is no field '{unknown[0]}'; there are {known}", field=PARAMETER)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        found = super().finalize_response(request, response, *args, **kwargs)
        if isinstance(found, Response) and found.status_code == 200 and request.method in ("GET", "HEAD"):
            asked = _asked(request)
            if asked is not None:
                found.data = _thinned(cast("dict[str, Any]", found.data), frozenset(asked))
        return found


def _asked(request: Request) -> list[str] | None:
    given = request.query_params.get(PARAMETER)
    return None if given is None else [name.strip() for name in given.split(",")]


def _thinned(data: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    if isinstance(data.get("results"), list):
        return {**data, "results": [_kept(row, names) for row in data["results"]]}
    return _kept(data, names)


def _kept(row: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name in names}
