"""The fleet page's state, once a process, for every browser connected to it.

One task hears hints from the channel layer, one reads what changed at most four times a second, builds each card once
and hands the same bytes to all clients. Each client has one slot in which the newest card of a robot replaces an older
one, so a slow browser gets fewer frames and nobody waits for it. Heartbeats cost no row: their cards are built from the
rows that were read last (cards.py). All rows are read again every two seconds: a lost hint, or a robot that fell
silent, shows by then. Serialising once a card costs a seventh of a send a client (machine.md 2).

A client may also watch one run: its new metric rows go, read and serialised once a process, to those who watch it. To
watchers only, because a fast learner's rows are more bytes than all robots' cards, and most pages show no run.

Whom groups limit has the cards of their robots, and queue and run as counted over these; the latter two are made once
for all clients of one coverage.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import msgspec

from fleet.consumers.auth import cancel, off_loop, shared_task
from fleet.consumers.cards import Cards
from fleet.consumers.ear import Ear
from fleet.coverage import WHOLE, Coverage
from fleet.events import CONSOLES_GROUP
from fleet.protocol.messages import PROTOCOL_VERSION, HelpQueue, RunRow
from fleet.selectors.help import help_queue
from fleet.selectors.run_metrics import run_last_step, run_rows_after
from fleet.selectors.training import fleet_run, run_card

logger = logging.getLogger(__name__)

TICK_S = 0.25
REFRESH_S = 2.0
ROWS_AT_ONCE = 50  # of one run in one frame, some 100 kB; the rest follows at the next tick
FRAMES_WAITING = 20  # of rows in one slot; a client that reads slower sees a gap in `after_step` and reads over HTTP
_encode = msgspec.json.Encoder().encode


@dataclass(eq=False)
class Slot:
    """What one client has yet to be told."""

    filled: asyncio.Event = field(default_factory=asyncio.Event)
    is_snapshot_due: bool = True
    robots: dict[str, bytes] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    run: bytes | None = None
    is_metrics_due: bool = False
    is_alerts_due: bool = False
    help: bytes | None = None  # a whole body
    watched: str | None = None  # run id
    rows: list[bytes] = field(default_factory=list)  # whole bodies, oldest first
    coverage: Coverage = WHOLE
    robot_ids: frozenset[str] | None = None  # of the coverage; None: all

    def limit(self, coverage: Coverage) -> None:
        """Forget what waits, and begin anew with what this covers."""
        ids = coverage.robot_ids
        self.coverage, self.robot_ids = coverage, None if ids is None else frozenset(map(str, ids))
        self.robots, self.removed, self.run, self.help, self.is_snapshot_due = {}, set(), None, None, True
        self.filled.set()

    def sees(self, robot_id: str) -> bool:
        return self.robot_ids is None or robot_id in self.robot_ids


@dataclass(eq=False)
class _View:
    """What is counted over one coverage: the run's card and the help queue, as JSON; the queue also as it was read."""

    run: bytes = b"null"
    queue: HelpQueue | None = None
    help: bytes = b""


class Hub:
    """Lives while at least one client is subscribed."""

    def __init__(self) -> None:
        self._slots: set[Slot] = set()
        self._cards = Cards()
        self._views: dict[Coverage, _View] = {}
        self._changed: set[str] = set()  # robots whose rows did
        self._beaten: set[str] = set()  # robots that sent a heartbeat
        self._acting: set[str] = set()  # of them: do something else than before
        self._is_run_changed = self._is_metrics_changed = self._is_help_changed = self._is_alerts_changed = False
        self._sent_step: dict[str, int] = {}  # of each watched run
        self._grown: set[str] = set()  # runs with new rows
        self._ear = Ear(CONSOLES_GROUP, self._note)
        self._ticking: asyncio.Task[None] | None = None
        self._ready = asyncio.Lock()

    async def subscribe(self, coverage: Coverage = WHOLE) -> Slot:
        """Return a slot that asks for a snapshot first."""
        async with self._ready:
            if self._ticking is None:
                await self._refresh(None, set(), set())
                self._views = {}
                self._ear.open()
                self._ticking = shared_task(self._tick())
            await self._view(coverage)
            slot = Slot()
            slot.limit(coverage)
            self._slots.add(slot)
        return slot

    async def limit(self, slot: Slot, coverage: Coverage) -> None:
        """Let the client see this from now on; if it saw something else, from a new snapshot on."""
        if slot.coverage == coverage:
            return
        await self._view(coverage)
        slot.limit(coverage)
        self._forget_views()

    async def _view(self, coverage: Coverage) -> _View:
        """Return what is counted over this coverage; the first who has it waits for the rows."""
        if coverage not in self._views:
            view = _View()
            await self._count_run(coverage, view)
            await self._count_help(coverage, view)
            self._views.setdefault(coverage, view)
        return self._views[coverage]

    def _forget_views(self) -> None:
        used = {slot.coverage for slot in self._slots}
        self._views = {coverage: view for coverage, view in self._views.items() if coverage in used}

    async def unsubscribe(self, slot: Slot) -> None:
        self._slots.discard(slot)
        self._forget_unwatched()
        self._forget_views()
        async with self._ready:
            if not self._slots:
                await self._ear.close()
                await cancel(self._ticking)
                self._ticking = None
                self._cards = Cards()

    async def watch(self, slot: Slot, run_id: uuid.UUID | None) -> None:
        """Send the run's rows to the client from now on; at once a frame that says which row they will follow."""
        slot.watched, slot.rows = (None if run_id is None else str(run_id)), []
        self._forget_unwatched()
        if run_id is None:
            return
        step = await off_loop(_read_last_step, run_id)
        if slot.watched == str(run_id):  # and not another by now
            step = self._sent_step.setdefault(slot.watched, step)
            self._put_rows(slot, _rows_body(slot.watched, step, []))

    def take(self, slot: Slot) -> list[bytes]:
        """Return the message bodies for a client and empty its slot."""
        slot.filled.clear()
        robots, removed, run, is_metrics_due = slot.robots, slot.removed, slot.run, slot.is_metrics_due
        slot.robots, slot.removed, slot.run, slot.is_metrics_due = {}, set(), None, False
        is_alerts_due, slot.is_alerts_due = slot.is_alerts_due, False
        rows, slot.rows = slot.rows, []
        queue, slot.help = slot.help, None
        stamp = b'"server_ms":%d' % (time.time_ns() // 1_000_000)
        if slot.is_snapshot_due:
            slot.is_snapshot_due = False
            cards = b",".join(card for robot_id, card in self._cards.shown.items() if slot.sees(robot_id))
            view = self._views[slot.coverage]
            body = b'{"type":"snapshot","protocol":%d,%s,"robots":[%s],"run":%s}'
            return [body % (PROTOCOL_VERSION, stamp, cards, view.run), view.help, *rows]
        bodies = [b'{"type":"robot_removed","robot_id":%s}' % _encode(robot_id) for robot_id in sorted(removed)]
        if robots:
            bodies.append(b'{"type":"robots_changed",%s,"robots":[%s]}' % (stamp, b",".join(robots.values())))
        if run is not None:
            bodies.append(b'{"type":"run_changed",%s,"run":%s}' % (stamp, run))
        if is_metrics_due:
            bodies.append(b'{"type":"metrics_changed",%s}' % stamp)
        if is_alerts_due:
            bodies.append(b'{"type":"alerts_changed",%s}' % stamp)
        if queue is not None:
            bodies.append(queue)
        return bodies + rows

    def _note(self, hint: dict[str, str]) -> None:
        if hint["kind"] == "robot":
            self._changed.update(hint["subject"].split())
        elif hint["kind"] == "beats":
            self._beaten.update(hint["subject"].split())
            # A process of the release before, in an upgrade one by one, does not say who acts: all may.
            self._acting.update(hint.get("acting", hint["subject"]).split())
        elif hint["kind"] == "run":
            self._is_run_changed = True
            self._changed.update(self._cards.shown)  # a new version puts every robot one behind
        elif hint["kind"] == "episodes":
            self._is_run_changed = self._is_metrics_changed = True
        elif hint["kind"] == "metrics":
            self._is_metrics_changed = True
        elif hint["kind"] == "alerts":
            self._is_alerts_changed = True
        elif hint["kind"] == "help":
            self._is_help_changed = True
        elif hint["kind"] == "rows":
            self._grown.add(hint["subject"])

    async def _tick(self) -> None:
        refreshed_at = time.monotonic()
        while True:
            await asyncio.sleep(TICK_S)
            try:
                is_whole = time.monotonic() - refreshed_at >= REFRESH_S
                if is_whole:
                    refreshed_at = time.monotonic()
                await self._publish(is_whole)
            except Exception:  # a database or Redis that is away for a moment must not end the page's updates
                logger.warning("fleet page not refreshed", exc_info=True)

    async def _publish(self, is_whole: bool) -> None:
        changed, self._changed = self._changed, set()
        beaten, self._beaten = self._beaten, set()
        acting, self._acting = self._acting, set()
        await self._refresh(None if is_whole else changed, acting, beaten)
        if is_whole or self._is_run_changed:
            self._is_run_changed = False
            await self._refresh_run()
        if is_whole or self._is_help_changed:
            self._is_help_changed = False
            await self._refresh_help()
        if self._is_metrics_changed:
            self._is_metrics_changed = False
            for slot in self._slots:
                slot.is_metrics_due = True
                slot.filled.set()
        if self._is_alerts_changed:
            self._is_alerts_changed = False
            for slot in self._slots:
                slot.is_alerts_due = True
                slot.filled.set()
        grown, self._grown = self._grown, set()
        for run_id in list(self._sent_step):
            if is_whole or run_id in grown:
                await self._send_rows(run_id)

    async def _refresh(self, robot_ids: set[str] | None, acting: set[str], beaten: set[str]) -> None:
        """Read cards again, of all if None, and give every slot those that are to be shown anew."""
        changed, gone = await self._cards.refresh(robot_ids, acting, beaten)
        if not changed and not gone:
            return
        for slot in self._slots:
            news = changed if slot.robot_ids is None else {key: changed[key] for key in changed if slot.sees(key)}
            lost = {robot_id for robot_id in gone if slot.sees(robot_id)}
            if not news and not lost:
                continue
            slot.robots.update(news)
            slot.removed = (slot.removed | lost) - news.keys()
            for robot_id in lost:
                slot.robots.pop(robot_id, None)
            slot.filled.set()

    async def _refresh_run(self) -> None:
        for coverage, view in list(self._views.items()):
            if await self._count_run(coverage, view):
                for slot in self._slots:
                    if slot.coverage == coverage:
                        slot.run = view.run
                        slot.filled.set()

    async def _refresh_help(self) -> None:
        for coverage, view in list(self._views.items()):
            if await self._count_help(coverage, view):
                for slot in self._slots:
                    if slot.coverage == coverage:
                        slot.help = view.help
                        slot.filled.set()

    @staticmethod
    async def _count_run(coverage: Coverage, view: _View) -> bool:
        """Read the run's card again; return whether it differs."""
        run = await off_loop(_read_run, coverage)
        is_news, view.run = run != view.run, run
        return is_news

    @staticmethod
    async def _count_help(coverage: Coverage, view: _View) -> bool:
        queue = await off_loop(_read_help, coverage)
        same = None if view.queue is None else msgspec.structs.replace(view.queue, server_ms=queue.server_ms)
        if queue == same:
            return False
        view.queue, view.help = queue, _encode(queue)
        return True

    async def _send_rows(self, run_id: str) -> None:
        """Read the rows after the last one sent, and give them to everyone who watches the run."""
        after = self._sent_step.get(run_id)
        if after is None:
            return
        rows = await off_loop(_read_rows, uuid.UUID(run_id), after)
        if not rows or run_id not in self._sent_step:  # nobody watches it any more
            return
        self._sent_step[run_id] = rows[-1].step
        if len(rows) == ROWS_AT_ONCE:
            self._grown.add(run_id)
        body = _rows_body(run_id, after, rows)
        for slot in self._slots:
            if slot.watched == run_id:
                self._put_rows(slot, body)

    @staticmethod
    def _put_rows(slot: Slot, body: bytes) -> None:
        if len(slot.rows) == FRAMES_WAITING:
            slot.rows.clear()
        slot.rows.append(body)
        slot.filled.set()

    def _forget_unwatched(self) -> None:
        watched = {slot.watched for slot in self._slots}
        for run_id in self._sent_step.keys() - watched:
            del self._sent_step[run_id]


def _rows_body(run_id: str, after_step: int, rows: list[RunRow]) -> bytes:
    now_ms = time.time_ns() // 1_000_000
    return b'{"type":"run_rows","server_ms":%d,"run_id":"%s","after_step":%d,"rows":%s}' % (
        now_ms,
        run_id.encode(),
        after_step,
        _encode(rows),
    )


def _read_last_step(run_id: uuid.UUID) -> int:
    return run_last_step(run_id=run_id)


def _read_rows(run_id: uuid.UUID, after: int) -> list[RunRow]:
    return run_rows_after(run_id=run_id, step=after, limit=ROWS_AT_ONCE)


def _read_run(coverage: Coverage) -> bytes:
    return _encode(run_card(run=fleet_run(), coverage=coverage))


def _read_help(coverage: Coverage) -> HelpQueue:
    return help_queue(coverage=coverage)


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def hub() -> Hub:
    """Return the hub of the running event loop: one a process, and one a loop in tests."""
    loop = asyncio.get_running_loop()
    found = _hubs.get(loop)
    if found is None:
        found = _hubs[loop] = Hub()
    return found
