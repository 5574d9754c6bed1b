"""No API view can be forgotten: each declares what a token needs for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from fleet.scopes import ABOUT, Needs, Public, Scope, SessionOnly

CHANGING = {"post", "put", "patch", "delete"}


def _patterns(resolver: URLResolver, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for each in resolver.url_patterns:
        path = prefix + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from _patterns(each, path)
        else:
            yield path, each


def _views() -> list[Any]:
    found = [(path, each) for path, each in _patterns(get_resolver("sop_web.urls")) if path.startswith("api/v1/")]
    return [pytest.param(getattr(each.callback, "view_class", None), id=path) for path, each in found]


@pytest.mark.parametrize("view", _views())
def test_every_view_declares_what_a_token_needs(view: Any) -> None:
    assert view is not None, "a function view has nowhere to declare it"
    declared = vars(view).get("needs")
    assert isinstance(declared, Needs | SessionOnly | Public), (
        f"{view.__module__}.{view.__name__} needs a line `needs = Needs(read=Scope...., write=Scope....)`, "
        "`SESSION_ONLY` or `PUBLIC`: see fleet/scopes.py"
    )
    changes = sorted(CHANGING & {name for name in vars(view) if callable(vars(view)[name])})
    if isinstance(declared, Needs):
        assert bool(changes) == (declared.write is not None), f"{changes} and write={declared.write} do not fit"


@pytest.mark.parametrize("view", _views())
def test_every_post_is_done_once_under_a_key(view: Any) -> None:
    post = vars(view).get("post")
    if post is not None:
        why_not = getattr(view, "idempotency_exempt", "")
        assert bool(why_not) != getattr(post, "is_idempotent", False), (
            f"{view.__name__}.post needs @idempotent (fleet/api/idempotency.py), or its view says in "
            "`idempotency_exempt` why not"
        )


def test_every_scope_says_what_it_is_for() -> None:
    assert set(ABOUT) == set(Scope)
