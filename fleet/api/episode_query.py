"""The library's filter as it travels: query parameters of the list and its counts, JSON in bodies."""

from __future__ import annotations

import dataclasses
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from fleet.protocol.authority import Source
from fleet.protocol.recording import Origin, Outcome, OutcomeSource
from fleet.selectors.episode_filter import NONE, EpisodeFilter

MAX_CHOSEN = 50
_ID = rf"^({NONE}|[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}})$"


def _several(child: serializers.Field[Any, Any, Any, Any]) -> serializers.ListField:
    return serializers.ListField(child=child, max_length=MAX_CHOSEN, required=False, help_text="Repeated.")


def _one_of(values: Any) -> serializers.ListField:
    return _several(serializers.ChoiceField(choices=[str(value) for value in values]))


class EpisodeFilterIn(serializers.Serializer[Any]):
    """See `EpisodeFilter` for what each field asks."""

    task = _several(serializers.SlugField(max_length=100))
    robot = _several(serializers.RegexField(_ID))
    policy_version = _several(serializers.RegexField(_ID))
    outcome = _one_of(Outcome)
    outcome_source = _one_of(OutcomeSource)
    origin = _one_of(Origin)
    source = _one_of(Source)  # type: ignore[assignment]
    operator = _several(serializers.CharField(max_length=200))
    tag = _several(serializers.CharField(max_length=64))
    share_min = serializers.FloatField(min_value=0, max_value=1, required=False)
    share_max = serializers.FloatField(min_value=0, max_value=1, required=False)
    ended_from = serializers.DateTimeField(required=False)
    ended_until = serializers.DateTimeField(required=False)
    text = serializers.CharField(max_length=200, required=False, allow_blank=True)
    archived = serializers.ChoiceField(choices=["no", "only", "any"], required=False)
    damaged = serializers.ChoiceField(choices=["no", "only", "any"], required=False)


def filter_of(values: dict[str, Any]) -> EpisodeFilter:
    """Return the filter of validated fields; `values` may hold others."""
    names = [field.name for field in dataclasses.fields(EpisodeFilter)]
    asked = {name: values[name] for name in names if name in values}
    given: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in asked.items()}
    return EpisodeFilter(**given)


def filter_asked(request: Request) -> EpisodeFilter:
    """Return the filter of a request's query parameters. Raises: ValidationError."""
    query = EpisodeFilterIn(data=request.query_params)
    query.is_valid(raise_exception=True)
    return filter_of(query.validated_data)
