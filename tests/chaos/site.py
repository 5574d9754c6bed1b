"""The whole system as a lab runs it, with every part in a process of its own that a fault may kill, freeze or cut off.

PostgreSQL and Redis keep what they promise to keep (fsync, append-only file), unlike in other tests. Between any two
parts lies a relay (tests/stack/relay.py). What ended is started again, as systemd or Docker would; frozen it stays.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import psycopg
import redis

from sop_web.demo.config import REPOSITORY
from sop_web.demo.processes import Child, Processes
from sop_web.demo.run import wait_until_serving
from sop_web.demo.stack import Stack, manage, robot_command, server_command, worker_command
from sop_web.embedded import ServicesPlan, plan_services, system
from sop_web.embedded.postgres import run_postgres
from sop_web.embedded.redis import run_redis
from tests.chaos.clock import MachineClock
from tests.chaos.parts import Namespace, Service, Volume, pid_in, signal_tree
from tests.fleet.storage import seaweed
from tests.stack.harness import MAX_STEPS, PASSWORDS, RUN, TASK, System
from tests.stack.relay import Relay

ROBOTS = ("robot-1", "robot-2", "robot-3")
LEARNERS = ("learner", "learner-2")  # the second is started by the fault that needs a successor
SPEED = 1.0
# A tiny run: rounds of a second or two, a version every ten seconds at most.
BATCH_ROWS = 16
CONFIG = {
    "round": {"steps": 10, "publish_steps": 10, "publish_interval_s": 10},
    "optim": {"batch_size": BATCH_ROWS},
}
# The product's own but for the last, which is half of it: a learner that is silent for so long is dead.
TIMERS = {"SOP_HEARTBEAT_S": "2", "SOP_RUN_STALE_S": "15"}
# So that the scripted supervisor asks for a lease in almost every episode: the policy knows nothing.
SUPERVISOR = [f"supervisor.options.{option}" for option in ("deviation=0.2", "deviation_steps=4", "drive_steps=12")]
STORE_MIB, ROBOT_MIB = 2048, 256
POSTGRES_MIB = 1024  # of these the write-ahead log of some minutes takes hundreds
BUCKET_VOLUMES = 64  # 4 GiB: the learner writes two gigabytes of checkpoints in a quarter of an hour
START_S = 180.0
_SETTLE_ERRORS = (psycopg.OperationalError, redis.ConnectionError, redis.TimeoutError)
# In one process: each start of Django costs seconds on a busy machine.
_FILL = """
import json
from django.core.management import call_command
from fleet.models import Task, TrainingRun
from fleet.services.enrolment import enrolment_token_create
from fleet.services.training import training_run_start
call_command("migrate", interactive=False, verbosity=0)
call_command("store_init")
call_command("signing_key")
call_command("demo_seed", run={run!r}, tasks={task!r}, seed=3)
Task.objects.update(max_steps={max_steps})
TrainingRun.objects.filter(name={run!r}).update(config={config!r})
call_command("policy_import", {policy!r}, run={run!r})
call_command("import_episodes", {demonstrations!r})
training_run_start(run_id=TrainingRun.objects.get(name={run!r}).id)
tokens = [enrolment_token_create()[1] for _ in range({robots})]
print(json.dumps(tokens))
"""


@dataclass(frozen=True)
class Layout:
    """What a site is made of. `store`: "folder" or "s3"; `has_clocks`: wall clocks can jump; `has_small_postgres`: its
    data and log lie on a disk that can be full."""

    name: str
    store: str = "folder"
    has_clocks: bool = False
    has_small_postgres: bool = False


@dataclass(frozen=True)
class _System(System):
    """The harness's view of a stack, by the site's one connection."""

    ask: Callable[..., list[tuple[Any, ...]]]

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        return self.ask(query, *parameters)


@dataclass
class Site:
    """A running system, how to break it, and why some of it cannot be broken on this machine (`lacks`)."""

    layout: Layout
    folder: Path
    stack: Stack
    plan: ServicesPlan
    processes: Processes
    services: dict[str, Service]
    links: dict[str, Relay] = field(default_factory=dict)
    volumes: dict[str, Volume] = field(default_factory=dict)
    clocks: dict[str, MachineClock] = field(default_factory=dict)
    namespace: Namespace | None = None
    store_url: str = ""
    lacks: dict[str, str] = field(default_factory=dict)
    common: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.system = _System(self.stack, self.processes, self.rows)
        self._database: psycopg.Connection[Any] | None = None
        self._redis = redis.Redis.from_url(self.plan.redis.url, socket_timeout=5, socket_connect_timeout=5, retry=None)

    # --- Looking, past the application -------------------------------------------------------------------------------

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return a query's rows by a connection that is kept: making one costs more than most queries."""
        try:
            if self._database is None or self._database.closed:
                self._database = psycopg.connect(self.plan.postgres.url(), autocommit=True, connect_timeout=5)
            cursor = self._database.execute(query.encode(), parameters)
            return cursor.fetchall() if cursor.description else []
        except psycopg.OperationalError:
            if self._database is not None:
                self._database.close()
            raise

    def close(self) -> None:
        """Close what looking opened."""
        self._redis.close()
        if self._database is not None:
            self._database.close()

    def value(self, query: str, *parameters: object) -> Any:
        return self.rows(query, *parameters)[0][0]

    def status_of(self, robot_id: str) -> bytes | None:
        """Return what Redis holds of a robot's newest heartbeat; None while it counts as offline."""
        found: bytes | None = self._redis.get(f"sop:robot:{robot_id}:status")
        return found

    def wait_for(self, condition: Callable[[], object], *, what: str, timeout_s: float = 120.0) -> None:
        """Wait, bounded, while what ended is started again. Raises: AssertionError with the logs' ends."""
        deadline = time.monotonic() + timeout_s
        while True:
            self.processes.poll()
            with contextlib.suppress(*_SETTLE_ERRORS):
                if condition():
                    return
            if time.monotonic() > deadline:
                logs = "\n".join(f"--- {name}\n{self.system.log(name)[-1500:]}" for name in self.processes.names())
                raise AssertionError(f"not within {timeout_s:.0f} s: {what}\n{logs}")
            time.sleep(0.1)

    def work_for(self, seconds: float) -> None:
        """Let the fault last; what ended because of it is started again and again meanwhile."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.processes.poll()
            time.sleep(0.1)

    # --- Breaking ----------------------------------------------------------------------------------------------------

    def child(self, name: str) -> Child:
        return self.processes.get(name)

    def pid(self, name: str) -> int:
        process = self.child(name).process
        assert process is not None and process.poll() is None, f"{name} does not run"
        return process.pid

    def kill(self, name: str) -> None:
        """SIGKILL; the supervisor starts it again after its back-off."""
        os.kill(self.pid(name), signal.SIGKILL)
        self.child(name).quick_exits = 0  # it did not end by itself

    def restart(self, name: str) -> None:
        """SIGTERM, as an upgrade does; the supervisor starts it again."""
        os.kill(self.pid(name), signal.SIGTERM)
        self.child(name).quick_exits = 0

    def freeze(self, name: str) -> None:
        signal_tree(self.pid(name), signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        signal_tree(self.pid(name), signal.SIGCONT)

    def holder(self) -> str:
        """Return the learner that trains now; waits, bounded, for one that is alive."""
        found: list[str] = []

        def is_known() -> bool:
            text = self.value("SELECT holder FROM fleet_trainingrun WHERE name = %s", RUN)
            present = [name for name in LEARNERS if name in self.processes.names()]
            pids = {str(self.child(name).process.pid): name for name in present}  # type: ignore[union-attr]
            found[:] = [name for pid, name in pids.items() if text.endswith(f"/{pid}")]
            return bool(found)

        self.wait_for(is_known, what="a learner holds the run")
        return found[0]

    def manage(self, *arguments: str, **environment: str) -> str:
        return manage(self.stack, *arguments, environment={**self.common, **environment})

    def environment(self, *links: str) -> dict[str, str]:
        """Return a server process's environment that reaches PostgreSQL, Redis and the bucket through these relays."""
        more, clock = dict(self.common), self.clocks.get("server")
        for link in links:
            part = link.rpartition("-")[2]
            name = {"postgres": "DATABASE_URL", "redis": "REDIS_URL", "store": "OBJECT_STORE_URL"}[part]
            port = {"postgres": self.plan.postgres.port, "redis": self.plan.redis.port}.get(part)
            url = self.stack.environment()[name]
            more[name] = url if port is None else url.replace(f":{port}/", f":{self.links[link].port}/")
        return self.stack.environment(**more, **(clock.environment() if clock else {}))

    # --- Making it ---------------------------------------------------------------------------------------------------

    def start_servers(self) -> None:
        for name in ("web", "worker", "learner"):
            for part, port in (("postgres", self.plan.postgres.port), ("redis", self.plan.redis.port)):
                self.links[f"{name}-{part}"] = Relay(port)
        for link in self.links.values():
            link.__enter__()
        schedule = str(self.folder / "celerybeat-schedule")
        beat = [sys.executable, "-m", "celery", "-A", "sop_web.celery", "beat", "--pidfile=", "-s", schedule]
        through = {name: self.environment(f"{name}-postgres", f"{name}-redis") for name in ("web", "worker")}
        self.processes.start("web", server_command(self.stack.port), env=through["web"], stop_timeout_s=10)
        self.processes.start("worker", worker_command("fleet", "-P", "solo"), env=through["worker"])
        self.processes.start("beat", beat, env=self.environment())
        self.processes.start("hooks", worker_command("hooks", "-P", "threads", concurrency=8), env=self.environment())
        self.processes.start("data", worker_command("data", "-P", "solo"), env=self.environment())
        self.start_learner(LEARNERS[0])
        wait_until_serving(self.stack.url, self.processes)

    def start_learner(self, name: str) -> None:
        command = worker_command("learner", "-P", "solo", "--hostname", f"{name}@%h")
        self.processes.start(name, command, env=self.environment("learner-postgres", "learner-redis"))

    def start_robots(self, tokens: list[str]) -> None:
        for number, (name, token) in enumerate(zip(ROBOTS, tokens, strict=True), start=1):
            host = self.namespace.host if self.namespace and name == ROBOTS[-1] else "127.0.0.1"
            relay = self.links[f"{name}-web"] = Relay(self.stack.port, host=host)
            relay.__enter__()
            self._start_robot(name, f"http://{host}:{relay.port}", token, seed=number)
        self.wait_for(lambda: all(self.system.robot_id(name) for name in ROBOTS), what="robots enrolled")
        for name in ROBOTS:
            self.system.assign(name)

    def _start_robot(self, name: str, url: str, token: str, *, seed: int) -> None:
        state = self.system.robot_state(name)
        state.mkdir(parents=True, exist_ok=True)
        command = robot_command(self.stack, name=name, state=state, seed=seed, token=token)
        command[command.index("--server") + 1] = url
        spool = f"spool.capacity_bytes={ROBOT_MIB * 2**19}"  # the cache of versions may take more than the disk has
        settings = ["control.reset_s=0.05", spool, *SUPERVISOR]
        command += [word for setting in settings for word in ("--set", setting)]
        if self.namespace and name == ROBOTS[-1]:
            command = self.namespace.command(command)
        clock = self.clocks.get(name)
        environment = self.stack.robot_environment(OMP_NUM_THREADS="1", **(clock.environment() if clock else {}))
        self.processes.start(name, command, env=environment, stop_timeout_s=20)

    def steady(self) -> None:
        """Wait until every robot delivered an episode and the learner committed a round."""
        delivered = "SELECT count(DISTINCT robot_id) FROM fleet_episode WHERE robot_id IS NOT NULL"
        committed = "SELECT count(*) FROM fleet_traininground WHERE committed_at IS NOT NULL"
        self.wait_for(
            lambda: self.value(delivered) == len(ROBOTS) and self.value(committed) > 0,
            what="every robot delivers and the learner trains",
            timeout_s=START_S,
        )


@contextlib.contextmanager
def running_site(layout: Layout, folder: Path, *, policy: Path, demonstrations: Path) -> Iterator[Site]:
    """Everything of it, training and collecting; nothing of it is left at the end, however that comes."""
    with contextlib.ExitStack() as exits:
        plan = plan_services(folder)
        stack = Stack(data_dir=folder, port=system.free_port(), services=plan.services, speed=SPEED)
        processes = Processes(logs=folder / "logs", cwd=REPOSITORY)
        pids = {"postgres": plan.postgres.data / "postmaster.pid", "redis": plan.redis.folder / "redis.pid"}
        services = {
            "postgres": Service(lambda: run_postgres(plan.postgres), lambda: pid_in(pids["postgres"])),
            "redis": Service(lambda: run_redis(plan.redis), lambda: pid_in(pids["redis"])),
        }
        site = Site(layout, folder, stack, plan, processes, services)
        exits.callback(site.close)
        _add_store(site, exits)
        _add_machines(site, exits)
        for service in services.values():
            exits.callback(service.stop)
        services["redis"].start()
        with run_postgres(dataclasses.replace(plan.postgres, is_durable=False)):  # making the tables needs no fsync
            tokens = _fill(site, policy, demonstrations)
        services["postgres"].start()
        exits.callback(lambda: [link.__exit__(None, None, None) for link in site.links.values()])
        exits.callback(processes.stop)
        site.start_servers()
        site.start_robots(tokens)
        site.steady()
        yield site


def _add_store(site: Site, exits: contextlib.ExitStack) -> None:
    settings = {"DJANGO_SETTINGS_MODULE": "sop_web.settings.dev", **TIMERS}
    settings["SOP_STORE_REQUIRE_MARKER"] = "1"  # as in production
    settings["SOP_ALLOWED_HOSTS"] = "*"  # a robot in a namespace knows the server by another address
    objects = site.folder / "objects"
    site.store_url = f"file://{objects}"
    if site.layout.store == "s3":
        settings |= _add_bucket(site, exits)
    else:
        _add_volume(site, exits, "store", objects, size_mib=STORE_MIB)
    site.common = {**settings, "OBJECT_STORE_URL": site.store_url}


def _add_bucket(site: Site, exits: contextlib.ExitStack) -> Mapping[str, str]:
    """Start the S3 server, make its bucket, and put a relay before it under which all know it."""
    ports, running = seaweed.choose_ports(), [0]

    @contextlib.contextmanager
    def run() -> Iterator[None]:
        with seaweed.run_seaweed(site.folder / "s3", ports=ports, volumes=BUCKET_VOLUMES) as server:
            running[0] = server.pid
            yield

    service = site.services["store"] = Service(run, lambda: running[0])
    exits.callback(service.stop)
    service.start()
    admin = {"aws_access_key_id": seaweed.ADMIN_ACCESS_KEY, "aws_secret_access_key": seaweed.ADMIN_SECRET_KEY}
    endpoint = f"http://127.0.0.1:{ports['s3.port']}"
    with contextlib.closing(boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **admin)) as client:
        client.create_bucket(Bucket=seaweed.BUCKET)
    relay = site.links["all-store"] = Relay(ports["s3.port"])
    site.store_url = f"s3://{seaweed.BUCKET}/chaos?endpoint=http://127.0.0.1:{relay.port}&region=us-east-1"
    credentials = {"AWS_ACCESS_KEY_ID": seaweed.ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": seaweed.SECRET_KEY}
    exits.enter_context(mock.patch.dict(os.environ, credentials))  # the invariants read objects from here
    return credentials


def _add_machines(site: Site, exits: contextlib.ExitStack) -> None:
    """Give the second robot a disk that can be full, the third a cable, and all machines clocks where wanted."""
    if site.layout.has_clocks:
        site.clocks = {name: MachineClock(site.folder / f"{name}.clock") for name in ("server", *ROBOTS)}
        return
    if site.layout.has_small_postgres:
        _add_volume(site, exits, "postgres", site.plan.postgres.folder, size_mib=POSTGRES_MIB)
    _add_volume(site, exits, ROBOTS[1], site.system.robot_state(ROBOTS[1]), size_mib=ROBOT_MIB)
    namespace = Namespace(3)
    exits.callback(namespace.close)
    if site.layout.store == "s3":  # the bucket is known by one name, which a namespace does not reach
        return
    if namespace.make():
        site.namespace = namespace
    else:
        site.lacks["namespace"] = "network namespaces need root"


def _add_volume(site: Site, exits: contextlib.ExitStack, name: str, place: Path, *, size_mib: int) -> None:
    volume = Volume(site.folder / f"{name}-volume", place, size_mib=size_mib)
    exits.callback(volume.close)
    if volume.mount():
        site.volumes[name] = volume
    else:
        site.lacks[name] = "mounting needs root"


def _fill(site: Site, policy: Path, demonstrations: Path) -> list[str]:
    """Make tables, accounts, the run with its base and demonstrations; return the robots' tokens."""
    code = _FILL.format(
        run=RUN,
        task=TASK,
        max_steps=MAX_STEPS,
        config=CONFIG,
        policy=str(policy),
        demonstrations=str(demonstrations),
        robots=len(ROBOTS),
    )
    tokens: list[str] = json.loads(site.manage("shell", "--no-imports", "-c", code, **PASSWORDS).splitlines()[-1])
    return tokens


def moment(rng: random.Random, most_s: float) -> float:
    """Return when within a phase a fault strikes; the seed decides."""
    return rng.uniform(0.0, most_s)
