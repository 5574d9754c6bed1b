"""Composition root of the daemon: makes every part, connects them, runs them in one TaskGroup, stops them cleanly.

    control thread (work.Worker)  --recordings-->  writer thread (work.Writer)  -->  spool
    event loop: link, uploader, policy host, thumbnails;  inbox and board carry values between the threads

Each part knows only what it is given here. SIGTERM and SIGINT end the open episode as aborted and close it; SIGUSR1
stops the robot where it stands until SIGUSR2 clears it.
"""

from __future__ import annotations

import asyncio
import logging
import platform
import random
import signal
import time
import uuid
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import msgspec

from fleet.daemon import telemetry
from fleet.daemon.config import ConfigError, DaemonConfig
from fleet.daemon.control_loop import EpisodeRunner
from fleet.daemon.downloads import Downloads
from fleet.daemon.drivers.base import Driver
from fleet.daemon.drivers.registry import create_driver
from fleet.daemon.enrolment import Credentials, identity_of
from fleet.daemon.inbox import ControlInbox
from fleet.daemon.leases import ServerLeases, ServerTime
from fleet.daemon.link import Link
from fleet.daemon.log_ring import LogRing, LogSender
from fleet.daemon.media.host import create_media
from fleet.daemon.policy_host import PolicyHost, architectures
from fleet.daemon.policy_store import PolicyStore
from fleet.daemon.report import LoopEvents, StepReport
from fleet.daemon.shadow import ShadowHost
from fleet.daemon.software import DAEMON_VERSION, capabilities, software
from fleet.daemon.spool import Spool
from fleet.daemon.state_dir import StateDir
from fleet.daemon.status import StatusBoard
from fleet.daemon.stops import Stops
from fleet.daemon.supervisor import create_supervisor
from fleet.daemon.teleop import Teleop
from fleet.daemon.thumbnails import publish_thumbnails
from fleet.daemon.trust import Trust
from fleet.daemon.uploader import Uploader
from fleet.daemon.work import Worker, Writer
from fleet.protocol.messages import (
    PROTOCOL_VERSION,
    AssignedTask,
    DesiredState,
    EpisodeOrder,
    EpisodeRefused,
    EpisodeRegistered,
    HeartbeatAck,
    Hello,
    LeaseReply,
    LogsWanted,
    OrderDone,
    PeerClose,
    PeerOffer,
    Resync,
    RobotMessage,
    RobotStatus,
    ServerMessage,
    StateChanged,
    StopRobot,
    UploadGrant,
    Welcome,
)

logger = logging.getLogger(__name__)

OFFLINE_SERVER = "http://offline.invalid"


async def run(config: DaemonConfig) -> None:
    """Run one robot until SIGTERM or SIGINT.

    Raises: StateDirBusy, EnrolmentRefused, ConfigError, DriverError (unknown driver) at the start; later failures of
    single parts are handled by them.
    """
    state_dir = StateDir(config.state_dir)
    try:
        driver = create_driver(config.driver, config.driver_options)
        base_url = config.server if config.server is not None else OFFLINE_SERVER
        timeout = httpx.Timeout(config.link.connect_timeout_s)
        async with httpx.AsyncClient(base_url=base_url, timeout=timeout) as client:
            stopping = _stop_signals()
            identity = await _until(identity_of(config, client), stopping)
            if not stopping.is_set():
                await Daemon(config, state_dir=state_dir, driver=driver, client=client, identity=identity).run(stopping)
    finally:
        state_dir.close()


def _stop_signals() -> asyncio.Event:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


async def _until(work: Coroutine[Any, Any, Credentials | None], stopping: asyncio.Event) -> Credentials | None:
    """Await the identity, but not beyond a stop signal."""
    task = asyncio.create_task(work)
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not task.done():
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return None
    return task.result()


class Daemon:
    """One robot's parts. Construct inside the running event loop; `run` returns after a clean stop."""

    def __init__(
        self,
        config: DaemonConfig,
        *,
        state_dir: StateDir,
        driver: Driver,
        client: httpx.AsyncClient,
        identity: Credentials | None,
    ) -> None:
        self._config = config
        self._state_dir = state_dir
        self._driver = driver
        self._boot_id = uuid.uuid4().hex
        self._desired: DesiredState | None = state_dir.read_wishes()
        self._remembered = self._desired
        self._architectures: tuple[str, ...] = ()
        rng = random.Random()  # jitter only: nothing recorded depends on it
        self._inbox = ControlInbox()
        self._board = StatusBoard()
        self._stops = Stops(self._inbox, state_dir, driver)
        spool_dir = state_dir.path / "spool"
        self._spool = Spool(spool_dir, capacity_bytes=config.spool.capacity_bytes, video_crf=config.spool.video_crf)
        self._server_time = ServerTime(lease_max_s=config.safety.lease_max_s)
        self._link = self._make_link(identity, rng) if identity is not None and config.server is not None else None
        self._ring = LogRing(config.log, secrets=(config.token or "", identity.key if identity is not None else ""))
        self._logs = LogSender(self._ring, config.log, send=self._send)
        self._leases = ServerLeases(send=self._send, is_open=self._is_linked)
        telemetry.watch(self._spool.stats, self._is_linked)
        self._uploader = Uploader(
            spool=self._spool,
            client=client,
            config=config.upload,
            send=self._send,
            rng=rng,
            takes_shadows=lambda: self._shadow.is_known,
        )
        cache_bytes = config.policy.cache_bytes
        store = PolicyStore(state_dir.path / "policies", cache_bytes=cache_bytes, spool_room=self._spool.room)
        downloads = Downloads(client, config.policy, rng=rng, is_watched=lambda: self._teleop.is_watched)
        trust = Trust(state_dir.path, config.policy, robot_id=identity.robot_id if identity is not None else None)
        versions: dict[str, Any] = {"store": store, "downloads": downloads, "info": driver.info, "trust": trust}
        versions["ask_again"] = self._ask_again
        self._host = PolicyHost(config=config.policy, report=self._post, **versions)
        self._shadow = ShadowHost(config=config.shadow, report=self._send, **versions)
        self._teleop = Teleop(
            media=create_media(driver, config.media, max_peers=config.teleop.max_peers),
            info=driver.info,
            config=config.teleop,
            safety=config.safety,
            inbox=self._inbox,
            stops=self._stops,
            send=self._send,
        )
        self._loop = asyncio.get_running_loop()
        self._spool.on_closed = lambda: self._loop.call_soon_threadsafe(self._uploader.wake)
        self._writer = Writer(
            spool=self._spool,
            board=self._board,
            software=software(),
            shadowed=self._shadow.summary,
            make_room=lambda: self._loop.call_soon_threadsafe(store.make_room),
        )
        self._worker = self._make_worker(identity)

    def _make_link(self, identity: Credentials, rng: random.Random) -> Link:
        assert self._config.server is not None
        return Link(
            server=self._config.server,
            config=self._config.link,
            authorization=identity.authorization,
            hello=self._hello,
            status=self._status,
            on_message=self._receive,
            on_closed=self._link_closed,
            rng=rng,
        )

    def _make_worker(self, identity: Credentials | None) -> Worker:
        name = identity.name if identity is not None else self._config.name or platform.node() or "robot"
        return Worker(
            driver=self._driver,
            make_runner=self._make_runner,
            control=self._config.control,
            spool=self._spool,
            writer=self._writer,
            board=self._board,
            assignments=self._assignments,
            policy=self._host.take,
            robot_id=identity.robot_id if identity is not None else None,
            robot_name=name,
            seed=self._config.seed,
        )

    def _make_runner(self) -> EpisodeRunner:
        config = self._config
        is_supervised = config.supervisor.is_enabled
        try:
            supervisor = create_supervisor(self._driver, config.supervisor.options) if is_supervised else None
        except ValueError as error:
            raise ConfigError(str(error), key="supervisor.options") from None
        return EpisodeRunner(
            driver=self._driver,
            control=config.control,
            safety=config.safety,
            supervisor=supervisor,
            supervision=config.supervisor,
            leases=self._leases,
            inbox=self._inbox,
            board=self._board,
            thumbnail=config.thumbnail,
            teleop=config.teleop,
            asking=config.help,
            events=LoopEvents(self, self._loop),
            left_epoch=self._state_dir.read_need(),
            onlooker=self._shadow,
        )

    # --- Running -----------------------------------------------------------------------------------------------------

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until `stopping` is set; then end the open episode, close it, say goodbye."""
        logging.getLogger().addHandler(self._ring)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, self._stops.stop_by_signal)
        loop.add_signal_handler(signal.SIGUSR2, self._stops.clear_by_signal)
        if self._desired is not None:
            self._inbox.put_state(is_paused=self._desired.is_paused, lease=None)
        self._architectures = await asyncio.to_thread(architectures)
        await self._host.restore()
        control = ThreadPoolExecutor(max_workers=1, thread_name_prefix="control")
        self._writer.start()
        try:
            async with asyncio.TaskGroup() as group:
                parts = [self._uploader.run(), self._host.run(), self._shadow.run()]
                if self._link is not None:
                    pictures = publish_thumbnails(
                        self._board, self._config.thumbnail, send=self._send, is_open=self._is_linked
                    )
                    parts += [self._link.run(), pictures, self._teleop.run(), self._logs.run()]
                services = [group.create_task(part) for part in parts]
                working = loop.run_in_executor(control, self._worker.run)
                waiting = group.create_task(stopping.wait())
                await asyncio.wait((working, waiting), return_when=asyncio.FIRST_COMPLETED)
                await self._stop(working)
                for task in (*services, waiting):
                    task.cancel()
        finally:
            self._end_threads()
            control.shutdown()
            self._writer.stop()
            logging.getLogger().removeHandler(self._ring)
        working.result()

    async def _stop(self, working: asyncio.Future[None]) -> None:
        self._end_threads()
        await asyncio.wait((working,))
        await asyncio.to_thread(self._writer.stop)
        if self._link is not None:
            await self._link.say_goodbye("the daemon stops")
        logger.info("stopped; %d episodes wait for delivery", self._spool.stats().pending_episodes)

    def _end_threads(self) -> None:
        self._inbox.abort("the daemon stopped")
        self._worker.stop()
        self._writer.hurry()

    # --- Messages ----------------------------------------------------------------------------------------------------

    def _is_linked(self) -> bool:
        return self._link is not None and self._link.is_open

    def _send(self, message: RobotMessage) -> bool:
        return self._link is not None and self._link.send(message)

    def _post(self, message: RobotMessage) -> None:
        if self._link is not None:
            self._link.post(message)

    def _ask_again(self) -> None:
        """Have the whole state sent again: its URLs are signed for a limited time."""
        self._send(Resync(last_seq=0))

    def _status(self) -> RobotStatus:
        counts: dict[str, Any] = {"episodes_closed": self._spool.closed_count, "spool": self._spool.stats()}
        return msgspec.structs.replace(self._board.status, stop=self._stops.newest, hold=self._host.hold, **counts)

    def _hello(self) -> Hello:
        return Hello(
            protocol=PROTOCOL_VERSION,
            daemon_version=DAEMON_VERSION,
            boot_id=self._boot_id,
            clock_ns=time.time_ns(),
            driver=self._driver.info,
            architectures=self._architectures,
            capabilities=capabilities(
                is_supervised=self._config.supervisor.is_enabled, is_shadowing=self._config.shadow.is_enabled
            ),
            policy_version_id=self._host.version_id,
        )

    def _receive(self, message: ServerMessage) -> None:
        match message:
            case Welcome():
                self._server_time.heard(message.clock_ns)
                self._follow(message.state)
                self._uploader.link_opened()
                self._shadow.linked()
            case StateChanged():
                self._follow(message.state)
            case HeartbeatAck():
                self._server_time.heard(message.server_clock_ns)
            case UploadGrant() | EpisodeRegistered() | EpisodeRefused():
                self._uploader.receive(message)
            case LeaseReply():
                grant = self._server_time.grant_of(message.lease) if message.lease is not None else None
                self._leases.put_reply(message, grant)
            case StopRobot():
                self._stops.stop(message.stop)
            case LogsWanted():
                self._logs.wanted(message)
            case PeerOffer():
                self._teleop.offered(message)
            case PeerClose():
                self._teleop.closed(message.peer_id, message.reason)
            case EpisodeOrder():
                if not self._inbox.put_order(message):
                    self.ordered(message.order_id, "order_pending", "an earlier order is being carried out")
            case _:
                pass  # a Fault was logged by the link

    def _link_closed(self) -> None:
        self._uploader.link_closed()
        self._teleop.unlinked()
        self._logs.unlinked()

    def _follow(self, state: DesiredState) -> None:
        """Take in what the server wants: the newest state received replaces everything before it."""
        self._desired = state
        lease = self._server_time.grant_of(state.lease) if state.lease is not None else None
        self._stops.follow(state)
        self._inbox.put_state(is_paused=state.is_paused, lease=lease, handed_back_epoch=state.handed_back_epoch)
        self._teleop.follow(state.lease)
        self._host.follow(state)
        self._shadow.follow(state)
        self._board.update(state_revision=state.revision)
        if self._remembered is None or _kept(self._remembered) != _kept(state):
            try:
                self._state_dir.write_wishes(state)
            except OSError:
                logger.exception("a restart without a server will not know of this change")
            self._remembered = state

    # --- From the control loop, on the event loop --------------------------------------------------------------------

    def stepped(self, report: StepReport) -> None:
        self._teleop.stepped(report)

    def ordered(self, order_id: str, code: str, message: str) -> None:
        self._send(OrderDone(order_id=order_id, code=code, message=message))

    def attended(self, epoch: int | None) -> None:
        try:
            self._state_dir.write_need(epoch)
        except OSError:
            logger.exception("a restart will not know whether a person is needed")

    def _assignments(self) -> tuple[AssignedTask, ...]:
        return self._desired.assignments if self._desired is not None else ()


def _kept(state: DesiredState) -> tuple[bool, tuple[AssignedTask, ...]]:
    return state.is_paused, state.assignments
