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
_OUT_OF_MEMORY = "can't allocate memory"  # torch's allocator raises RuntimeError


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
    except PolicyError as error:
        cause = error.__cause__
        is_memory = isinstance(cause, MemoryError) or (cause is not None and _OUT_OF_MEMORY in str(cause))
        text = f"a second policy needs more than {load.memory_bytes} bytes (shadow.memory_bytes)"
        wire.send(link, wire.Failed(SHADOW_MEMORY, text) if is_memory else wire.Failed(error.code, error.message))
        return None
    wire.send(link, wire.Loaded())
    return policy


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
