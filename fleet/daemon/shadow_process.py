"""Starts one shadow process, asks it, and makes sure that it ends. Blocking: used by the shadow's own thread alone."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from fleet.daemon import shadow_wire as wire
from fleet.daemon.config_report import ShadowConfig
from fleet.protocol.errors import UNPARSABLE, PolicyError

COMMAND = (sys.executable, "-m", "fleet.daemon.shadow_child")
ROOT = Path(__file__).resolve().parents[2]
END_S = 2.0  # for the process to notice that the daemon hung up


class ShadowRefused(PolicyError):
    """The candidate cannot be shadowed here; `code` says why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ShadowDied(PolicyError):
    """The process ended, or hung and was killed; it may be started again."""

    code = "shadow_failed"


class ShadowProcess:
    """One shadow process. `with` starts and ends it."""

    def __init__(self, config: ShadowConfig) -> None:
        self._config = config

    def __enter__(self) -> ShadowProcess:
        """Raises: ShadowDied if it cannot be started."""
        self._link, theirs = socket.socketpair()
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}
        try:
            self._process = subprocess.Popen(
                [*COMMAND, str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,  # a terminal's Ctrl-C is for the daemon
            )
        except OSError as error:
            self._link.close()
            raise ShadowDied(f"it could not be started: {error}") from None
        finally:
            theirs.close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._link.close()
        self.kill()

    def hang_up(self) -> None:
        """Have the thread that waits for an answer wait no longer. From any thread."""
        with contextlib.suppress(OSError):  # it is gone already
            self._link.shutdown(socket.SHUT_RDWR)

    def kill(self) -> None:
        """End it; at once if it does not notice by itself."""
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def load(self, load: wire.Load) -> None:
        """Raises: ShadowRefused with the reason, ShadowDied."""
        answer = self._ask(load, self._config.load_timeout_s)
        if isinstance(answer, wire.Failed):
            raise ShadowRefused(answer.code, answer.message)
        if not isinstance(answer, wire.Loaded):
            raise ShadowDied("it talks nonsense")

    def ask(self, look: wire.Look) -> wire.Answer:
        """Raises: ShadowDied."""
        answer = self._ask(look, self._config.answer_timeout_s)
        if not isinstance(answer, wire.Answer):
            raise ShadowDied("it talks nonsense")
        return answer

    def _ask(self, message: wire.ToShadow, timeout_s: float) -> wire.FromShadow:
        self._link.settimeout(timeout_s)
        try:
            wire.send(self._link, message)
            answer: wire.FromShadow = wire.from_shadow_decoder.decode(wire.receive(self._link))
        except TimeoutError:
            self._process.kill()
            raise ShadowDied(f"no answer within {timeout_s:.0f} s") from None
        except (EOFError, OSError, *UNPARSABLE) as error:
            raise self._end(error) from None
        return answer

    def _end(self, error: BaseException) -> PolicyError:
        """Say why it is gone. Killed from outside means: by the kernel, for its memory."""
        self._link.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            return ShadowDied(f"it hung up: {error}")
        if self._process.returncode == -signal.SIGKILL:
            return ShadowRefused("shadow_memory", "the kernel ended the second policy: too little memory for two")
        return ShadowDied(f"it ended with status {self._process.returncode}: {error}")
