"""The robot's state directory: one daemon at a time, and what it remembers across a restart.

The server's wishes, the stop latch, and whether a person is needed before the policy may drive.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
import uuid
from pathlib import Path

import msgspec

from fleet.daemon.files import write_durably
from fleet.daemon.stop_latch import Latched
from fleet.protocol.errors import UNPARSABLE, SopError
from fleet.protocol.messages import DesiredState, StopInfo

logger = logging.getLogger(__name__)

LOCK_FILE = "lock"
WISHES_FILE = "desired_state.json"
STOPS_FILE = "stops.json"
NEED_FILE = "needs_person"  # is there or not; holds the newest epoch


class StateDirBusy(SopError):
    """Another daemon works on this directory."""

    code = "state_dir_busy"


class StateDir:
    """Locked for as long as the object is open.

    Raises (constructor): StateDirBusy if another process holds it; OSError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._descriptor)
            raise StateDirBusy(f"another daemon works on {path}") from None

    def close(self) -> None:
        """Let another daemon in."""
        os.close(self._descriptor)

    def read_wishes(self) -> DesiredState | None:
        """Return what the server wanted when it was last heard (without lease and policy URLs), None if never heard."""
        file = self.path / WISHES_FILE
        if not file.exists():
            return None
        try:
            return msgspec.json.decode(file.read_bytes(), type=DesiredState)
        except (OSError, *UNPARSABLE) as error:
            logger.error("the remembered state is unusable: %s", error)
            return None

    def write_wishes(self, state: DesiredState) -> None:
        """Remember assignments and pause. Leases and signed URLs end by themselves and are left out."""
        kept = msgspec.structs.replace(state, lease=None, policy=None)
        write_durably(self.path / WISHES_FILE, msgspec.json.encode(kept))

    def read_stops(self) -> Latched | None:
        """Return the stop latch, None if nothing ever stopped.

        A file that does not parse stops the robot: it says that there were stops, and not that all are cleared.
        """
        file = self.path / STOPS_FILE
        try:
            return msgspec.json.decode(file.read_bytes(), type=Latched)
        except FileNotFoundError:
            return None
        except (OSError, *UNPARSABLE) as error:
            logger.error("the remembered stops are unusable: %s", error)
            reason = "the file of remembered stops is damaged"
            return Latched((StopInfo(stop_id=str(uuid.uuid4()), by="restart", reason=reason, at_ns=time.time_ns()),))

    def write_stops(self, latched: Latched) -> None:
        write_durably(self.path / STOPS_FILE, msgspec.json.encode(latched))

    def read_need(self) -> int | None:
        """Return the newest lease's epoch when the daemon ended, if only a person could let the robot drive on then.

        A file that does not parse says so too: any lease counts as newer.
        """
        file = self.path / NEED_FILE
        try:
            return int(file.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            logger.error("the remembered need of a person is unusable: %s", error)
            return 0

    def write_need(self, epoch: int | None) -> None:
        if epoch is not None:
            write_durably(self.path / NEED_FILE, str(epoch).encode())
        else:
            (self.path / NEED_FILE).unlink(missing_ok=True)
