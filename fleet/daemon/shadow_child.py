"""The shadow process: loads one candidate and answers what it would do. `python -m fleet.daemon.shadow_child FD`.

A process of its own, so that neither its Python nor its memory is the control loop's: it runs at the lowest priority,
under a limit of memory, and is what the kernel ends first when memory is short. It ends when the daemon does.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import socket
import sys
import time
from pathlib import Path

import numpy as np

from fleet.daemon import shadow_wire as wire
from fleet.daemon.policy_host import build_policy
from fleet.protocol.errors import UNPARSABLE, PolicyError
from fleet.protocol.policy import Observation, Policy

logger = logging.getLogger(__name__)

SHADOW_MEMORY = "shadow_memory"
# As torch's allocator, the dynamic loader and the system say it.
_OUT_OF_MEMORY = ("can't allocate memory", "Cannot allocate memory", "failed to map segment", "cannot allocate memory")


def main(descriptor: int) -> int:
    """Serve one daemon until it hangs up; return the exit status."""
    with socket.socket(fileno=descriptor) as link:
        try:
            load = wire.to_shadow_decoder.decode(wire.receive(link))
            if not isinstance(load, wire.Load):
                return 2
            policy = _loaded(link, load)
            if policy is not None:
                _serve(link, policy)
        except (EOFError, OSError, *UNPARSABLE):
            return 0  # the daemon ended
    return 1


def _loaded(link: socket.socket, load: wire.Load) -> Policy | None:
    _stand_back(load)
    try:
        paths = {sha256: Path(path) for sha256, path in load.paths.items()}
        policy = build_policy(load.manifest, paths, device=load.device, threads=load.threads)
    except (PolicyError, MemoryError, ImportError, OSError) as error:  # the last two: libraries that do not fit
        wire.send(link, _failure(error, load))
        return None
    wire.send(link, wire.Loaded())
    return policy


def _failure(error: Exception, load: wire.Load) -> wire.Failed:
    cause = error.__cause__ if isinstance(error, PolicyError) else error
    if isinstance(cause, MemoryError) or any(words in str(cause) for words in _OUT_OF_MEMORY):
        return wire.Failed(SHADOW_MEMORY, f"a second policy needs more than {load.memory_bytes} bytes of memory")
    if isinstance(error, PolicyError):
        return wire.Failed(error.code, error.message)
    return wire.Failed("shadow_failed", f"loading raised {type(error).__name__}")


def _stand_back(load: wire.Load) -> None:
    """Whoever needs the processor or the memory goes first."""
    os.nice(load.nice)
    resource.setrlimit(resource.RLIMIT_DATA, (load.memory_bytes, load.memory_bytes))
    with contextlib.suppress(OSError):  # no such file outside Linux
        Path("/proc/self/oom_score_adj").write_text("1000")


def _serve(link: socket.socket, policy: Policy) -> None:
    """Answer questions until the daemon hangs up. Raises: EOFError, OSError."""
    asked = ""
    while True:
        look = wire.to_shadow_decoder.decode(wire.receive(link))
        if not isinstance(look, wire.Look):
            raise EOFError("the daemon talks nonsense")
        began_s = time.perf_counter()
        if look.episode_id != asked:
            policy.reset(instruction=look.instruction, seed=look.seed)
            asked = look.episode_id
        actions = _inferred(policy, wire.observation_of(look))
        wire.send(link, wire.Answer(actions, (time.perf_counter() - began_s) * 1e3))


def _inferred(policy: Policy, observation: Observation) -> wire.Values | None:
    try:
        actions = np.asarray(policy.infer(observation).actions, np.float32)
    except Exception:  # a network is foreign code: whatever it raises, that proposal is missing
        logger.exception("the shadow failed to answer")
        return None
    return wire.packed(actions) if actions.ndim == 2 and np.isfinite(actions).all() else None


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
