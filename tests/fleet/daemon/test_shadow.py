"""A candidate beside the version that drives: it proposes, is measured, and moves nothing; refusals; restarts."""

from __future__ import annotations

import dataclasses
import inspect
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet.daemon import shadow_process, shadow_run
from fleet.daemon import shadow_wire as wire
from fleet.daemon.config_report import ShadowConfig
from fleet.daemon.episode import EpisodeSpec
from fleet.daemon.policy_host import build_policy
from fleet.protocol.messages import EpisodeReady, PolicyKey, ShadowReport, ShadowState, ShadowWish
from fleet.protocol.policy import Observation, decode_policy_manifest, policy_statement, shadow_statement
from fleet.protocol.steps import decode_steps
from tests.fleet.daemon.harness import running
from tests.fleet.daemon.loop_made import runner, spec
from tests.fleet.daemon.peer import Peer
from tests.fleet.daemon.point import ConstantPolicy, PointDriver
from tests.fleet.waiting import until
from tests.stack.policies import write_random_policy

SLOW = ("control.speed_factor=4", "shadow.drain_s=5")  # so that the process answers at least once an episode


def states(peer: Peer) -> list[str]:
    return [report.state.value for report in peer.of(ShadowReport)]


def executed(peer: Peer) -> Any:
    """Return the actions of all registered episodes, [n, 2]."""
    paths = [f"/objects/episodes/{episode_id}/steps.parquet" for episode_id in peer.registrations]
    return np.concatenate([decode_steps(peer.objects[path])["action"] for path in paths])


async def test_it_proposes_and_is_never_executed(peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 1 pushes by 0.75; the shadow would pull by -1. Each proposal is 1.75 / sqrt(2) away on two axes."""
    peer.update(assignments=(peer.task(max_steps=20),))
    peer.publish(1, dx=0.75)
    order = peer.shadow(2, dx=-1.0)
    driver = PointDriver()
    async with running(peer, tmp_path, monkeypatch, *SLOW, driver=driver):
        await until(lambda: len(peer.shadowed) >= 2, timeout_s=90)
        assert set(peer.registered) >= set(peer.shadowed)
    assert states(peer)[0] == "fetching" and "running" in states(peer)
    for found in peer.shadowed.values():
        assert found.shadow_id == order.shadow_id
        assert 1 <= found.answered <= found.asked == found.instants
        assert found.policy.proposals == found.answered
        assert found.policy.total / found.policy.proposals == pytest.approx(1.75 / np.sqrt(2), abs=1e-5)
        assert found.human.proposals == found.own.proposals == 0
    assert {float(action[0]) for action in driver.applied} == {0.75}, "the driver was never sent anything else"
    assert set(executed(peer)[:, 0].tolist()) == {0.75}


async def test_nothing_comes_back_from_an_onlooker() -> None:
    """By type: what the loop calls returns None. By deed: a run with a lying onlooker is the run without one."""
    for name in ("begin", "look"):
        for owner in (shadow_run.Onlooker, shadow_run.ShadowRun):
            assert inspect.signature(getattr(owner, name)).return_annotation == "None"

    class Liar:
        looks: list[int] = []

        def begin(self, spec: EpisodeSpec, *, is_free: bool) -> Any:
            return np.array([-1.0, -1.0], np.float32)

        def look(self, step: int, observation: Observation) -> Any:
            self.looks.append(step)
            return np.array([-1.0, -1.0], np.float32)

    alone = runner().run(spec(), ConstantPolicy(dx=0.5))
    watched = runner(onlooker=Liar()).run(spec(), ConstantPolicy(dx=0.5))
    assert {name: column.tolist() for name, column in watched.arrays.items() if not name.endswith("_ms")} == {
        name: column.tolist() for name, column in alone.arrays.items() if not name.endswith("_ms")
    }
    assert Liar.looks[:3] == [0, 3, 6], "the executing policy's own instants: chunks of three"


def test_it_sees_the_same_observation() -> None:
    """Also where the driver reuses its buffers."""

    class Reusing(PointDriver):
        def observe(self) -> Observation:
            found = super().observe()
            self.image = getattr(self, "image", found.images["front"])
            self.image[:] = found.images["front"]
            return Observation(images={"front": self.image}, state=found.state)

    class Seeing(ConstantPolicy):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[bytes] = []

        def infer(self, observation: Observation) -> Any:
            self.seen.append(observation.images["front"].tobytes() + observation.state.tobytes())
            return super().infer(observation)

    class Looking:
        def __init__(self) -> None:
            self.seen: list[Observation] = []

        def begin(self, spec: EpisodeSpec, *, is_free: bool) -> None:
            pass

        def look(self, step: int, observation: Observation) -> None:
            self.seen.append(observation)

    policy, onlooker = Seeing(), Looking()
    runner(Reusing(), onlooker=onlooker).run(spec(), policy)
    assert [found.images["front"].tobytes() + found.state.tobytes() for found in onlooker.seen] == policy.seen


class _Slow:
    """A shadow process that never answers in time."""

    def __init__(self, config: ShadowConfig) -> None:
        pass

    def __enter__(self) -> _Slow:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def load(self, load: object) -> None:
        pass

    def hang_up(self) -> None:
        pass

    def ask(self, look: object) -> Any:
        time.sleep(0.5)
        raise shadow_process.ShadowDied("no answer within 0 s")


def _run(peer_order: Any, config: ShadowConfig, told: list[Any]) -> shadow_run.ShadowRun:
    return shadow_run.ShadowRun(peer_order, None, config, lambda *what: told.append(what))  # type: ignore[arg-type]


def test_a_slow_shadow_costs_proposals_and_no_time(monkeypatch: pytest.MonkeyPatch, peer: Peer) -> None:
    """With nobody answering, twenty instants take no longer than copying them; all are counted, none is answered."""
    monkeypatch.setattr(shadow_run, "ShadowProcess", _Slow)
    told: list[Any] = []
    run = _run(peer.shadow(2, dx=0.1), ShadowConfig(drain_s=0.0), told)
    run.start()
    deadline = time.monotonic() + 20
    while not told and time.monotonic() < deadline:
        time.sleep(0.01)
    began_s = time.thread_time()
    recording = runner(onlooker=run).run(spec(max_steps=60), ConstantPolicy(dx=0.01))
    assert time.thread_time() - began_s < 2.0
    found = run.summary(recording)
    run.stop()
    run.join()
    assert found is not None
    assert (found.instants, found.asked, found.answered) == (20, 20, 0)
    assert run.summary(recording) is None, "asked once"


def test_a_share_asks_at_evenly_spread_instants(monkeypatch: pytest.MonkeyPatch, peer: Peer) -> None:
    monkeypatch.setattr(shadow_run, "ShadowProcess", _Slow)
    told: list[Any] = []
    run = _run(peer.shadow(2, dx=0.1, share=0.25), ShadowConfig(drain_s=0.0), told)
    run.start()
    deadline = time.monotonic() + 20
    while not told and time.monotonic() < deadline:
        time.sleep(0.01)
    found = run.summary(runner(onlooker=run).run(spec(max_steps=60), ConstantPolicy(dx=0.01)))
    run.stop()
    run.join()
    assert found is not None and (found.instants, found.asked) == (20, 5)


def test_no_shadow_begins_under_a_person_or_beside_itself(monkeypatch: pytest.MonkeyPatch, peer: Peer) -> None:
    """The update lock: not across a lease. And the version that drives is no shadow of itself."""
    monkeypatch.setattr(shadow_run, "ShadowProcess", _Slow)
    told: list[Any] = []
    order = peer.shadow(2, dx=0.1)
    run = _run(order, ShadowConfig(drain_s=0.0), told)
    run.start()
    deadline = time.monotonic() + 20
    while not told and time.monotonic() < deadline:
        time.sleep(0.01)
    observation = PointDriver().observe()
    run.begin(spec(), is_free=False)
    assert run._trace is None
    run.begin(spec(policy_version_id=order.policy.version_id), is_free=True)
    assert run._trace is None
    run.begin(spec(), is_free=True)
    run.look(0, observation)
    run.begin(spec(episode_id="00000000-0000-4000-8000-000000000002"), is_free=False)
    assert run._trace is not None, "one that looks goes on while a person drives on"
    run.stop()
    run.join()


async def test_its_episodes_are_bounded_and_it_says_when_it_is_done(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer.update(assignments=(peer.task(max_steps=20),))
    peer.publish(1, dx=0.75)
    peer.shadow(2, dx=0.5, max_episodes=1)
    async with running(peer, tmp_path, monkeypatch, *SLOW):
        await until(lambda: "ended" in states(peer), timeout_s=90)
        known = len(peer.registered)
        await until(lambda: len(peer.registered) >= known + 2, timeout_s=60)
    assert peer.of(ShadowReport)[-1].episodes == 1
    assert len([found for found in peer.shadowed.values() if found.answered]) == 1


async def test_a_restart_without_a_server_goes_on(peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the version nor the count is lost, and what was proposed meanwhile is delivered later."""
    peer.update(assignments=(peer.task(max_steps=20),))
    peer.publish(1, dx=0.75)
    peer.shadow(2, dx=0.5)
    async with running(peer, tmp_path, monkeypatch, *SLOW):
        await until(lambda: any(found.answered for found in peer.shadowed.values()), timeout_s=90)
    known = set(peer.shadowed)
    gets = len([path for _, path, _ in peer.requests if path.startswith("/objects/manifest-2")])

    def has_shadowed_alone() -> bool:
        return any((tmp_path / "spool" / "pending").glob("*/shadow.json"))

    async with running("http://127.0.0.1:9", tmp_path, monkeypatch, *SLOW):
        await until(has_shadowed_alone, timeout_s=90)
    async with running(peer, tmp_path, monkeypatch, *SLOW):
        await until(lambda: set(peer.shadowed) - known, timeout_s=60)
    assert len([path for _, path, _ in peer.requests if path.startswith("/objects/manifest-2")]) == gets


@pytest.mark.parametrize(
    ("changes", "setting", "code"),
    [
        ({"architecture": "of-tomorrow"}, "", "unknown_architecture"),
        ({"dx": float("nan")}, "", "probe_failed"),
        ({"padding": 40_000}, "policy.cache_bytes=100000", "shadow_disk"),
        ({}, "policy.unsigned=never", "untrusted"),
    ],
)
async def test_what_cannot_be_shadowed_is_refused_with_a_code(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], setting: str, code: str
) -> None:
    """And the robot works on with what it drives with."""
    peer.shadow(2, **({"dx": 0.5} | changes))
    async with running(peer, tmp_path, monkeypatch, *((setting,) if setting else ())):
        await until(lambda: "refused" in states(peer), timeout_s=90)
    report = peer.of(ShadowReport)[-1]
    assert (report.state, report.code) == (ShadowState.REFUSED, code)
    assert not peer.shadowed


async def test_a_policy_that_needs_too_much_memory_is_refused_before_it_is_fetched(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.daemon.shadow._available_bytes", lambda: 10_000)
    order = peer.shadow(2, dx=0.5, padding=4000)
    async with running(peer, tmp_path, monkeypatch):
        await until(lambda: "refused" in states(peer))
    assert peer.of(ShadowReport)[-1].code == "shadow_memory"
    assert not [path for _, path, _ in peer.requests if path in order.policy.blob_urls.values()]


async def test_an_order_to_shadow_is_no_order_to_drive(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signed for the one it is refused as the other, both ways."""
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw().hex()
    peer.update(policy_keys=(PolicyKey(public=public),))
    order = peer.shadow(2, dx=0.5)
    target = order.policy

    def signed(statement: Any) -> Any:
        names = {"robot_id": "robot-1", "version_id": target.version_id, "number": target.number}
        data = statement(manifest_sha256=target.manifest_sha256, epoch=9, **names)
        return msgspec.structs.replace(target, key=public, epoch=9, signature=private.sign(data).hex())

    peer.update(
        policy=signed(shadow_statement),
        shadow=ShadowWish(order=msgspec.structs.replace(order, policy=signed(policy_statement))),
    )
    async with running(peer, tmp_path, monkeypatch, "policy.unsigned=never") as daemon:
        await until(lambda: "refused" in states(peer))
        await until(lambda: peer.status is not None and peer.status.activity == "idle")
        assert daemon._host.version_id is None
        assert peer.of(ShadowReport)[-1].code == "untrusted"
        peer.update(shadow=ShadowWish(order=msgspec.structs.replace(order, policy=signed(shadow_statement))))
        await until(lambda: states(peer)[-1] == "running", timeout_s=90)


async def test_an_order_that_is_withdrawn_ends_the_process(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer.shadow(2, dx=0.5)
    async with running(peer, tmp_path, monkeypatch) as daemon:
        await until(lambda: states(peer)[-1:] == ["running"], timeout_s=90)
        run = daemon._shadow._run
        assert run is not None
        peer.update(shadow=ShadowWish())
        await until(lambda: not run._thread.is_alive())
        assert not (tmp_path / "policies" / "shadow.json").exists()


async def test_a_server_that_knows_of_no_shadows_hears_nothing_of_them(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was put back to the release before: what waits in the spool must not break its link."""
    peer.update(assignments=(peer.task(max_steps=20),))
    peer.publish(1, dx=0.75)
    peer.shadow(2, dx=0.5)
    async with running(peer, tmp_path, monkeypatch, *SLOW):
        await until(lambda: any(found.answered for found in peer.shadowed.values()), timeout_s=90)
        peer.deaf_to.add(EpisodeReady)
        await until(lambda: any((tmp_path / "spool" / "pending").glob("*/shadow.json")), timeout_s=60)
    known, told = set(peer.registered), len(peer.of(ShadowReport))
    peer.deaf_to.clear()
    peer.received.clear()
    peer.update(shadow=msgspec.UNSET)
    async with running(peer, tmp_path, monkeypatch):
        await until(lambda: set(peer.registered) - known, timeout_s=60)
    assert told and not peer.of(ShadowReport)
    assert all(ready.shadow is msgspec.UNSET for ready in peer.of(EpisodeReady))


async def test_a_daemon_says_whether_it_shadows(peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(peer, tmp_path, monkeypatch) as daemon:
        assert "shadow" in daemon._hello().capabilities
        daemon._config = dataclasses.replace(daemon._config, shadow=ShadowConfig(is_enabled=False))
        assert "shadow" not in daemon._hello().capabilities


def test_a_real_network_proposes_what_it_would_do(tmp_path: Path) -> None:
    """The real process with the demo's architecture: equal to the same weights, seed and pictures in this process."""
    folder = write_random_policy(tmp_path, seed=4)
    manifest = decode_policy_manifest((folder / "manifest.json").read_bytes())
    paths = {blob.sha256: folder / f"{blob.sha256}.safetensors" for blob in manifest.blobs}
    rng = np.random.default_rng(6)
    pictures = {each.name: rng.integers(0, 255, (each.height, each.width, 3), np.uint8) for each in manifest.cameras}
    seen = Observation(images=pictures, state=rng.standard_normal(manifest.proprio_dim).astype(np.float32))
    config = ShadowConfig(nice=0, load_timeout_s=300, answer_timeout_s=60)
    load = wire.Load(manifest, {key: str(path) for key, path in paths.items()}, "cpu", 1, config.memory_bytes, 0)
    with shadow_process.ShadowProcess(config) as process:
        process.load(load)
        answer = process.ask(wire.look_of(seen, episode_id="e", instruction="close the box", seed=5))
    own = build_policy(manifest, paths, device="cpu", threads=1)
    own.reset(instruction="close the box", seed=5)
    assert answer.actions is not None and answer.inference_ms > 0
    assert wire.unpacked(answer.actions).tolist() == own.infer(seen).actions.tolist()


def test_a_limit_of_memory_too_small_for_a_network_is_said(tmp_path: Path) -> None:
    folder = write_random_policy(tmp_path, seed=4)
    manifest = decode_policy_manifest((folder / "manifest.json").read_bytes())
    paths = {blob.sha256: str(folder / f"{blob.sha256}.safetensors") for blob in manifest.blobs}
    config = ShadowConfig(load_timeout_s=300)
    load = wire.Load(manifest, paths, "cpu", 1, 24 * 1024**2, 0)
    with shadow_process.ShadowProcess(config) as process, pytest.raises(shadow_process.ShadowRefused) as caught:
        process.load(load)
    assert caught.value.code == "shadow_memory"
