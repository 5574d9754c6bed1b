"""What requests say about the episodes of a dataset: which, and in which splits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from fleet.api.episode_query import EpisodeFilterIn, filter_of
from fleet.errors import InvalidRequest
from fleet.selectors.dataset_selection import MAX_IDS, Selection


class Strict(serializers.Serializer[Any]):
    """Refuses fields that it does not know: a filter with a typing error would freeze everything."""

    def to_internal_value(self, data: Any) -> Any:
        unknown = sorted(set(data) - set(self.fields)) if isinstance(data, Mapping) else []
        if unknown:
            raise ValidationError({str(name)[:100]: ["there is no such field"] for name in unknown[:5]})
        return super().to_internal_value(data)


class FrozenFilterIn(Strict, EpisodeFilterIn):
    """The library's filter."""


class SelectionIn(Strict):
    """Exactly one of the three. `collected`: what was collected for the dataset."""

    filter = FrozenFilterIn(required=False)
    ids = serializers.ListField(child=serializers.UUIDField(), min_length=1, max_length=MAX_IDS, required=False)
    collected = serializers.BooleanField(required=False)


class SplitIn(SelectionIn):
    """`splits`: name -> share; the shares sum to 1. `is_stratified`: each task is split by itself."""

    splits = serializers.DictField(child=serializers.FloatField(), required=False)
    is_stratified = serializers.BooleanField(default=False)


DEFAULT_SPLITS = {"train": 1.0}


def selection_of(values: Mapping[str, Any], *, may_be_collected: bool = True) -> Selection:
    """Return the selection of validated fields. Raises: InvalidRequest unless one thing was said."""
    said = [name for name in ("filter", "ids") if name in values] + (["collected"] if values.get("collected") else [])
    if len(said) != 1 or (said == ["collected"] and not may_be_collected):
        kinds = "a filter, ids, or collected" if may_be_collected else "a filter or ids"
        raise InvalidRequest(f"say which episodes by one of these: {kinds}", field="filter")
    if "filter" in values:
        return Selection(filter=filter_of(values["filter"]))
    return Selection(ids=tuple(values["ids"])) if "ids" in values else Selection()


def asked_of(request: Request) -> dict[str, Any]:
    """Return the query as it was sent: dates are text in JSON."""
    sent: Any = request.data
    return {name: sent[name] for name in ("filter", "ids", "collected") if name in sent}
