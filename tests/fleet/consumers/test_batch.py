"""Batch: who is alone waits for nobody, who comes during a call goes with the next."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from fleet.consumers.batch import Batch


class Acts:
    """Doubles its items; each call waits for `go_on`."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def __call__(self, items: Sequence[int]) -> Sequence[int | Exception]:
        self.calls.append(list(items))
        await self.go_on.wait()
        return [ValueError(str(item)) if item < 0 else 2 * item for item in items]


async def test_what_comes_during_a_call_goes_with_the_next_and_no_more_than_allowed() -> None:
    acts = Acts()
    batch: Batch[int, int] = Batch(acts, most=3)
    assert await batch(1) == 2
    acts.go_on.clear()
    first = asyncio.create_task(batch(2))
    while acts.calls != [[1], [2]]:
        await asyncio.sleep(0)
    others = [asyncio.create_task(batch(item)) for item in (3, 4, 5, 6)]
    await asyncio.sleep(0)
    acts.go_on.set()
    assert await first == 4 and await asyncio.gather(*others) == [6, 8, 10, 12]
    assert acts.calls == [[1], [2], [3, 4, 5], [6]]


async def test_an_error_is_its_own_items_alone() -> None:
    batch: Batch[int, int] = Batch(Acts(), most=10)
    good, bad = await asyncio.gather(batch(1), batch(-1), return_exceptions=True)
    assert good == 2 and isinstance(bad, ValueError)


async def test_a_call_that_fails_is_told_to_all_and_the_next_one_is_made() -> None:
    calls = []

    async def act(items: Sequence[int]) -> Sequence[int | Exception]:
        calls.append(list(items))
        if len(calls) == 1:
            raise OSError("away")
        return list(items)

    batch: Batch[int, int] = Batch(act, most=10)
    assert [type(error) for error in await asyncio.gather(batch(1), batch(2), return_exceptions=True)] == [OSError] * 2
    assert await batch(3) == 3


async def test_who_left_is_not_acted_for() -> None:
    acts = Acts()
    acts.go_on.clear()
    batch: Batch[int, int] = Batch(acts, most=10)
    first = asyncio.create_task(batch(1))
    while not acts.calls:
        await asyncio.sleep(0)
    gone, stays = asyncio.create_task(batch(2)), asyncio.create_task(batch(3))
    await asyncio.sleep(0)
    gone.cancel()
    acts.go_on.set()
    assert (await first, await stays) == (2, 6)
    assert acts.calls == [[1], [3]]
    with pytest.raises(asyncio.CancelledError):
        await gone


async def test_calls_begin_no_faster_than_their_period() -> None:
    acts, clock = Acts(), asyncio.get_running_loop().time
    batch: Batch[int, int] = Batch(acts, most=10, period_s=0.2)
    began_s = clock()
    await batch(1)
    await asyncio.gather(batch(2), batch(3))
    assert clock() - began_s >= 0.19 and acts.calls == [[1], [2, 3]]
