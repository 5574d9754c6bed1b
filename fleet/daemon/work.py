"""The robot's working day: draw a task, reset, run an episode, hand it to the writer, again. One thread, no network.

`Worker.run` is the control thread; `Writer.run` is the thread that turns recordings into spooled episodes while the
next one is being reset. Task and seed of an episode follow from (config seed, robot name, episode counter) alone.
"""

from __future__ import annotations

import gc
import hashlib
import logging
import queue
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fleet.daemon.config import ControlConfig
from fleet.daemon.control_loop import EpisodeRunner
from fleet.daemon.drivers.base import Driver, DriverError
from fleet.daemon.episode import EpisodeRecording, EpisodeSpec
from fleet.daemon.files import is_full
from fleet.daemon.policy_host import LoadedPolicy
from fleet.daemon.spool import Spool
from fleet.daemon.status import StatusBoard
from fleet.protocol import tracing
from fleet.protocol.authority import Mode
from fleet.protocol.errors import RecordingError
from fleet.protocol.messages import AssignedTask, ShadowEpisode
from fleet.protocol.recording import Origin

logger = logging.getLogger(__name__)

IDLE_S = 0.1  # how often a robot with nothing to do looks again
DRIVER_RETRY_S = (1.0, 30.0)  # first and longest wait after a driver's failure
DISK_RETRY_S = 2.0


def draw(
    assignments: tuple[AssignedTask, ...], *, seed: int, robot_name: str, counter: int
) -> tuple[AssignedTask, int] | None:
    """Return the task of episode number `counter` and its seed in [0, 2**31); None if no task has a weight.

    Equal arguments give equal draws; the order in which the server lists the assignments does not matter.
    """
    candidates = sorted((task for task in assignments if task.weight > 0), key=lambda task: task.task_id)
    if not candidates:
        return None
    name = int.from_bytes(hashlib.sha256(robot_name.encode()).digest()[:8], "big")
    rng = np.random.default_rng([seed, name, counter])
    weights = np.array([task.weight for task in candidates])
    task = candidates[int(rng.choice(len(candidates), p=weights / weights.sum()))]
    return task, int(rng.integers(2**31))


@dataclass(frozen=True)
class _Plan:
    task: AssignedTask
    seed: int
    loaded: LoadedPolicy


@dataclass(frozen=True)
class _Obstacle:
    """Why there is no next episode: RobotStatus.activity and .detail."""

    activity: str
    detail: str


class Writer:
    """Recordings -> spool, off the control thread. At most one waits while one is written."""

    def __init__(
        self,
        *,
        spool: Spool,
        board: StatusBoard,
        software: dict[str, str],
        shadowed: Callable[[EpisodeRecording], ShadowEpisode | None] = lambda recording: None,
        make_room: Callable[[], object] = lambda: None,
    ) -> None:
        """`shadowed` is asked once for each recording: what a candidate proposed in it. `make_room` is called while the
        disk is full and the spool holds nothing that may go; the next try comes `DISK_RETRY_S` later."""
        self._spool = spool
        self._board = board
        self._software = software
        self._shadowed = shadowed
        self._make_room = make_room
        self._queue: queue.Queue[EpisodeRecording | None] = queue.Queue(maxsize=1)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="writer")
        self.problem = ""  # why the present recording could not be written so far

    def start(self) -> None:
        self._thread.start()

    def put(self, recording: EpisodeRecording) -> None:
        """Hand over a recording; waits while the disk is behind."""
        self._queue.put(recording)

    @property
    def is_idle(self) -> bool:
        """Whether everything handed over has been dealt with."""
        return self._queue.unfinished_tasks == 0

    @property
    def is_behind(self) -> bool:
        """Whether `put` would wait."""
        return self._queue.full()

    def hurry(self) -> None:
        """Do not wait for a failing disk any longer: the daemon stops."""
        self._stopping.set()

    def stop(self) -> None:
        """Write what was handed over, then end."""
        self.hurry()
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (recording := self._queue.get()) is not None:
            self._write(recording)
            self.problem = ""
            self._spool.unreserve()
            self._queue.task_done()

    def _write(self, recording: EpisodeRecording) -> None:
        """Spool one recording; a full or failing disk is tried again until the daemon stops."""
        episode_id = recording.spec.episode_id
        shadow = self._shadow_of(recording)
        while True:
            try:
                manifest = self._spool.add(recording, software=self._software, shadow=shadow)
            except RecordingError as error:
                logger.error("episode %s breaks the contract and is lost: %s", episode_id, error.message)
                self._board.update(detail=f"episode not recorded: {error.message}")
                return
            except OSError as error:
                if is_full(error):
                    if self._spool.shrink():
                        continue
                    self._make_room()
                logger.error("episode %s cannot be written: %s", episode_id, error)
                self.problem = f"disk: {error}"
                self._board.update(activity="error", detail=f"disk: {error}")
                if self._stopping.wait(DISK_RETRY_S):
                    logger.error("episode %s is lost: the disk still fails and the daemon stops", episode_id)
                    return
                continue
            except Exception as error:  # a defect in writing costs this episode, not the robot's work
                logger.exception("episode %s is lost: it cannot be written", episode_id)
                self._board.update(detail=f"episode not recorded: {type(error).__name__}: {error}"[:2000])
                return
            tracing.record(
                "robot.close", start_ns=manifest.ended_ns, end_ns=time.time_ns(), parent=manifest.traceparent or ""
            )
            text = "episode %s closed: %s %s, %d steps, %d human"
            logger.info(text, episode_id, manifest.task_slug, manifest.outcome, manifest.steps, manifest.human_steps)
            return

    def _shadow_of(self, recording: EpisodeRecording) -> ShadowEpisode | None:
        try:
            return self._shadowed(recording)
        except Exception:  # a defect in what is only watched must not cost the episode
            logger.exception("episode %s goes without its shadow", recording.spec.episode_id)
            return None


class Worker:
    """The control thread. Before every episode it asks for `assignments`, and `policy` with whether it may change."""

    def __init__(
        self,
        *,
        driver: Driver,
        make_runner: Callable[[], EpisodeRunner],
        control: ControlConfig,
        spool: Spool,
        writer: Writer,
        board: StatusBoard,
        assignments: Callable[[], tuple[AssignedTask, ...]],
        policy: Callable[[bool], LoadedPolicy | None],
        robot_id: str | None,
        robot_name: str,
        seed: int,
    ) -> None:
        """`make_runner` is called once, on the control thread, when the driver is connected for the first time."""
        self._driver = driver
        self._make_runner = make_runner
        self._control = control
        self._spool = spool
        self._writer = writer
        self._board = board
        self._assignments = assignments
        self._policy = policy
        self._robot_id = robot_id
        self._robot_name = robot_name
        self._seed = seed
        self._counter = spool.closed_count
        self._runner: EpisodeRunner | None = None
        self._is_memory_settled = False
        self._again: str | None = None  # task id that an operator wants once more
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End after the present step; the caller also aborts the open episode through the inbox."""
        self._stopping.set()

    def run(self) -> None:
        """Work until stopped. A failing driver is connected again, ever more slowly, for as long as it takes."""
        wait_s = DRIVER_RETRY_S[0]
        while not self._stopping.is_set():
            before = self._counter
            try:
                self._driver.connect()
                self._work()
            except DriverError as error:
                wait_s = DRIVER_RETRY_S[0] if self._counter > before + 1 else min(2 * wait_s, DRIVER_RETRY_S[1])
                logger.exception("the driver failed, next try in %.0f s", wait_s)
                self._board.update(activity="error", detail=f"{error.code}: {error.message}"[:2000])
                self._stopping.wait(wait_s)
            finally:
                self._driver.close()

    def _work(self) -> None:
        if self._runner is None:
            self._runner = self._make_runner()
            rate_hz, own_hz = self._control.control_rate_hz, self._driver.info.control_rate_hz
            if rate_hz != own_hz:
                text = "control.control_rate_hz is %g, the driver's rate is %g: it moves at another speed"
                logger.warning(text, rate_hz, own_hz)
        while not self._stopping.is_set():
            plan = self._plan(self._runner)
            if isinstance(plan, _Obstacle):
                idle = {"task_id": None, "episode_id": None, "step": 0, "max_steps": 0}
                self._board.update(activity=plan.activity, detail=plan.detail, **idle)
                self._stopping.wait(IDLE_S)
                continue
            self._carry_out(self._runner, plan)

    def _carry_out(self, runner: EpisodeRunner, plan: _Plan) -> None:
        """Reset, run, hand over. Raises: DriverError, after what was recorded before it was handed over."""
        self._settle_memory()
        recording: EpisodeRecording | None = None
        try:
            if not self._is_stopped_while_resetting(runner, plan):
                recording = self._episode(runner, plan)
        finally:
            if recording is None:
                self._spool.unreserve()
        if recording is None:
            return
        self._writer.put(recording)
        if runner.driver_error is not None:
            raise runner.driver_error

    def _settle_memory(self) -> None:
        """Once, while the robot stands and all is loaded: what is there is never looked through for garbage again.

        A look through 240,000 objects, most of them torch's, takes 0.12 s, in which a moving robot gets no action.
        """
        if not self._is_memory_settled:
            self._is_memory_settled = True
            gc.collect()
            gc.freeze()

    def _is_stopped_while_resetting(self, runner: EpisodeRunner, plan: _Plan) -> bool:
        """Give the scene its time; True if the robot must not move after it: the daemon, or somebody, stopped it."""
        identity = {"task_id": plan.task.task_id, "policy_version_id": plan.loaded.version_id, "episode_id": None}
        self._board.update(activity="resetting", detail="", step=0, max_steps=plan.task.max_steps, **identity)
        speed = self._control.speed_factor
        ends_s = time.monotonic() + (self._control.reset_s / speed if speed > 0 else 0.0)
        while (left_s := ends_s - time.monotonic()) > 0 and not self._stopping.wait(min(IDLE_S, left_s)):
            if self._halt(runner) is not None:
                return True
        return self._stopping.is_set()

    def _halt(self, runner: EpisodeRunner) -> _Obstacle | None:
        """Follow stop, pause and leases while no episode runs; what keeps the robot from moving, if anything."""
        wishes = runner.idle_step()
        if wishes.is_paused or runner.pilot.authority.mode in (Mode.PAUSED, Mode.STOPPED):
            return _Obstacle("idle", runner.pilot.pause_text or "paused by an operator")
        return None

    def _plan(self, runner: EpisodeRunner) -> _Plan | _Obstacle:
        """Return the next episode, with room reserved for it in the spool, or what keeps the robot from working."""
        if (halt := self._halt(runner)) is not None:
            return halt
        if self._writer.is_behind:  # else the robot would stand in `put`, deaf to stop and pause
            problem = self._writer.problem
            return _Obstacle("error" if problem else "idle", problem or "earlier episodes are still being written")
        drawn = self._draw()
        loaded = self._policy(runner.pilot.lease_epoch == 0)  # never another version under who drives
        if drawn is None:
            return _Obstacle("idle", "no task is assigned")
        if loaded is None:
            return _Obstacle("waiting_policy", "no policy version has been loaded yet")
        if not self._spool.reserve():
            return _Obstacle("spool_full", "the spool is full of unsent episodes; no new ones until some are delivered")
        return _Plan(*drawn, loaded)

    def _draw(self) -> tuple[AssignedTask, int] | None:
        """Return the next task and seed; the task of the last episode if its operator wants it once more."""
        tasks = self._assignments()
        again = tuple(task for task in tasks if task.task_id == self._again and task.weight > 0)
        return draw(again or tasks, seed=self._seed, robot_name=self._robot_name, counter=self._counter)

    def _episode(self, runner: EpisodeRunner, plan: _Plan) -> EpisodeRecording:
        self._counter += 1
        task, version_id = plan.task, plan.loaded.version_id
        spec = EpisodeSpec(
            episode_id=str(uuid.uuid4()),
            origin=Origin.ONLINE,
            task_id=task.task_id,
            task_slug=task.slug,
            instruction=task.instruction,
            driver_task=task.driver_task,
            max_steps=task.max_steps,
            seed=plan.seed,
            policy_version_id=version_id,
            robot_id=self._robot_id,
            robot_name=self._robot_name,
        )
        recording = runner.run(spec, plan.loaded.policy)
        self._again = task.task_id if runner.is_restart_wanted else None
        return recording
