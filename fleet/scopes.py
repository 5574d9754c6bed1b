"""What an API token may do: the scopes, and the need that every API view declares.

A view says `needs = Needs(read=Scope.EPISODES_READ, write=Scope.EPISODES_WRITE)`: GET, HEAD and OPTIONS need `read`,
all else `write`; without `write` the view only reads. `SESSION_ONLY` refuses tokens: nobody makes tokens or changes a
password with one. `PUBLIC` asks for nothing. A view that declares nothing refuses every token, and
tests/architecture/test_api_needs.py fails. Scopes only narrow: the rest is decided by the rights of the token's owner.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """`<noun>:write` includes `<noun>:read`."""

    EPISODES_READ = "episodes:read"
    EPISODES_WRITE = "episodes:write"
    DATASETS_READ = "datasets:read"
    DATASETS_WRITE = "datasets:write"
    EXPORTS_READ = "exports:read"
    EXPORTS_WRITE = "exports:write"
    IMPORTS_READ = "imports:read"
    IMPORTS_WRITE = "imports:write"
    POLICIES_READ = "policies:read"
    POLICIES_WRITE = "policies:write"
    TRAINING_READ = "training:read"
    TRAINING_WRITE = "training:write"
    FLEET_READ = "fleet:read"
    FLEET_WRITE = "fleet:write"
    ADMIN = "admin"


ABOUT: dict[Scope, str] = {
    Scope.EPISODES_READ: "Find, watch and download episodes.",
    Scope.EPISODES_WRITE: "Label, tag and archive episodes.",
    Scope.DATASETS_READ: "Read datasets and what is in them.",
    Scope.DATASETS_WRITE: "Make, name and remove datasets.",
    Scope.EXPORTS_READ: "Follow and download exports.",
    Scope.EXPORTS_WRITE: "Ask for exports and cancel them.",
    Scope.IMPORTS_READ: "Follow imports.",
    Scope.IMPORTS_WRITE: "Upload datasets and import them.",
    Scope.POLICIES_READ: "Read policy versions and where they run.",
    Scope.POLICIES_WRITE: "Roll policy versions out, shadow, pin and roll back.",
    Scope.TRAINING_READ: "Read training runs, charts and reports.",
    Scope.TRAINING_WRITE: "Start, stop and change training runs.",
    Scope.FLEET_READ: "Read robots, tasks, the help queue and alerts.",
    Scope.FLEET_WRITE: "Pause robots, change tasks, the help queue and alerts.",
    Scope.ADMIN: "People, storage, webhooks and the audit log, as far as the owner may.",
}


@dataclass(frozen=True)
class Needs:
    """What a token needs for a view. `write` None: the view has no method that changes anything."""

    read: Scope
    write: Scope | None = None


@dataclass(frozen=True)
class SessionOnly:
    """A person at the console, never a token."""


@dataclass(frozen=True)
class Public:
    """No credentials at all, or ones that the view checks by itself."""


SESSION_ONLY = SessionOnly()
PUBLIC = Public()
Declared = Needs | SessionOnly | Public


def scope_needed(needs: Needs, *, is_read: bool) -> Scope | None:
    """Return the scope for a request, None if no scope allows it."""
    return needs.read if is_read else needs.write


def scopes_allow(granted: Collection[str], scope: Scope) -> bool:
    """Whether a token with these scopes has this one, maybe through the right to write the same."""
    noun, _, action = scope.partition(":")
    return scope in granted or (action == "read" and f"{noun}:write" in granted)
