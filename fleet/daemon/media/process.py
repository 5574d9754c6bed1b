"""Starts one media process, talks to it, and makes sure that it ends. Used by `host.py` alone."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import msgspec

from fleet.daemon.config import MediaConfig
from fleet.daemon.media import wire
from fleet.daemon.media.frames import FrameStore

MODULE = "fleet.daemon.media.child"
ROOT = Path(__file__).resolve().parents[3]
START_S = 60.0  # until its first word: imports took 2 s on two busy cores, and 5 s on two overloaded ones
END_S = 2.0  # for a media process to say goodbye to its peers before it is killed


def can_run() -> bool:
    """Whether the media process finds its library here."""
    return importlib.util.find_spec("aiortc") is not None


class MediaChild:
    """One media process. `async with` starts and ends it; `run` serves it until it dies.

    Raises: OSError if it cannot be started.
    """

    def __init__(self, config: MediaConfig, store: FrameStore) -> None:
        self._config = config
        self._store = store
        self._heard = 0
        self._problem = ""

    async def __aenter__(self) -> MediaChild:
        ours, theirs = socket.socketpair()
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        try:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", MODULE, str(theirs.fileno()), str(self._store.fd)),
                pass_fds=(theirs.fileno(), self._store.fd),
                stdin=asyncio.subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)},
            )
            self._reader, self._writer = await asyncio.open_connection(sock=ours)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        try:
            async with asyncio.timeout(END_S):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()

    async def run(self, receive: Callable[[wire.FromMedia], None]) -> str:
        """Hand over its messages until it ends, or hangs and is killed; return why."""
        self.write(wire.Configure(self._config, self._store.views))
        watch = asyncio.create_task(self._watch())
        try:
            while True:
                data = await wire.read(self._reader)
                self._heard += 1
                receive(wire.from_media_decoder.decode(data))
        except (EOFError, msgspec.MsgspecError) as error:
            return self._problem or str(error) or "it closed its socket"
        finally:
            watch.cancel()

    async def _watch(self) -> None:
        """Kill it when it hangs. Counts turns of this loop: a daemon that was busy itself blames nobody."""
        silent, heard = 0, 0
        while silent * wire.BEAT_S < (self._config.hang_s if heard else START_S):
            await asyncio.sleep(wire.BEAT_S)
            silent = silent + 1 if heard == self._heard else 0
            heard = self._heard
        self._problem = "it hung and was killed"
        self.process.kill()

    def write(self, message: wire.ToMedia) -> bool:
        """See `wire.write`."""
        return wire.write(self._writer, message)
