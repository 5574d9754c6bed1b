"""Fixtures over the real stack: one system a module, one small policy and one set of demonstrations a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.stack.harness import RUN, System, running_system, write_demonstrations
from tests.stack.policies import write_random_policy


@pytest.fixture(scope="session")
def stack_folder(make_open_folder: Callable[[str], Path]) -> Path:
    return make_open_folder("stack")


@pytest.fixture(scope="session")
def random_policy(stack_folder: Path) -> Path:
    """A policy directory with random weights: it drives, badly."""
    return write_random_policy(stack_folder / "policy-1", seed=1)


@pytest.fixture(scope="session")
def other_policy(stack_folder: Path) -> Path:
    return write_random_policy(stack_folder / "policy-2", seed=2)


@pytest.fixture(scope="session")
def demonstrations(stack_folder: Path) -> Path:
    """Three demonstrations of the simulator's expert."""
    return write_demonstrations(stack_folder / "demonstrations", count=3)


@pytest.fixture(scope="module")
def running(make_open_folder: Callable[[str], Path], random_policy: Path) -> Iterator[System]:
    """A running system with the random policy published as version 0."""
    with running_system(make_open_folder("system")) as system:
        system.manage("policy_import", str(random_policy), "--run", RUN)
        yield system
