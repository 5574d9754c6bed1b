"""What each console message needs. A message that does not stand here is refused."""

from __future__ import annotations

from collections.abc import Mapping

from fleet.permissions import Permission
from fleet.protocol import messages as m

# None: whoever is signed in. Who may take from another, and clear which stop, depends on who holds the lease as well:
# services/lease.py and services/stop.py ask for Permission.TAKE and CLEAR_STOP.
MESSAGES: Mapping[type[m.ConsoleClientMessage], Permission | None] = {
    m.ConsolePing: None,
    m.Resync: None,
    m.ConsolePeerClose: None,
    m.WatchRun: Permission.SEE,
    m.ConsolePeerOffer: Permission.SEE,
    m.ConsoleRelease: Permission.SEE,
    m.ConsoleClear: Permission.STOP,
    m.ConsoleStop: Permission.STOP,
    m.ConsoleAcquire: Permission.DRIVE,
    m.ConsoleTake: Permission.DRIVE,
    m.ConsoleRenew: Permission.DRIVE,
    m.ConsoleAsk: Permission.DRIVE,
    m.ConsoleTransfer: Permission.DRIVE,
    m.ConsoleOrder: Permission.DRIVE,
}
