"""A load generator in a process of its own: the parent asks over a pipe, the child's event loop answers.

The parent stays free to read the clock and the processes' CPU; each generator's own CPU shows apart in the report.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from typing import Any, Protocol

import uvloop

ANSWER_S = 120.0
Answer = Callable[[str, dict[str, Any]], Awaitable[Any]]


class Load(Protocol):
    """What a child runs. `ask`: a question of the parent, by name."""

    async def ask(self, question: str, values: dict[str, Any]) -> Any: ...

    async def end(self) -> None: ...


class Child:
    """The parent's side."""

    def __init__(self, name: str, make: Callable[..., Load], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(theirs, make, arguments), name=name, daemon=True)
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def ask(self, question: str, **values: Any) -> Any:
        """Return the child's answer. Raises: RuntimeError if it failed or does not answer."""
        self._pipe.send((question, values))
        if not self._pipe.poll(ANSWER_S):
            raise RuntimeError(f"{self._process.name} does not answer '{question}'")
        is_done, answer = self._pipe.recv()
        if not is_done:
            raise RuntimeError(f"{self._process.name}: {answer}")
        return answer

    def end(self) -> None:
        self._pipe.send(("end", {}))
        self._process.join(20)
        if self._process.is_alive():
            self._process.kill()


def _run(pipe: Connection, make: Callable[..., Load], arguments: tuple[Any, ...]) -> None:
    raise_file_limit()
    uvloop.run(_serve(pipe, make(*arguments)))


async def _serve(pipe: Connection, load: Load) -> None:
    loop, parent = asyncio.get_running_loop(), os.getppid()
    while os.getppid() == parent:
        readable: asyncio.Future[None] = loop.create_future()
        loop.add_reader(pipe.fileno(), lambda waiting=readable: waiting.done() or waiting.set_result(None))
        await readable
        loop.remove_reader(pipe.fileno())
        try:
            question, values = pipe.recv()
        except EOFError:
            return
        if question == "end":
            await load.end()
            return
        try:
            pipe.send((True, await load.ask(question, values)))
        except Exception as error:  # told to the parent, who ends the run
            pipe.send((False, repr(error)))


def raise_file_limit() -> int:
    """Let this process hold as many sockets as the system allows it; return how many."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(soft, hard)
