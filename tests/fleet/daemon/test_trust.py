"""Whose versions a robot loads: signed for it, by a key it trusts, and no order older than one it followed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet.daemon.config import ConfigError, PolicyConfig
from fleet.daemon.trust import TRUST_FILE, Trust, remember_keys
from fleet.protocol.errors import StaleOrder, Untrusted
from fleet.protocol.messages import PolicyApplied, PolicyKey, PolicyRefused, PolicyTarget
from fleet.protocol.policy import key_statement, policy_statement
from tests.fleet.daemon.harness import running
from tests.fleet.daemon.peer import Peer
from tests.fleet.daemon.point_policy import make_version
from tests.fleet.waiting import until

ROBOT = "robot-1"
FIRST, SECOND, OTHER = (Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32) for seed in (1, 2, 3))


def public(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes_raw().hex()


def sign(
    target: PolicyTarget, key: Ed25519PrivateKey = FIRST, *, epoch: int = 5, robot_id: str = ROBOT
) -> PolicyTarget:
    names = {"version_id": target.version_id, "number": target.number, "manifest_sha256": target.manifest_sha256}
    statement = policy_statement(robot_id=robot_id, epoch=epoch, **names)  # type: ignore[arg-type]
    signed = {"epoch": epoch, "key": public(key), "signature": key.sign(statement).hex()}
    return msgspec.structs.replace(target, **signed)


def endorsed(key: Ed25519PrivateKey, by: Ed25519PrivateKey) -> PolicyKey:
    signature = by.sign(key_statement(public(key))).hex()
    return PolicyKey(public=public(key), endorsed_by=public(by), endorsement=signature)


TARGET = make_version(3, dx=0.5)[0]


def trust(folder: Path, **config: Any) -> Trust:
    return Trust(folder, PolicyConfig(**config), robot_id=ROBOT)


REFUSED = {
    "unsigned": TARGET,
    "other key": sign(TARGET, OTHER),
    "other robot": sign(TARGET, robot_id="robot-2"),
    "other manifest": msgspec.structs.replace(sign(TARGET), manifest_sha256="0" * 64),
    "other version": msgspec.structs.replace(sign(TARGET), version_id="v"),
    "other number": msgspec.structs.replace(sign(TARGET), number=4),
    "raised epoch": msgspec.structs.replace(sign(TARGET), epoch=6),
    "no signature at all": msgspec.structs.replace(sign(TARGET), signature="zz"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_no_trusted_key_signed_is_refused(tmp_path: Path, case: str) -> None:
    remember_keys(tmp_path, (public(FIRST),))
    robot = trust(tmp_path)
    robot.check(sign(TARGET))
    with pytest.raises(Untrusted):
        robot.check(REFUSED[case])


def test_unsigned_versions_load_only_where_configured(tmp_path: Path) -> None:
    """Never by default, not even while the robot knows no key; "always" is for a server of yesterday."""
    with pytest.raises(Untrusted, match=r"version 3 is not signed and policy\.unsigned is 'never'"):
        trust(tmp_path).check(TARGET)
    trust(tmp_path, unsigned="without_keys").check(TARGET)
    remember_keys(tmp_path, (public(FIRST),))
    with pytest.raises(Untrusted):
        trust(tmp_path, unsigned="without_keys").check(TARGET)
    trust(tmp_path, unsigned="always").check(TARGET)
    with pytest.raises(ValueError, match="unsigned"):
        PolicyConfig(unsigned="perhaps")


def test_an_older_order_is_refused_also_after_a_restart(tmp_path: Path) -> None:
    remember_keys(tmp_path, (public(FIRST),))
    robot = trust(tmp_path)
    for epoch in (7, 9):
        robot.check(sign(TARGET, epoch=epoch))
        robot.followed(sign(TARGET, epoch=epoch))
    for again in (robot, trust(tmp_path)):
        with pytest.raises(StaleOrder, match="order 7 is older than order 9"):
            again.check(sign(TARGET, epoch=7))
        again.check(sign(TARGET, epoch=9))


def test_a_key_is_followed_by_the_one_it_endorses(tmp_path: Path) -> None:
    """Both are good while the server names both; the old one goes when it is named no more."""
    remember_keys(tmp_path, (public(FIRST),))
    robot = trust(tmp_path)
    robot.learn((PolicyKey(public=public(OTHER)), endorsed(SECOND, OTHER)))
    assert robot.keys == (public(FIRST),), "nobody that it trusts speaks for these"
    robot.learn((endorsed(SECOND, FIRST), PolicyKey(public=public(FIRST))))
    robot.check(sign(TARGET, FIRST))
    robot.check(sign(TARGET, SECOND))
    robot.learn((PolicyKey(public=public(SECOND)),))
    again = trust(tmp_path)
    again.check(sign(TARGET, SECOND))
    with pytest.raises(Untrusted):
        again.check(sign(TARGET, FIRST))


def test_pinned_keys_alone_count(tmp_path: Path) -> None:
    robot = trust(tmp_path, public_keys=(public(SECOND),))
    robot.learn((PolicyKey(public=public(FIRST)), endorsed(OTHER, SECOND)))
    robot.check(sign(TARGET, SECOND))
    for key in (FIRST, OTHER):
        with pytest.raises(Untrusted):
            robot.check(sign(TARGET, key))


def test_a_damaged_record_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / TRUST_FILE).write_text("{")
    with pytest.raises(ConfigError, match="damaged"):
        trust(tmp_path)


async def test_a_running_robot_loads_what_is_signed_and_nothing_else(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forged version is refused before a byte of it is fetched; the same version, signed, is loaded after all."""
    good, files = make_version(1, dx=0.7)
    forged, more = make_version(2, dx=0.9)
    peer.objects.update(files | more)
    keys = (PolicyKey(public=public(FIRST)),)
    peer.update(assignments=(peer.task(),), policy_keys=keys, policy=sign(good, epoch=2))
    async with running(peer, tmp_path, monkeypatch, "policy.unsigned=never"):
        await until(lambda: peer.of(PolicyApplied))
        peer.update(policy=sign(forged, OTHER, epoch=3))
        await until(lambda: peer.of(PolicyRefused))
        assert not [path for _, path, _ in peer.requests if path == forged.manifest_url]
        peer.update(policy=sign(forged, epoch=4))
        await until(lambda: len(peer.of(PolicyApplied)) == 2)
        peer.update(policy=sign(good, epoch=2))
        await until(lambda: len(peer.of(PolicyRefused)) == 2)
    assert [refusal.code for refusal in peer.of(PolicyRefused)] == ["untrusted", "stale_order"]


async def test_a_robot_without_a_key_loads_nothing_unsigned_and_says_why(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a byte is fetched. Once the server signs, the robot takes its first key and the same version."""
    target, files = make_version(1, dx=0.7)
    peer.objects.update(files)
    peer.update(assignments=(peer.task(),), policy=target)
    async with running(peer, tmp_path, monkeypatch, "policy.unsigned=never"):
        await until(lambda: peer.of(PolicyRefused))
        assert not [path for _, path, _ in peer.requests if path == target.manifest_url]
        peer.update(policy_keys=(PolicyKey(public=public(FIRST)),), policy=sign(target, epoch=2))
        await until(lambda: peer.of(PolicyApplied))
    (refusal,) = peer.of(PolicyRefused)
    assert refusal.code == "untrusted" and "signing_key" in refusal.message
