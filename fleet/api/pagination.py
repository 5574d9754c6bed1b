"""Cursor pagination: {"next", "previous", "results"}."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.views import APIView


class NewestFirst(CursorPagination):
    """Pages of 50, `?page_size=` up to 200, in the order that the view's `ordering` names."""

    page_size_query_param = "page_size"
    max_page_size = 200

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: APIView) -> tuple[str, ...]:
        ordering: tuple[str, ...] = view.ordering  # type: ignore[attr-defined]
        return ordering
