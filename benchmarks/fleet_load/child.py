"""A load generator in a process of its own: the parent asks over a pipe, the child's event loop answers.

The parent stays free to read the clock and the processes' CPU; each generator's own CPU shows apart in the report.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

import uvloop

ANSWER_S = 120.0
_Counts = TypeVar("_Counts")


class Crowd(Generic[_Counts]):
    """What a child runs: `size` links, each a task, that count into `counts`.

    `opened_s`: of those that are open now, when that was. Of consoles: of those that read.
    """

    def __init__(self, size: int, fresh: Callable[[], _Counts]) -> None:
        self._size, self._fresh = size, fresh
        self._tasks: list[asyncio.Task[None]] = []
        self.counts = fresh()
        self.opened_s: dict[int, float] = {}

    async def ask(self, question: str) -> Any:
        """start: dial all; open: how many are, and when the last was; opened: when each was, sorted; take: the counts
        since the last time."""
        if question == "start":
            self._tasks = [asyncio.create_task(self._live(number)) for number in range(self._size)]
            return None
        if question == "open":
            return len(self.opened_s), max(self.opened_s.values(), default=0.0)
        if question == "opened":
            return sorted(self.opened_s.values())
        taken, self.counts = self.counts, self._fresh()
        return taken

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _live(self, number: int) -> None:
        """Be the link of this number until cancelled."""
        raise NotImplementedError


class Child:
    """The parent's side."""

    def __init__(self, name: str, make: Callable[..., Crowd[Any]], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(theirs, make, arguments), name=name, daemon=True)
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def ask(self, question: str) -> Any:
        """Return the child's answer. Raises: RuntimeError if it failed or does not answer."""
        self._pipe.send(question)
        if not self._pipe.poll(ANSWER_S):
            raise RuntimeError(f"{self._process.name} does not answer '{question}'")
        is_done, answer = self._pipe.recv()
        if not is_done:
            raise RuntimeError(f"{self._process.name}: {answer}")
        return answer

    def end(self) -> None:
        self._pipe.send("end")
        self._process.join(20)
        if self._process.is_alive():
            self._process.kill()


def _run(pipe: Connection, make: Callable[..., Crowd[Any]], arguments: tuple[Any, ...]) -> None:
    raise_file_limit()
    uvloop.run(_serve(pipe, make(*arguments)))


async def _serve(pipe: Connection, load: Crowd[Any]) -> None:
    loop, parent = asyncio.get_running_loop(), os.getppid()
    while os.getppid() == parent:
        readable: asyncio.Future[None] = loop.create_future()
        loop.add_reader(pipe.fileno(), lambda waiting=readable: waiting.done() or waiting.set_result(None))
        await readable
        loop.remove_reader(pipe.fileno())
        try:
            question = pipe.recv()
        except EOFError:
            return
        if question == "end":
            await load.end()
            return
        try:
            pipe.send((True, await load.ask(question)))
        except Exception as error:  # told to the parent, who ends the run
            pipe.send((False, repr(error)))


def raise_file_limit() -> int:
    """Let this process hold as many sockets as the system allows it; return how many."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(soft, hard)
