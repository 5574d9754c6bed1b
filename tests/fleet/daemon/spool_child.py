"""Closes episodes as fast as it can until killed; prints each id once `add` has returned.

python -m tests.fleet.daemon.spool_child DIRECTORY
"""

from __future__ import annotations

import sys
import uuid
from pathlib import Path

from fleet.daemon.spool import Spool
from tests.fleet.daemon.point import ConstantPolicy
from tests.fleet.daemon.test_control_loop import runner, spec

if __name__ == "__main__":
    spool = Spool(Path(sys.argv[1]), capacity_bytes=2**30)
    loop, policy = runner(), ConstantPolicy()
    print("ready", flush=True)
    while True:
        recording = loop.run(spec(episode_id=str(uuid.uuid4())), policy)
        spool.add(recording, software={})
        print(recording.spec.episode_id, flush=True)
        if len(spool.pending()) > 3:
            spool.mark_uploaded(spool.pending()[0])
