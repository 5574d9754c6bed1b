"""Shadows over a real link: the order comes with the state, reports become rows, a bad summary costs no episode."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from fleet.models import Episode, ShadowResult, ShadowRobot
from fleet.protocol import messages as m
from fleet.services.policy import policy_version_publish
from fleet.services.rollout import release_strategy_set
from fleet.services.shadow import shadow_begin
from tests.fleet import builders
from tests.fleet.consumers.peers import robot_peer

WAIT_S = 30.0
NONE = m.Distances(proposals=0, total=0.0, p50=0.0, p95=0.0)
NEAR = m.Distances(proposals=2, total=0.5, p50=0.25, p95=0.3)


def test_an_order_its_report_and_its_summaries(server: str, settings: Any) -> None:
    settings.SOP_HEARTBEAT_S = 10.0  # this robot says nothing between its messages
    run, enrolled, task = builders.running_run(), builders.enrol(), builders.task()
    for step in (0, 25):
        manifest, blobs = builders.policy(run.id, step=step, value=float(step))
        version = policy_version_publish(run_id=str(run.id), manifest_bytes=manifest, blobs=blobs)
        if step == 0:
            release_strategy_set(run_id=run.id, strategy="manual", revision=0)
    shadow = shadow_begin(version_id=version.id, robot_ids=[enrolled.robot.id], duration_s=600, max_episodes=5)
    recordings = [builders.episode(task, enrolled.robot) for _ in range(2)]
    for recorded, files in recordings:
        builders.store(recorded, files)
    hello = builders.hello(capabilities=("shadow",))
    with robot_peer(server, enrolled.robot.id, enrolled.key, hello) as peer:
        wish = peer.expect(m.Welcome, WAIT_S).state.shadow
        assert isinstance(wish, m.ShadowWish) and wish.order is not None
        assert wish.order.shadow_id == str(shadow.id) and wish.order.policy.blob_urls
        peer.send(m.ShadowReport(shadow_id=wish.order.shadow_id, state=m.ShadowState.RUNNING, episodes=1))
        sound = m.ShadowEpisode(
            shadow_id=wish.order.shadow_id, instants=3, asked=3, answered=2, inference_ms=4.0,
            policy=NEAR, human=NONE, own=NONE,
        )  # fmt: skip
        lying = msgspec.structs.replace(sound, answered=9)
        for summary, (recorded, _) in zip((sound, lying), recordings, strict=True):
            ready = m.EpisodeReady(
                episode_id=recorded.episode_id, uploaded_ns=time.time_ns(), manifest=recorded, shadow=summary
            )
            peer.send(ready)
            assert peer.expect(m.EpisodeRegistered, WAIT_S).episode_id == recorded.episode_id
        peer.send(m.ShadowReport(shadow_id=wish.order.shadow_id, state=m.ShadowState.ENDED, episodes=5))
        while wish.order is not None:
            changed = peer.expect(m.StateChanged, WAIT_S).state.shadow
            assert isinstance(changed, m.ShadowWish)
            wish = changed
    assert Episode.objects.count() == 2 and ShadowResult.objects.count() == 1
    member = ShadowRobot.objects.get()
    assert (member.state, member.episodes) == ("ended", 5) and member.ended_at is not None
