"""Which policy drives: fetch the announced version, verify, load, probe, and offer it at the next episode boundary.

Runs beside the control loop: downloads on the event loop, loading and probing in a thread. The control thread calls
`take()` between episodes and only there; one episode therefore carries one version. A version that fails is refused
with a code, reported, and not tried again until the server names another; the old one goes on. What no trusted key
signed is not even fetched (trust.py). While somebody holds the robot at a version (policy_hold.py), it follows none.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from fleet.daemon.config import PolicyConfig
from fleet.daemon.downloads import DiskFull, Downloads, FetchFailed, FetchLater
from fleet.daemon.policy_hold import CurrentVersion, VersionNotHeld, follow, read_hold
from fleet.daemon.policy_store import PolicyStore
from fleet.daemon.trust import Trust
from fleet.protocol import tracing
from fleet.protocol.errors import PolicyError, ProbeFailed, StaleOrder, UnknownArchitecture, Untrusted
from fleet.protocol.messages import (
    DesiredState,
    DriverInfo,
    PolicyApplied,
    PolicyHold,
    PolicyRefused,
    PolicyTarget,
    RobotMessage,
)
from fleet.protocol.policy import Observation, Policy, PolicyManifest

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedPolicy:
    """A version that passed its probe. `traceparent`: of its loading, if that was traced."""

    version_id: str
    number: int
    policy: Policy
    manifest: PolicyManifest
    fetched_ns: int
    fetched_bytes: int
    traceparent: str = ""


class PolicyHost:
    """`run` never returns; cancel it to end. `take` belongs to the control thread, all else to the event loop."""

    def __init__(
        self,
        *,
        store: PolicyStore,
        downloads: Downloads,
        config: PolicyConfig,
        info: DriverInfo,
        trust: Trust,
        report: Callable[[RobotMessage], None],
        ask_again: Callable[[], None],
    ) -> None:
        """`ask_again` asks the server for fresh URLs when the present ones are no longer honoured."""
        self._store = store
        self._downloads = downloads
        self._config = config
        self._info = info
        self._trust = trust
        self._report = report
        self._ask_again = ask_again
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._ready: LoadedPolicy | None = None
        self._running: LoadedPolicy | None = None
        self._target: PolicyTarget | None = None
        self._taking: PolicyManifest | None = None  # what is fetched or loaded at present
        self._settled: str | None = None  # the newest version that was loaded or refused
        self._unroomy: str | None = None  # the newest version that did not fit on the disk: reported once, tried on
        self._distrusted: tuple[str, str] | None = None  # version and signature of the newest order that was refused
        self._hold = read_hold(store.policies)
        store.driving = self._driving
        self._changed = asyncio.Event()

    @property
    def version_id(self) -> str | None:
        """The version that drives now or from the next episode on."""
        with self._lock:
            loaded = self._ready or self._running
            return loaded.version_id if loaded is not None else None

    @property
    def hold(self) -> PolicyHold | None:
        """Why the robot follows no version of the server's, if somebody at the robot decided so."""
        return self._hold

    def follow(self, state: DesiredState) -> None:
        """Note what the server wants; no version changes nothing (the robot keeps the policy it has)."""
        self._trust.learn(state.policy_keys)
        if self._hold is not None and state.lifted_hold_id == self._hold.hold_id:
            follow(self._store.policies)
        if state.policy is None or state.policy == self._target:
            return
        self._target = state.policy
        self._changed.set()

    def take(self, is_free: bool = True) -> LoadedPolicy | None:
        """Swap in a version that is ready and return the one to drive with; None if there is none at all.

        With `is_free` false, which says that somebody drives across the episode's end, nothing is swapped.
        """
        with self._lock:
            if self._ready is None or not (is_free or self._running is None):
                return self._running
            self._running, self._ready = self._ready, None
            running = self._running
        self._loop.call_soon_threadsafe(self._applied, running, time.time_ns())
        return running

    def _applied(self, loaded: LoadedPolicy, applied_ns: int) -> None:
        logger.info("policy %d (%s) drives from the next episode on", loaded.number, loaded.version_id)
        if loaded.traceparent:
            start_ns = loaded.fetched_ns  # it waits for its episode's end
            tracing.record("robot.apply", start_ns=start_ns, end_ns=applied_ns, parent=loaded.traceparent)
        try:
            self._store.write_current(CurrentVersion(number=loaded.number, manifest=loaded.manifest))
        except OSError:
            logger.exception("a restart will not find this policy")
        self._report(
            PolicyApplied(
                version_id=loaded.version_id,
                fetched_ns=loaded.fetched_ns,
                applied_ns=max(applied_ns, loaded.fetched_ns),  # a wall clock may be set back in between
                fetched_bytes=loaded.fetched_bytes,
            )
        )

    async def restore(self) -> None:
        """Load the version that drove before the restart, so that the robot works without a server."""
        current = self._store.read_current()
        if self._hold is not None:
            current = self._store.history.find(self._hold.version_id) or current
        if current is None:
            return
        try:
            policy = await asyncio.to_thread(self._load, current.manifest)
        except (PolicyError, OSError) as error:
            logger.error("the last policy cannot be restored: %s", error)
            return
        self._settled = current.manifest.version_id
        loaded = LoadedPolicy(current.manifest.version_id, current.number, policy, current.manifest, time.time_ns(), 0)
        with self._lock:
            self._running = loaded
        logger.info("policy %d (%s) restored from disk", loaded.number, loaded.version_id)

    async def run(self) -> None:
        """Follow the target, always the newest one only; or stay where somebody at the robot holds it."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_hold())
            group.create_task(self._run())

    async def _watch_hold(self) -> None:
        while True:
            hold = await asyncio.to_thread(read_hold, self._store.policies)
            if hold != self._hold:
                text = f"held at version {hold.number}: {hold.reason}" if hold else "follows the server again"
                logger.warning("%s", text)
                self._hold = hold
                self._changed.set()
            await asyncio.sleep(self._config.hold_poll_s)

    async def _return_to(self, hold: PolicyHold) -> None:
        """Have the held version drive from the next episode on; what was fetched meanwhile is dropped."""
        self._settled = hold.version_id
        with self._lock:
            self._ready = None
            if self._running is not None and self._running.version_id == hold.version_id:
                return
        try:
            found = self._store.history.find(hold.version_id)
            if found is None:
                raise VersionNotHeld(f"the record of version {hold.number} is gone")
            policy = await asyncio.to_thread(self._load, found.manifest)
        except (PolicyError, OSError) as error:
            code, text = (error.code, error.message) if isinstance(error, PolicyError) else ("disk", str(error))
            logger.error("version %d cannot be gone back to: %s", hold.number, text)
            self._report(PolicyRefused(version_id=hold.version_id, code=code, message=text[:2000]))
            return
        loaded = LoadedPolicy(hold.version_id, hold.number, policy, found.manifest, time.time_ns(), 0)
        with self._lock:
            self._ready = loaded

    def _is_settled(self, target: PolicyTarget | None) -> bool:
        if target is None or target.version_id == self._settled:
            return True
        return (target.version_id, target.signature) == self._distrusted

    async def _run(self) -> None:
        backoff = self._downloads.backoff()
        while True:
            target, hold = self._target, self._hold
            if hold is not None and hold.version_id != self._settled:
                await self._return_to(hold)
            if target is None or hold is not None or self._is_settled(target):
                await self._changed.wait()
                self._changed.clear()
                continue
            try:
                await self._follow(target)
                backoff.reset()
            except FetchLater as later:
                wait_s = self._downloads.later_s(later)
                logger.info("the server is busy, policy %d is asked for again in %.1f s", target.number, wait_s)
                await self._wait_for_other_version(target.version_id, wait_s)
            except (FetchFailed, OSError) as error:
                wait_s = backoff.next_s()
                logger.warning("policy %d not fetched (%s), next try in %.1f s", target.number, error, wait_s)
                if isinstance(error, FetchFailed) and error.is_url_refused:
                    self._ask_again()
                if isinstance(error, DiskFull) and self._unroomy != target.version_id:
                    self._unroomy = target.version_id
                    self._report(PolicyRefused(version_id=target.version_id, code=error.code, message=error.message))
                await self._wait_for_other_version(target.version_id, wait_s)

    async def _wait_for_other_version(self, version_id: str, timeout_s: float) -> None:
        """Wait, but not longer than the server names this version. Fresh URLs alone, which every refused one has the
        robot ask for, are no reason to hurry: a version that is gone would be asked for without end."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._target is not None and self._target.version_id == version_id and self._hold is None:
                    await self._changed.wait()
                    self._changed.clear()
        except TimeoutError:
            return

    async def _follow(self, target: PolicyTarget) -> None:
        began_ns = time.time_ns()
        try:
            self._trust.check(target)
            manifest, fetched_bytes = await self._fetch(target)
            fetched_ns = time.time_ns()
            policy = await asyncio.to_thread(self._load, manifest)
        except PolicyError as error:
            self._traced(target, began_ns, failed=error.code)
            logger.error("policy %d refused: %s: %s", target.number, error.code, error.message)
            if isinstance(error, Untrusted | StaleOrder):  # an order that is in order may name the same version
                self._distrusted = (target.version_id, target.signature)
            else:
                self._settled = target.version_id
            refusal = PolicyRefused(version_id=target.version_id, code=error.code, message=error.message[:2000])
            self._report(refusal)
            return
        finally:
            self._taking = None
        self._settled = target.version_id
        self._trust.followed(target)
        traceparent = self._traced(target, began_ns)
        loaded = LoadedPolicy(
            target.version_id, target.number, policy, manifest, fetched_ns, fetched_bytes, traceparent
        )
        with self._lock:
            if self._hold is None:  # else somebody took the robot back while this one was fetched
                self._ready = loaded
        self._store.evict()

    def _driving(self) -> tuple[PolicyManifest, ...]:
        """Return what drives, what shall from the next episode on, and what is on its way."""
        with self._lock:
            loaded = [item.manifest for item in (self._ready, self._running) if item is not None]
        return (*loaded, self._taking) if self._taking is not None else tuple(loaded)

    def _traced(self, target: PolicyTarget, began_ns: int, failed: str = "") -> str:
        """Note the loading of a version in the trace of its publish; one without a trace is none of ours."""
        if not target.traceparent:
            return ""
        about: tracing.Attributes = {"sop.version": target.version_id, "sop.number": target.number}
        end_ns, parent = time.time_ns(), target.traceparent
        return tracing.record(
            "robot.load", start_ns=began_ns, end_ns=end_ns, parent=parent, attributes=about, failed=failed
        )

    async def _fetch(self, target: PolicyTarget) -> tuple[PolicyManifest, int]:
        async with self._store.fetching():
            manifest = await self._store.fetch_manifest(self._downloads, target)
            self._check(manifest)
            self._taking = manifest
            return manifest, await self._store.fetch_missing(self._downloads, manifest, target)

    def _check(self, manifest: PolicyManifest) -> None:
        """Refuse, before any blob is fetched, a version that cannot drive this robot."""
        check_fits(manifest, self._info)

    def _load(self, manifest: PolicyManifest) -> Policy:
        """Verify the blobs, build the policy, probe it. Runs in a thread. Raises: PolicyError."""
        self._check(manifest)
        for blob in manifest.blobs:
            self._store.verify(blob)
        paths = {blob.sha256: self._store.path(blob.sha256) for blob in manifest.blobs}
        return build_policy(manifest, paths, device=self._config.device, threads=self._config.torch_threads)


def check_fits(manifest: PolicyManifest, info: DriverInfo) -> None:
    """Compare what a version sees and does with what the robot has.

    Raises: UnknownArchitecture, ProbeFailed, and what an architecture misses here (LerobotMissing).
    """
    registry = _registry()
    if registry is None:
        raise UnknownArchitecture(f"this daemon cannot build '{manifest.architecture}'")
    registry.require_architecture(manifest.architecture)
    cameras = {(camera.name, camera.height, camera.width) for camera in info.cameras}
    missing = [spec.name for spec in manifest.cameras if (spec.name, spec.height, spec.width) not in cameras]
    if missing:
        raise ProbeFailed(f"the policy needs cameras this robot has not in that size: {missing}")
    axes, proprio = len(info.action_names), len(info.proprio_names)
    if (manifest.action_dim, manifest.proprio_dim) != (axes, proprio):
        text = f"the policy has {manifest.action_dim} action and {manifest.proprio_dim} state dimensions"
        raise ProbeFailed(f"{text}, this robot {axes} and {proprio}")


def build_policy(manifest: PolicyManifest, paths: dict[str, Path], *, device: str, threads: int) -> Policy:
    """Build a policy of verified blobs and probe it. Raises: PolicyError, with what was raised as its cause."""
    registry = _registry()
    if registry is None:
        raise UnknownArchitecture("learner.policies is not installed")
    importlib.import_module("torch").set_num_threads(threads)
    try:
        policy: Policy = registry.load_policy(manifest, paths, device=device)
        probe_policy(policy, manifest)
    except PolicyError:
        raise
    except Exception as error:  # a network is foreign code: whatever it raises, the old version goes on
        logger.exception("loading a policy failed")
        raise ProbeFailed(f"loading or probing raised {type(error).__name__}") from error
    return policy


def _registry() -> ModuleType | None:
    """Import learner.policies.registry, which brings torch: only robots that host a policy pay for it."""
    try:
        return importlib.import_module("learner.policies.registry")
    except ModuleNotFoundError as error:
        logger.warning("no policies can be hosted: %s", error)
        return None


def architectures() -> tuple[str, ...]:
    """Return the architectures that this daemon can host; () without learner.policies."""
    registry = _registry()
    return tuple(registry.architectures()) if registry is not None else ()


def probe_policy(policy: Policy, manifest: PolicyManifest) -> None:
    """Ask a loaded policy about a black and a random picture.

    Raises: ProbeFailed if an answer has the wrong shape or is not finite, or `execute_steps` exceeds the horizon.
    """
    if not 1 <= policy.execute_steps <= manifest.horizon:
        raise ProbeFailed(f"execute_steps {policy.execute_steps} is outside 1..{manifest.horizon}")
    rng = np.random.default_rng(0)
    policy.reset(instruction="probe", seed=0)
    for scale in (0, 255):
        images = {
            camera.name: rng.integers(0, scale + 1, (camera.height, camera.width, 3)).astype(np.uint8)
            for camera in manifest.cameras
        }
        state = (rng.standard_normal(manifest.proprio_dim) * (scale > 0)).astype(np.float32)
        actions = policy.infer(Observation(images=images, state=state)).actions
        if actions.shape != (manifest.horizon, manifest.action_dim):
            raise ProbeFailed(f"answered with shape {actions.shape}")
        if not np.isfinite(actions).all():
            raise ProbeFailed("answered with NaN or infinity")
