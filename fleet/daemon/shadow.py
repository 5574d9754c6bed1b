"""Which candidate this robot shadows: fetch it like any version, load it in a process of its own, report, stop.

    <state>/policies/shadow.json    the order that is carried out, its manifest, and how many episodes it has

Follows `DesiredState.shadow`. A candidate is fetched after whatever the robot shall drive with, checked by the same
keys, and begins at an episode's start that nobody drives across. After a restart it goes on without a server, until it
has its episodes or its time is over. What cannot be shadowed is refused with a code and not tried again under the same
order. shadow_run.py has why nothing of it reaches the driver.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from fleet.daemon import shadow_wire as wire
from fleet.daemon.config_report import ShadowConfig
from fleet.daemon.downloads import DiskFull, Downloads, FetchFailed, FetchLater
from fleet.daemon.episode import EpisodeRecording, EpisodeSpec
from fleet.daemon.files import write_durably
from fleet.daemon.policy_host import check_fits
from fleet.daemon.policy_store import PolicyStore
from fleet.daemon.shadow_process import ShadowRefused
from fleet.daemon.shadow_run import ShadowRun
from fleet.daemon.trust import Trust
from fleet.protocol.errors import UNPARSABLE, ArtifactMismatch, PolicyError
from fleet.protocol.messages import (
    DesiredState,
    DriverInfo,
    RobotMessage,
    ShadowEpisode,
    ShadowOrder,
    ShadowReport,
    ShadowState,
    ShadowWish,
)
from fleet.protocol.policy import Observation, PolicyManifest

logger = logging.getLogger(__name__)

SHADOW_FILE = "shadow.json"
MEMORY_FACTOR = 2.5  # memory for each byte of weights: they are read, then copied into the network


class ShadowRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is carried out, as written in shadow.json. `manifest` is None until it has been fetched once."""

    order: ShadowOrder
    manifest: PolicyManifest | None = None
    state: ShadowState = ShadowState.FETCHING
    episodes: int = 0
    code: str = ""
    message: str = ""


class ShadowHost:
    """`run` never returns; cancel it to end. `begin` and `look` belong to the control thread, `summary` to the
    writer's, all else to the event loop."""

    def __init__(
        self,
        *,
        store: PolicyStore,
        downloads: Downloads,
        config: ShadowConfig,
        info: DriverInfo,
        trust: Trust,
        report: Callable[[RobotMessage], bool],
        ask_again: Callable[[], None],
    ) -> None:
        self._store = store
        self._downloads = downloads
        self._config = config
        self._info = info
        self._trust = trust
        self._report = report
        self._ask_again = ask_again
        self._loop = asyncio.get_running_loop()
        self._path = store.policies / SHADOW_FILE
        self._record = _read(self._path)
        self._run: ShadowRun | None = None
        self._runs: list[ShadowRun] = []  # those that end, too: their episodes may still be written
        self._is_known = False  # whether the server of the newest state takes reports
        self._changed = asyncio.Event()
        if self._record is not None and self._record.manifest is not None:
            store.shadow_blobs = frozenset(blob.sha256 for blob in self._record.manifest.blobs)

    # --- Event loop --------------------------------------------------------------------------------------------------

    @property
    def is_known(self) -> bool:
        """Whether the server takes what this robot says of shadows."""
        return self._is_known

    def follow(self, state: DesiredState) -> None:
        """Note what the server wants; no order, or a server that knows of none, ends what is carried out."""
        self._is_known = isinstance(state.shadow, ShadowWish)
        order = state.shadow.order if isinstance(state.shadow, ShadowWish) and self._config.is_enabled else None
        before = self._record.order if self._record is not None else None
        if order is not None and before is not None and _is_same(order, before):
            assert self._record is not None
            self._record = msgspec.structs.replace(self._record, order=order)  # fresh URLs
            if before.policy.signature != order.policy.signature and self._record.code == "untrusted":
                self._keep(ShadowRecord(order=order))
                self._changed.set()
            return
        if order is None and before is None:
            return
        self._end_run()
        self._store.stop_shadow_fetch()
        self._keep(ShadowRecord(order=order) if order is not None else None)
        self._changed.set()

    def linked(self) -> None:
        """A connection was opened: say again how far this is."""
        self._tell()

    async def run(self) -> None:
        """Carry out the newest order."""
        backoff = self._downloads.backoff()
        try:
            while True:
                self._changed.clear()
                wait_s: float | None = None
                try:
                    await self._advance()
                    backoff.reset()
                except FetchLater as later:
                    wait_s = self._downloads.later_s(later)
                except (FetchFailed, OSError) as error:
                    wait_s = backoff.next_s()
                    if isinstance(error, FetchFailed) and error.is_url_refused:
                        self._ask_again()
                    logger.warning("the shadow's version is not there yet (%s), next try in %.1f s", error, wait_s)
                except Exception:  # a robot without its shadow works on; one without its daemon does not
                    logger.exception("the shadow failed")
                    if self._record is not None:
                        self._settle(ShadowState.REFUSED, "shadow_failed", "the daemon failed on it: see its log")
                await self._pause(self._until_over_s() if wait_s is None else wait_s)
        finally:
            self._end_run()
            await asyncio.gather(*(asyncio.to_thread(run.join) for run in self._runs))

    async def _pause(self, timeout_s: float | None) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return

    def _until_over_s(self) -> float | None:
        record = self._record
        if record is None or record.state is not ShadowState.RUNNING:
            return None
        return max(0.0, (record.order.ends_ns - time.time_ns()) / 1e9)

    async def _advance(self) -> None:
        """Take the next step with the present order. Raises: FetchFailed, FetchLater, OSError."""
        record = self._record
        if record is None or record.state in (ShadowState.REFUSED, ShadowState.ENDED):
            return
        if self._is_over(record):
            self._settle(ShadowState.ENDED)
            return
        if self._run is not None:
            return
        try:
            manifest = record.manifest
            if manifest is None or not all(self._store.is_held(blob) for blob in manifest.blobs):
                self._tell()
                manifest = await self._fetch(record.order)
            await self._verify(manifest)
        except PolicyError as error:
            logger.error("shadow of version %d refused: %s: %s", record.order.policy.number, error.code, error.message)
            if self._is_wanted(record.order):
                self._settle(ShadowState.REFUSED, error.code, error.message)
            return
        if self._is_wanted(record.order):  # else the server thought otherwise meanwhile
            self._start(msgspec.structs.replace(record, manifest=manifest), manifest)

    def _is_wanted(self, order: ShadowOrder) -> bool:
        return self._record is not None and _is_same(self._record.order, order)

    async def _verify(self, manifest: PolicyManifest) -> None:
        """Hash what the process will load. Raises: FetchFailed if a file rotted: it is removed, and fetched again."""
        try:
            for blob in manifest.blobs:
                await asyncio.to_thread(self._store.verify, blob)
        except ArtifactMismatch as error:
            raise FetchFailed(error.message) from None

    async def _fetch(self, order: ShadowOrder) -> PolicyManifest:
        """Raises: PolicyError; FetchFailed, FetchLater."""
        target = order.policy
        self._trust.check(target, is_shadow=True)
        manifest = await self._store.fetch_manifest(self._downloads, target)
        check_fits(manifest, self._info)
        current = self._store.read_current()
        if not self._store.fits_beside(manifest, current.manifest if current is not None else None):
            raise ShadowRefused("shadow_disk", "the cache (policy.cache_bytes) does not hold two versions")
        _check_memory(manifest, self._config)
        self._store.shadow_blobs = frozenset(blob.sha256 for blob in manifest.blobs)
        try:
            await self._store.fetch_for_shadow(self._downloads, manifest, target)
        except DiskFull as error:
            raise ShadowRefused("shadow_disk", error.message) from None
        return manifest

    def _start(self, record: ShadowRecord, manifest: PolicyManifest) -> None:
        self._keep(record)
        config, order = self._config, record.order
        load = wire.Load(
            manifest=manifest,
            paths={blob.sha256: str(self._store.path(blob.sha256)) for blob in manifest.blobs},
            device=config.device,
            threads=config.torch_threads,
            memory_bytes=config.memory_bytes,
            nice=config.nice,
        )

        def report(state: ShadowState, code: str, message: str) -> None:
            self._loop.call_soon_threadsafe(self._heard, run, state, code, message)

        run = ShadowRun(order, load, config, report)
        self._run = run
        self._runs = [*self._runs[-1:], run]
        run.start()

    def _heard(self, run: ShadowRun, state: ShadowState, code: str, message: str) -> None:
        if run is self._run:
            self._settle(state, code, message)

    def _settle(self, state: ShadowState, code: str = "", message: str = "") -> None:
        assert self._record is not None
        if state is not ShadowState.RUNNING:
            self._end_run()
        self._keep(msgspec.structs.replace(self._record, state=state, code=code[:100], message=message[:2000]))
        self._tell()

    def _is_over(self, record: ShadowRecord) -> bool:
        return record.episodes >= record.order.max_episodes or time.time_ns() >= record.order.ends_ns

    def _counted(self, shadow_id: str) -> None:
        """An episode with proposals was closed."""
        record = self._record
        if record is None or record.order.shadow_id != shadow_id or record.state is not ShadowState.RUNNING:
            return
        self._record = msgspec.structs.replace(record, episodes=record.episodes + 1)
        self._settle(ShadowState.ENDED if self._is_over(self._record) else ShadowState.RUNNING)

    def _end_run(self) -> None:
        if self._run is not None:
            self._run.stop()
            self._run = None

    def _keep(self, record: ShadowRecord | None) -> None:
        self._record = record
        if record is None or record.state in (ShadowState.REFUSED, ShadowState.ENDED):
            self._store.shadow_blobs = frozenset()
        try:
            if record is None:
                self._path.unlink(missing_ok=True)
            else:
                write_durably(self._path, msgspec.json.encode(record))
        except OSError:
            logger.exception("a restart will not know of this shadow")

    def _tell(self) -> None:
        record = self._record
        if record is None or not self._is_known:
            return
        report = ShadowReport(
            shadow_id=record.order.shadow_id,
            state=record.state,
            episodes=record.episodes,
            code=record.code,
            message=record.message,
        )
        self._report(report)  # a lost one is mended by the next connection's

    # --- Other threads -----------------------------------------------------------------------------------------------

    def begin(self, spec: EpisodeSpec, *, is_free: bool) -> None:
        """See shadow_run.Onlooker."""
        run = self._run
        if run is not None:
            run.begin(spec, is_free=is_free)

    def look(self, step: int, observation: Observation) -> None:
        """See shadow_run.Onlooker."""
        run = self._run
        if run is not None:
            run.look(step, observation)

    def summary(self, recording: EpisodeRecording) -> ShadowEpisode | None:
        """Return what was proposed in a closed episode, None if it was not shadowed."""
        for run in reversed(self._runs):
            found = run.summary(recording)
            if found is not None:
                if found.answered:
                    self._loop.call_soon_threadsafe(self._counted, found.shadow_id)
                return found
        return None


def _is_same(order: ShadowOrder, other: ShadowOrder) -> bool:
    """Whether only URLs, signature and epoch differ, which each state brings anew."""
    mine = (order.shadow_id, order.policy.version_id, order.share, order.max_episodes, order.ends_ns)
    return mine == (other.shadow_id, other.policy.version_id, other.share, other.max_episodes, other.ends_ns)


def _check_memory(manifest: PolicyManifest, config: ShadowConfig) -> None:
    """Raises: ShadowRefused (`shadow_memory`) if a second policy does not fit, before a byte of it is fetched."""
    wanted = int(manifest.size_bytes * MEMORY_FACTOR)
    free = min(config.memory_bytes, _available_bytes())
    if wanted > free:
        text = f"a second policy takes about {wanted // 2**20} MiB of memory, and {free // 2**20} MiB may be used"
        raise ShadowRefused("shadow_memory", text)


def _available_bytes() -> int:
    """Return what the system could give away now; without /proc the configured limit alone counts."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return 2**62


def _read(path: Path) -> ShadowRecord | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=ShadowRecord)
    except FileNotFoundError:
        return None
    except (OSError, *UNPARSABLE) as error:
        logger.error("the record of the shadow is unusable: %s", error)
        return None
