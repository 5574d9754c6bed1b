"""Runs one demo from an empty folder to its end: set-up in steps, supervision, and with --minutes the report.

Everything is stopped in reverse order however it ends: robots first, then the learner, the server, Redis, PostgreSQL.
"""

from __future__ import annotations

import contextlib
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict

from sop_web.demo import rows
from sop_web.demo.base_policy import BasePolicy, ensure_base_policy
from sop_web.demo.checks import check_machine
from sop_web.demo.config import REPOSITORY, DemoConfig
from sop_web.demo.credentials import kept_credentials
from sop_web.demo.evaluation import Success, evaluate, total
from sop_web.demo.processes import DemoError, Processes, ProgressSink
from sop_web.demo.report import build_report, closed_episodes, progress_line, write_report
from sop_web.demo.stack import (
    Stack,
    manage,
    start_data_worker,
    start_fleet_worker,
    start_hooks_worker,
    start_learner,
    start_robot,
    start_server,
)
from sop_web.demo.steps import Steps, say
from sop_web.embedded import Services, start_services, system

RUN_NAME = "demo"
POLL_S = 0.2
PROGRESS_S = 10.0
SERVER_TIMEOUT_S = 60.0
ENROL_TIMEOUT_S = 120.0
DRAIN_TIMEOUT_S = 120.0
SETTLED_S = 5.0  # more than two heartbeats: what the robots last said is no longer old


class Demo:
    """One run. `run` returns when the minutes are over; a signal raises through it."""

    def __init__(self, config: DemoConfig) -> None:
        self._config = config
        self._steps = Steps()
        self._progress = ProgressSink()
        self._names = [f"robot-{number}" for number in range(1, config.robots + 1)]

    def run(self) -> None:
        """Raises: DemoError, EmbeddedError; KeyboardInterrupt when the user ends it."""
        config = self._config
        with contextlib.ExitStack() as stack:
            with self._steps.step("Checking this machine"):
                say(f"      {check_machine(config)}")
            with self._steps.step("Starting PostgreSQL and Redis"):
                services = stack.enter_context(_services(config))
            system_ = Stack(
                data_dir=config.data_dir,
                port=config.port,
                services=services,
                speed=config.speed,
                rate_hz=config.rate_hz,
            )
            processes = stack.enter_context(_processes(config))
            self._serve(system_, processes)
            base = self._base_policy(system_, processes)
            before = self._evaluate_base(system_, processes, base)
            self._publish_base(system_, base)
            self._start_robots(system_, processes)
            self._work(processes)
            if config.minutes is not None:
                self._finish(system_, processes, before)

    # --- Set-up ------------------------------------------------------------------------------------------------------

    def _serve(self, system_: Stack, processes: Processes) -> None:
        credentials = kept_credentials(self._config.data_dir)
        with self._steps.step("Preparing the database"):
            rows.setup_django(system_.environment())
            manage(system_, "migrate", "--noinput", "--verbosity", "0")
            manage(system_, "signing_key")
            manage(
                system_, "demo_seed", "--run", RUN_NAME, "--tasks", ",".join(self._config.base.tasks),
                "--seed", str(self._config.base.seed), environment=credentials.environment(),
            )  # fmt: skip
        with self._steps.step("Starting the server"):
            start_server(processes, system_)
            start_fleet_worker(processes, system_)
            start_hooks_worker(processes, system_)
            start_data_worker(processes, system_)
            wait_until_serving(system_.url, processes)
        say("")
        say(f"  The console:  {system_.url}")
        for name, password in asdict(credentials).items():
            say(f"  Sign in as:   {name:<9} password: {password}")
        say("")

    def _base_policy(self, system_: Stack, processes: Processes) -> BasePolicy:
        title = "Making the base policy from the simulator's experts (once; it is cached)"
        with self._steps.step(title):
            return ensure_base_policy(
                self._config, env=system_.environment(), processes=processes, progress=self._progress
            )

    def _evaluate_base(self, system_: Stack, processes: Processes, base: BasePolicy) -> dict[str, Success]:
        if self._config.report is None or self._config.eval_episodes == 0:
            return {}
        with self._steps.step("Evaluating the base policy without help (once; it is cached)"):
            by_task = evaluate(
                self._config, base.policy, out=base.evaluation, label="base", env=system_.environment(),
                processes=processes, progress=self._progress,
            )  # fmt: skip
        say(f"      success {_rate(total(by_task))}")
        return by_task

    def _publish_base(self, system_: Stack, base: BasePolicy) -> None:
        begun_from = rows.run_base_blobs(RUN_NAME)
        if begun_from is not None and begun_from != base.blobs:
            # Published to this run it would be its newest version: the robots would fall back to it, and the report
            # would compare the run with a base that it never had.
            raise DemoError(
                f"the run in {self._config.data_dir} began from another base policy (other --tasks, --seed, "
                "--demonstrations, ..., or an older recipe): use the options it began with, set SOP_DATA_DIR to "
                "another folder, or begin anew with `make demo-reset`"
            )
        with self._steps.step("Registering the demonstrations and publishing the base policy"):
            manage(system_, "import_episodes", str(base.demonstrations))
            manage(system_, "policy_import", str(base.policy), "--run", RUN_NAME)

    def _start_robots(self, system_: Stack, processes: Processes) -> None:
        with self._steps.step(f"Starting the learner and {len(self._names)} robots"):
            start_learner(processes, system_)
            rows.start_run(RUN_NAME)
            for index, name in enumerate(self._names):
                start_robot(processes, system_, name=name, seed=self._config.robot_seed(index))
            deadline = time.monotonic() + ENROL_TIMEOUT_S
            while missing := rows.assign_tasks(self._names, self._config.base.tasks):
                if time.monotonic() > deadline:
                    raise DemoError(f"{', '.join(missing)} did not enrol: see {self._config.logs}")
                _poll_for(processes, 0.5)

    # --- Work and end ------------------------------------------------------------------------------------------------

    def _work(self, processes: Processes) -> None:
        config = self._config
        say("Running. Ctrl-C stops everything; the next `make demo` goes on from here.")
        end = None if config.minutes is None else time.monotonic() + config.minutes * 60
        while end is None or time.monotonic() < end:
            left = PROGRESS_S if end is None else min(PROGRESS_S, max(0.0, end - time.monotonic()))
            _poll_for(processes, left)
            if config.is_headless:
                say(f"{_clock()} {progress_line(rows.report_rows(), processes)}")

    def _finish(self, system_: Stack, processes: Processes, base: dict[str, Success]) -> None:
        config = self._config
        with self._steps.step("Letting the robots finish and deliver"):
            rows.end_assignments()
            self._drain(processes)
            processes.stop(*self._names)
        with self._steps.step("Stopping the learner"):
            rows.stop_runs()
            processes.stop("learner")
        if config.report is None:
            return
        policy = config.data_dir / "demo" / "final-policy"
        number = rows.export_newest_policy(policy)
        final: dict[str, Success] = {}
        if config.eval_episodes:
            with self._steps.step("Evaluating the final policy without help"):
                final = evaluate(
                    config, policy, out=policy / f"evaluation-{int(time.time())}", label="final",
                    env=system_.environment(), processes=processes, progress=self._progress,
                )  # fmt: skip
            say(f"      version {number}: success {_rate(total(final))}; base {_rate(total(base))}")
        report = build_report(
            config,
            rows.report_rows(),
            closed=closed_episodes(config.data_dir),
            registered=rows.registered_episodes(),
            base=base,
            final=final,
            more={"final_version": number, "setup_s": self._steps.seconds},
        )
        write_report(config.report, report)
        say(f"Report: {config.report}")

    def _drain(self, processes: Processes) -> None:
        """Wait, bounded, until no robot works and every closed episode is registered, for longer than a heartbeat."""
        deadline = time.monotonic() + DRAIN_TIMEOUT_S
        settled_at: float | None = None
        while time.monotonic() < deadline:
            _poll_for(processes, 1.0)
            missing = set(closed_episodes(self._config.data_dir)) - set(rows.registered_episodes())
            if rows.busy_robots() or missing:
                settled_at = None
            elif settled_at is None:
                settled_at = time.monotonic()
            elif time.monotonic() - settled_at > SETTLED_S:
                return
        say(f"      not everything arrived within {DRAIN_TIMEOUT_S:.0f} s: the report counts what is missing")


def wait_until_serving(url: str, processes: Processes, *, timeout_s: float = SERVER_TIMEOUT_S) -> None:
    """Wait until the server answers over HTTP. Raises: ChildFailed, DemoError."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with (
            contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError),
            urllib.request.urlopen(f"{url}/api/v1/session", timeout=5),
        ):
            return
        _poll_for(processes, 0.2)
    raise DemoError(f"the server does not answer at {url} after {timeout_s:.0f} s")


@contextlib.contextmanager
def _services(config: DemoConfig) -> Iterator[Services]:
    """Embedded servers, unless both URLs are set. The folder is locked either way."""
    database_url, redis_url = os.environ.get("DATABASE_URL"), os.environ.get("REDIS_URL")
    if database_url and redis_url:
        with system.folder_lock(config.data_dir):
            yield Services(database_url=database_url, redis_url=redis_url)
    elif database_url or redis_url:
        raise DemoError("set both DATABASE_URL and REDIS_URL to use your own servers, or neither")
    else:
        with start_services(config.data_dir) as services:
            yield services


@contextlib.contextmanager
def _processes(config: DemoConfig) -> Iterator[Processes]:
    processes = Processes(logs=config.logs, cwd=REPOSITORY, notify=say)
    try:
        yield processes
    finally:
        say("Stopping ...")
        robots = [name for name in processes.names() if name.startswith("robot-")]
        processes.stop(*robots)  # first, so that they can say goodbye
        processes.stop()


def _poll_for(processes: Processes, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        processes.poll()
        left = deadline - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(POLL_S, left))


def _rate(success: Success) -> str:
    values = success.as_json()
    if not success.n:
        return "not measured"
    return f"{success.successes / success.n:.2f} [{values['low']:.2f}, {values['high']:.2f}], n = {success.n}"


def _clock() -> str:
    return time.strftime("%H:%M:%S")
