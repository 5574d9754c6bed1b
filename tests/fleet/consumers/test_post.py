"""What is said to robots reaches those connections of this process that it is for; what fails is heard anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from channels.layers import get_channel_layer

from fleet.consumers import ear as ears
from fleet.consumers import post as posts
from fleet.consumers.ear import Ear
from fleet.consumers.post import Post
from fleet.events import ROBOTS_GROUP

Event = dict[str, Any]


def _into(heard: asyncio.Queue[tuple[str, Event]], name: str) -> Callable[[Event], None]:
    return lambda event: heard.put_nowait((name, event))


async def _say(**event: object) -> None:
    await get_channel_layer().group_send(ROBOTS_GROUP, {"type": "state.changed", **event})


async def test_each_hears_what_is_for_it_and_for_all() -> None:
    post, heard = Post(), asyncio.Queue[tuple[str, Event]]()
    hears = {name: _into(heard, name) for name in ("one", "one again", "two")}
    for name, hear in hears.items():
        await post.join(name.split()[0], hear)
    await _say(robots=["one", "elsewhere"])
    assert sorted([(await heard.get())[0], (await heard.get())[0]]) == ["one", "one again"]
    await post.leave("one", hears["one again"])
    await _say()
    assert sorted([(await heard.get())[0], (await heard.get())[0]]) == ["one", "two"]
    for name in ("one", "two"):
        await post.leave(name, hears[name])
    await _say()
    await post.join("three", _into(heard, "three"))  # the ear opens anew
    await _say(robots=["three"])
    name, event = await asyncio.wait_for(heard.get(), 10)
    assert (name, event["robots"]) == ("three", ["three"])


class _Away:
    """The channel layer while Redis is away."""

    async def new_channel(self) -> str:
        raise ConnectionError("Redis is away")


async def test_what_fails_is_heard_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    layers: list[Any] = [_Away()]
    monkeypatch.setattr(ears, "get_channel_layer", lambda: layers.pop() if layers else get_channel_layer())
    monkeypatch.setattr(ears, "AGAIN_S", 0.01)
    heard = asyncio.Queue[Event]()
    ear = Ear(ROBOTS_GROUP, heard.put_nowait)
    ear.open()
    await asyncio.wait_for(ear.hears(), 10)
    await _say(robots=["one"])
    assert (await asyncio.wait_for(heard.get(), 10))["robots"] == ["one"]
    await ear.close()


async def test_no_robot_joins_that_could_not_be_told_of_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ears, "get_channel_layer", _Away)
    monkeypatch.setattr(posts, "JOIN_S", 0.05)
    post = Post()
    with pytest.raises(TimeoutError):
        await post.join("one", lambda event: None)
    assert len(asyncio.all_tasks()) == 1, "its ear is closed"
