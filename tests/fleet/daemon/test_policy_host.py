"""Policy versions on a robot: fetched with ranges, verified, probed, swapped between episodes, refused with a code."""

from __future__ import annotations

import hashlib
import itertools
import types
from pathlib import Path

import msgspec
import numpy as np
import pytest

from fleet.daemon.policy_host import probe_policy
from fleet.protocol.errors import ProbeFailed
from fleet.protocol.messages import Hello, PolicyApplied, PolicyPatch, PolicyRefused, PolicyTarget, Resync
from fleet.protocol.patch import write_patch
from fleet.protocol.policy import ActionChunk, Observation, decode_policy_manifest, encode_policy_manifest
from tests.fleet.daemon.harness import closed_ids, running
from tests.fleet.daemon.peer import Peer
from tests.fleet.daemon.point import ConstantPolicy
from tests.fleet.daemon.point_policy import make_version
from tests.fleet.waiting import until


def gets(peer: Peer, url: str) -> list[str]:
    """Return the Range headers of the GETs of an object."""
    return [header for method, path, header in peer.requests if method == "GET" and path == url]


async def test_versions_are_swapped_between_episodes(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first version the robot waits; every episode carries exactly one version, and each is reported."""
    peer.update(assignments=(peer.task(),))
    async with running(peer, tmp_path, monkeypatch):
        await until(lambda: peer.status is not None and peer.status.activity == "waiting_policy")
        assert closed_ids(tmp_path) == []
        first = peer.publish(1, dx=0.7)
        await until(lambda: len(peer.registered) >= 2)
        second = peer.publish(2, dx=0.9)
        await until(lambda: any(m.policy_version_id == second for m in list(peer.registered.values())))
    applied = peer.of(PolicyApplied)
    assert [report.version_id for report in applied] == [first, second]
    assert all(report.fetched_bytes > 0 and report.applied_ns >= report.fetched_ns for report in applied)
    order = [peer.registered[episode_id].policy_version_id for episode_id in peer.registrations]
    assert order == sorted(order, key=[first, second].index)


async def test_a_wall_clock_that_is_set_back_costs_no_report(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server refuses times that run backwards, and would not know what the robot drives with."""
    earlier_and_earlier = itertools.count(2_000_000_000_000_000_000, -1_000_000_000)
    clock = types.SimpleNamespace(time_ns=lambda: next(earlier_and_earlier))
    monkeypatch.setattr("fleet.daemon.policy_host.time", clock)
    peer.update(assignments=(peer.task(),))
    async with running(peer, tmp_path, monkeypatch):
        peer.publish(1, dx=0.7)
        await until(lambda: peer.of(PolicyApplied))
    (report,) = peer.of(PolicyApplied)
    assert report.applied_ns == report.fetched_ns


async def test_an_interrupted_download_goes_on_where_it_stopped(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer.update(assignments=(peer.task(),))
    peer.cut_gets_at = 30_000
    target, _ = make_version(1, dx=0.7, padding=20_000)
    peer.publish(1, dx=0.7, padding=20_000)
    async with running(peer, tmp_path, monkeypatch):
        await until(lambda: peer.of(PolicyApplied))
    (url,) = target.blob_urls.values()
    assert gets(peer, url) == ["", f"bytes=30000-{len(peer.objects[url]) - 1}"]
    assert peer.of(PolicyApplied)[0].fetched_bytes == len(peer.objects[url])


async def test_a_corrupted_blob_is_refused_and_the_old_policy_goes_on(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fetched twice, refused once, not tried again; the next sound version is taken."""
    peer.update(assignments=(peer.task(),))
    good = peer.publish(1, dx=0.7)
    target, _ = make_version(2, dx=0.9)
    (url,) = target.blob_urls.values()
    peer.corrupt.add(url)
    async with running(peer, tmp_path, monkeypatch):
        await until(lambda: peer.of(PolicyApplied))
        bad = peer.publish(2, dx=0.9)
        await until(lambda: peer.of(PolicyRefused))
        known = len(peer.registered)
        await until(lambda: len(peer.registered) >= known + 3)
        assert {m.policy_version_id for m in peer.registered.values()} == {good}
        assert len(gets(peer, url)) == 2
        third = peer.publish(3, dx=0.8)
        await until(lambda: len(peer.of(PolicyApplied)) == 2)
    (refusal,) = peer.of(PolicyRefused)
    assert (refusal.version_id, refusal.code) == (bad, "artifact_mismatch")
    assert peer.of(PolicyApplied)[-1].version_id == third
    assert not list((tmp_path / "policies/blobs").glob("*.part"))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"architecture": "of-tomorrow"}, "unknown_architecture"),
        ({"dx": float("nan")}, "probe_failed"),
    ],
)
async def test_a_version_this_robot_cannot_run_is_refused(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], code: str
) -> None:
    peer.update(assignments=(peer.task(),))
    async with running(peer, tmp_path, monkeypatch):
        bad = peer.publish(1, **({"dx": 0.5} | changes))  # type: ignore[arg-type]
        await until(lambda: peer.of(PolicyRefused))
        await until(lambda: peer.status is not None and peer.status.activity == "waiting_policy")
    (refusal,) = peer.of(PolicyRefused)
    assert (refusal.version_id, refusal.code) == (bad, code)
    assert closed_ids(tmp_path) == []


async def test_a_manifest_with_other_bytes_or_shapes_is_refused(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A manifest that hashes differently, and one whose dimensions are another robot's: no blob is even fetched."""
    target, files = make_version(1, dx=0.5)
    peer.objects.update(files)
    peer.update(policy=msgspec.structs.replace(target, manifest_sha256="0" * 64))
    other, more = make_version(2, dx=0.6)
    manifest = decode_policy_manifest(more[other.manifest_url])
    encoded = encode_policy_manifest(msgspec.structs.replace(manifest, action_dim=7))
    async with running(peer, tmp_path, monkeypatch):
        await until(lambda: len(peer.of(PolicyRefused)) == 1)
        peer.objects.update(more | {other.manifest_url: encoded})
        peer.update(policy=msgspec.structs.replace(other, manifest_sha256=hashlib.sha256(encoded).hexdigest()))
        await until(lambda: len(peer.of(PolicyRefused)) == 2)
    assert [refusal.code for refusal in peer.of(PolicyRefused)] == ["artifact_mismatch", "probe_failed"]
    assert not any(gets(peer, url) for item in (target, other) for url in item.blob_urls.values())


async def test_urls_that_are_gone_are_asked_for_again(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 404 is no refusal: the robot asks for the state again and uses the fresh URLs."""
    target, files = make_version(1, dx=0.5)
    peer.update(policy=target)
    async with running(peer, tmp_path, monkeypatch):
        await until(lambda: peer.of(Resync))
        assert not peer.of(PolicyRefused)
        peer.objects.update({f"{path}-new": data for path, data in files.items()})
        blob_urls = {sha256: f"{url}-new" for sha256, url in target.blob_urls.items()}
        peer.update(
            policy=msgspec.structs.replace(target, manifest_url=f"{target.manifest_url}-new", blob_urls=blob_urls),
            assignments=(peer.task(),),
        )
        await until(lambda: peer.of(PolicyApplied))


async def test_a_version_that_is_gone_is_asked_for_with_back_off(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every answer carries fresh URLs, which must not cut the waiting short; another version does."""
    target, _ = make_version(1, dx=0.5)
    peer.update(policy=target, assignments=(peer.task(),))
    slow = ("policy.backoff_min_s=30", "policy.backoff_max_s=30")
    async with running(peer, tmp_path, monkeypatch, *slow) as daemon:
        await until(lambda: peer.of(Resync))
        for number in range(5):
            peer.update(policy=msgspec.structs.replace(target, manifest_url=f"{target.manifest_url}-{number}"))
            await until(lambda: daemon._host._target.manifest_url.endswith(f"-{number}"))  # noqa: B023
        peer.publish(2, dx=0.6)
        await until(lambda: peer.of(PolicyApplied))
    assert len(peer.of(Resync)) == 1
    assert [gets(peer, f"{target.manifest_url}-{number}") for number in range(5)] == [[]] * 5


async def test_a_restart_restores_the_last_policy_and_says_so(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blob is not fetched again; a blob that rotted on disk meanwhile is."""
    peer.update(assignments=(peer.task(),))
    version = peer.publish(1, dx=0.7)
    target, _ = make_version(1, dx=0.7)
    ((sha256, url),) = target.blob_urls.items()
    async with running(peer, tmp_path, monkeypatch):
        await until(lambda: len(peer.registered) >= 1)
    async with running(peer, tmp_path, monkeypatch):
        await until(lambda: len(peer.of(Hello)) >= 2)
    assert peer.of(Hello)[-1].policy_version_id == version
    assert len(gets(peer, url)) == 1
    blob = tmp_path / "policies" / "blobs" / f"{sha256}.safetensors"
    blob.write_bytes(blob.read_bytes()[:-1] + b"\x01")
    async with running(peer, tmp_path, monkeypatch):
        await until(lambda: len(gets(peer, url)) == 2)
        await until(lambda: len(peer.of(PolicyApplied)) == 2)
    assert peer.of(Hello)[-1].policy_version_id is None


@pytest.mark.parametrize("broken", ["shape", "nan", "steps"])
def test_the_probe_sees_wrong_answers(broken: str) -> None:
    target, files = make_version(1, dx=0.5)
    manifest = decode_policy_manifest(files[target.manifest_url])

    class Broken(ConstantPolicy):
        execute_steps = 7 if broken == "steps" else 3

        def infer(self, observation: Observation) -> ActionChunk:
            actions = super().infer(observation).actions
            if broken == "shape":
                return ActionChunk(actions[:, :1])
            if broken == "nan" and observation.state.any():
                return ActionChunk(actions * np.nan)
            return ActionChunk(actions)

    probe_policy(ConstantPolicy(), manifest)
    with pytest.raises(ProbeFailed):
        probe_policy(Broken(), manifest)


def _with_patch(peer: Peer, base: bytes, new: PolicyTarget, files: dict[str, bytes], tmp_path: Path) -> PolicyTarget:
    """Serve a patch from `base` to the blob of `new` and name it in the target."""
    ((sha256, url),) = new.blob_urls.items()
    (tmp_path / "base").write_bytes(base)
    (tmp_path / "new").write_bytes(files[url])
    with (tmp_path / "patch").open("wb") as file:
        write_patch(tmp_path / "base", tmp_path / "new", file)
    data = (tmp_path / "patch").read_bytes()
    peer.objects.update(files | {"/objects/patch": data})
    patch = PolicyPatch(
        base=hashlib.sha256(base).hexdigest(),
        url="/objects/patch",
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )
    return msgspec.structs.replace(new, patches={sha256: patch})


@pytest.mark.parametrize("is_damaged", [False, True])
async def test_a_robot_that_holds_the_version_before_fetches_the_difference(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_damaged: bool
) -> None:
    """A damaged patch costs its bytes and nothing else: the blob is then fetched whole."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    first, files = make_version(1, dx=0.7, padding=20_000)
    second, more = make_version(2, dx=0.9, padding=20_000)
    ((_, whole),) = second.blob_urls.items()
    peer.objects.update(files)
    peer.update(assignments=(peer.task(),), policy=first)
    async with running(peer, tmp_path, monkeypatch):
        await until(lambda: peer.of(PolicyApplied))
        target = _with_patch(peer, files[next(iter(first.blob_urls.values()))], second, more, scratch)
        if is_damaged:
            peer.corrupt.add("/objects/patch")
        peer.update(policy=target)
        await until(lambda: len(peer.of(PolicyApplied)) == 2)
    report = peer.of(PolicyApplied)[1]
    assert bool(gets(peer, whole)) is is_damaged
    size = len(more[whole])
    assert report.fetched_bytes == (size if is_damaged else next(iter(target.patches.values())).size)
    assert is_damaged or report.fetched_bytes < 0.6 * size
    assert not list((tmp_path / "policies" / "blobs").glob("*.patch*"))


async def test_a_busy_server_is_asked_again_when_it_said(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ "Later" is no failure: no fresh URLs are asked for, nothing is refused, and a newer version needs no waiting."""
    peer.later_s = 60
    peer.update(assignments=(peer.task(),))
    peer.publish(1, dx=0.7, padding=20_000)
    async with running(peer, tmp_path, monkeypatch):
        target, _ = make_version(1, dx=0.7, padding=20_000)
        (url,) = target.blob_urls.values()
        await until(lambda: gets(peer, url))
        peer.later_s = None
        second = peer.publish(2, dx=0.9, padding=20_000)
        await until(lambda: peer.of(PolicyApplied))
    assert len(gets(peer, url)) == 1
    assert [report.version_id for report in peer.of(PolicyApplied)] == [second]
    assert not peer.of(Resync) and not peer.of(PolicyRefused)


async def test_a_busy_server_is_not_asked_for_the_whole_instead_of_the_difference(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    first, files = make_version(1, dx=0.7, padding=20_000)
    second, more = make_version(2, dx=0.9, padding=20_000)
    ((_, whole),) = second.blob_urls.items()
    peer.objects.update(files)
    peer.update(assignments=(peer.task(),), policy=first)
    async with running(peer, tmp_path, monkeypatch, "policy.fetch_later_max_s=0.05"):
        await until(lambda: peer.of(PolicyApplied))
        target = _with_patch(peer, files[next(iter(first.blob_urls.values()))], second, more, scratch)
        peer.later_s = 1
        peer.update(policy=target)
        await until(lambda: len(gets(peer, "/objects/patch")) >= 3)
        peer.later_s = None
        await until(lambda: len(peer.of(PolicyApplied)) == 2)
    assert gets(peer, whole) == []
