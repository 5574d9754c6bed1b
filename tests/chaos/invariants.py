"""What must hold after every fault, checked from both sides: the robots' disks, the rows, the objects' bytes.

Each check raises AssertionError in words. What takes a moment to come true (an upload on its way) is waited for, with a
bound; what must never be true is looked at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from fleet.protocol.recording import decode_manifest
from fleet.storage import ObjectStore, keys, open_store
from learner.checkpoint import decode_checkpoint
from learner.config import SamplerConfig
from tests.chaos.site import BATCH_ROWS, ROBOTS, Site
from tests.stack.harness import RUN

SETTLE_S = 90.0
_ROUNDS = """
SELECT r.index, r.start_step, r.end_step, r.ingest_upto, r.checkpoint_key, r.checkpoint_sha256, r.committed_at
FROM fleet_traininground r JOIN fleet_trainingrun t ON t.id = r.run_id WHERE t.name = %s ORDER BY r.index
"""
_VERSIONS = """
SELECT v.number, v.step, v.id::text, v.blobs FROM fleet_policyversion v JOIN fleet_trainingrun t ON t.id = v.run_id
WHERE t.name = %s ORDER BY v.number
"""
_KEY = "task_id, robot_id, policy_version_id, origin"
_ROLLUPS = f"""
WITH kept AS (
    SELECT {_KEY}, sum(episodes) AS episodes, sum(successes) AS successes, sum(frames) AS frames,
           sum(human_frames) AS human_frames, sum(interventions) AS interventions
    FROM fleet_episoderollup GROUP BY {_KEY} HAVING sum(episodes) <> 0
), counted AS (
    SELECT {_KEY}, count(*) AS episodes, count(*) FILTER (WHERE outcome = 'success') AS successes,
           sum(steps) AS frames, sum(human_steps) AS human_frames, sum(interventions) AS interventions
    FROM fleet_episode GROUP BY {_KEY}
)
SELECT (SELECT count(*) FROM (SELECT * FROM kept EXCEPT SELECT * FROM counted) AS more)
     + (SELECT count(*) FROM (SELECT * FROM counted EXCEPT SELECT * FROM kept) AS less)
"""
_STUCK_LEASES = "SELECT count(*) FROM fleet_lease WHERE released_at IS NULL AND expires_at < now() - interval '15 s'"
_OPEN_LEASES = """
SELECT count(*) FROM (
    SELECT robot_id FROM fleet_lease WHERE released_at IS NULL GROUP BY robot_id HAVING count(*) > 1
) AS two
"""
_STUCK_WORK = """
SELECT (SELECT count(*) FROM fleet_export WHERE state IN ('queued', 'running'))
     + (SELECT count(*) FROM fleet_datasetimport WHERE state IN ('checking', 'running'))
     + (SELECT count(*) FROM fleet_helprequest h WHERE closed_at IS NULL AND ranked_at < now() - interval '120 s'
        AND NOT EXISTS (SELECT 1 FROM fleet_lease l WHERE l.robot_id = h.robot_id AND l.released_at IS NULL))
"""
_FAILED_WORK = "SELECT error_code || ': ' || error_message FROM fleet_export WHERE state = 'failed'"


@dataclass
class Invariants:
    """All checks of one site. `hashed`: episodes whose bytes were compared already."""

    site: Site
    hashed: set[str] = field(default_factory=set)
    drawn: tuple[int, int] = (0, 0)  # online rows and steps of the checkpoint looked at last
    swept: int = 0  # sweeps when the present check began: while others are checked the next one comes

    def check(self) -> int:
        """Run every check; return how many. Raises: AssertionError that names the first that does not hold."""
        self.swept = self._sweeps()
        for name, check in self._all():
            with _named(name):
                check()
        return len(self._all())

    def _all(self) -> list[tuple[str, Callable[[], None]]]:
        return [
            ("closed = registered", self._closed_are_registered),
            ("none doubled", self._none_doubled),
            ("every object's SHA-256", self._objects_are_whole),
            ("one writer a run", self._one_writer),
            ("sampler and counters", self._sampler_fits),
            ("roll-ups", self._rollups_fit),
            ("one lease a robot", self._leases_fit),
            ("version on every robot", self._versions_fit),
            ("nothing stuck", self._nothing_stuck),
            ("no orphans", self._no_orphans),
        ]

    @cached_property
    def _store(self) -> ObjectStore:
        return open_store(self.site.store_url)

    # --- Episodes ----------------------------------------------------------------------------------------------------

    def _closed_are_registered(self) -> None:
        """What was closed is registered soon, nothing else is, and nothing was refused."""
        system = self.site.system
        for name in ROBOTS:
            closed = set(system.closed(name))
            self.site.wait_for(
                lambda name=name, closed=closed: closed <= set(system.registered(name)),  # type: ignore[misc]
                what=f"what {name} closed is registered",
                timeout_s=SETTLE_S,
            )
            registered = set(system.registered(name))
            unknown = registered - set(system.closed(name))  # read after the rows: closing comes before registering
            assert not unknown, f"{name} never closed {sorted(unknown)[:3]}"
            refused = [path.name for path in (system.robot_state(name) / "spool" / "refused").glob("*")]
            assert not refused, f"{name}: the server refused {refused[:3]} for good"

    def _none_doubled(self) -> None:
        for name in ROBOTS:
            closed = self.site.system.closed(name)
            assert len(closed) == len(set(closed)), f"{name} closed an episode twice"
        rows, seqs, newest, seeds = self.site.rows(
            "SELECT count(*), count(DISTINCT index_seq), max(index_seq), count(DISTINCT (robot_id, started_at, seed)) "
            "FROM fleet_episode"
        )[0]
        assert rows == seqs == newest, f"{rows} episodes are numbered to {newest}"
        assert seeds == rows, f"{rows - seeds} episodes are there under two ids"

    def _objects_are_whole(self) -> None:
        """Every object of every episode is read back from the store, once; the manifests are as the rows say."""
        episodes = "SELECT id::text, manifest_key, manifest_sha256 FROM fleet_episode"
        for episode_id, key, sha256 in self.site.rows(episodes):
            if episode_id in self.hashed:
                continue
            data = self._store.get(key)
            assert hashlib.sha256(data).hexdigest() == sha256, f"manifest of {episode_id}"
            for record in decode_manifest(data).objects:
                found = self._store.digest(keys.episode_object(episode_id, record.name))
                assert found == (record.size, record.sha256), f"{record.name} of {episode_id}"
            self.hashed.add(episode_id)

    def check_at_rest(self) -> None:
        """Let robots deliver all they have; then both sides must be equal, and everything is read once more."""
        for name in ROBOTS:
            closed = self.site.system.deliver_all(name, timeout_s=SETTLE_S)
            registered = self.site.system.registered(name)
            assert sorted(closed) == sorted(registered), f"{name}: closed differs from registered"
        self.hashed.clear()  # a later fault may have harmed what was whole
        self.check()

    # --- Learning ----------------------------------------------------------------------------------------------------

    def _one_writer(self) -> None:
        """Rounds follow on each other without gap or overlap, and each step was published once at most."""
        state, failure = self.site.rows("SELECT state, failure_message FROM fleet_trainingrun WHERE name = %s", RUN)[0]
        assert state == "running", f"the run is {state}: {failure}"
        rounds = self.site.rows(_ROUNDS, RUN)
        assert [row[0] for row in rounds] == list(range(len(rounds))), "a round is missing"
        for before, after in itertools.pairwise(rounds):
            assert before[6] is not None and before[2] == after[1], f"round {after[0]} does not follow {before[0]}"
        versions = self.site.rows(_VERSIONS, RUN)
        assert [row[0] for row in versions] == list(range(len(versions))), "a version's number is missing"
        steps = [row[1] for row in versions]
        assert steps == sorted(set(steps)), "two versions of one step"

    def _sampler_fits(self) -> None:
        """The newest checkpoint is the row's, its counters are those of its step, and it left no episode out."""
        committed = [row for row in self.site.rows(_ROUNDS, RUN) if row[6] is not None]
        _, _, end_step, upto, key, sha256, _ = committed[-1]
        data = self._store.get(key)
        assert hashlib.sha256(data).hexdigest() == sha256, "the checkpoint differs from its hash"
        header, _ = decode_checkpoint(data)
        assert (header.step, header.cursor) == (end_step, upto), "the checkpoint is of another round"
        assert not header.replay.get("unreadable"), f"left out as unreadable: {list(header.replay['unreadable'])[:3]}"
        drawn, steps = header.replay["drawn_rows"] - self.drawn[0], header.step - self.drawn[1]
        assert 0 <= drawn <= steps * BATCH_ROWS, f"{drawn} online rows drawn in {steps} steps"
        self.drawn = header.replay["drawn_rows"], header.step
        longest = max((len(losses) for _, _, losses in header.sampler), default=0)
        assert 0 < longest <= SamplerConfig().window, f"a window of {longest} losses"
        early = self.site.value("SELECT count(*) FROM fleet_episode WHERE first_sampled_at < indexed_at")
        open_upto = max(row[3] for row in self.site.rows(_ROUNDS, RUN))
        late = self.site.value(
            "SELECT count(*) FROM fleet_episode WHERE first_sampled_at IS NOT NULL AND index_seq > %s", open_upto
        )
        assert (0 if self.site.layout.has_clocks else early, late) == (0, 0), "sampled before it was ingested"

    def _rollups_fit(self) -> None:
        assert self.site.value(_ROLLUPS) == 0, "the charts' sums differ from the rows"

    # --- Robots ------------------------------------------------------------------------------------------------------

    def _leases_fit(self) -> None:
        assert self.site.value(_OPEN_LEASES) == 0, "two open leases of one robot"
        self.site.wait_for(lambda: self.site.value(_STUCK_LEASES) == 0, what="lapsed leases end", timeout_s=SETTLE_S)

    def _versions_fit(self) -> None:
        """Each robot drives with a version that the server assigned and knows of, and its bytes are the published."""
        assigned = {row[2]: row for row in self.site.rows(_VERSIONS, RUN)}
        least = max(row[0] for row in assigned.values())
        for name in ROBOTS:
            path = self.site.system.robot_state(name) / "policies" / "current.json"
            self.site.wait_for(
                lambda name=name, path=path: self._is_on_version(name, path, least),  # type: ignore[misc]
                what=f"{name} drives with version {least} or newer, and the server knows",
                timeout_s=SETTLE_S,
            )

    def _is_on_version(self, name: str, path: Path, least: int) -> bool:
        driven = json.loads(path.read_text())["manifest"]["version_id"]
        known = self.site.rows(
            "SELECT v.number, v.blobs, r.policy_version_id::text, d.applied_at IS NOT NULL FROM fleet_policyversion v "
            "JOIN fleet_robot r ON r.name = %s "
            "JOIN fleet_policydeployment d ON d.robot_id = r.id AND d.version_id = v.id WHERE v.id = %s",
            name, driven,
        )  # fmt: skip
        if not known or known[0][0] < least or known[0][2] != driven or not known[0][3]:
            return False
        blobs = path.parent / "blobs"
        with contextlib.suppress(FileNotFoundError):  # evicted: a newer one is there already
            for sha256, size in known[0][1].items():
                data = (blobs / f"{sha256}.safetensors").read_bytes()
                found = (hashlib.sha256(data).hexdigest(), len(data))
                assert found == (sha256, size), f"{name} drives with other bytes than version {driven} has"
            return True
        return False

    def _nothing_stuck(self) -> None:
        """No export, import or help item waits for nobody, and what looks after them is asked for again and again."""
        self.site.wait_for(lambda: self.site.value(_STUCK_WORK) == 0, what="nothing is stuck", timeout_s=SETTLE_S)
        failed = self.site.rows(_FAILED_WORK)
        assert not failed, f"an export failed: {failed[0][0]}"
        self.site.wait_for(lambda: self._sweeps() > self.swept, what="fleet.reap runs again", timeout_s=SETTLE_S)

    def _sweeps(self) -> int:
        return self.site.system.log("worker").count("Task fleet.reap[")

    # --- Objects -----------------------------------------------------------------------------------------------------

    def _no_orphans(self) -> None:
        """What lies under `episodes/` is registered or still on its way from the robot that closed it."""
        stored = {key.split("/")[1] for key in self._store.list(keys.EPISODES)}
        known = {row[0] for row in self.site.rows("SELECT id::text FROM fleet_episode")}
        under_way = {i for name in ROBOTS for i in self.site.system.closed(name)}
        strays = stored - known - under_way
        assert not strays, f"objects of episodes that nobody closed: {sorted(strays)[:3]}"


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"invariant '{name}': {error}") from None
