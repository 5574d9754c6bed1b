"""A takeover through the whole daemon: link, gate, control loop, recording, restart. The test is server and browser."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from fleet.daemon import app
from fleet.daemon.app import Daemon
from fleet.protocol.authority import MODE_CODES, Mode, Source
from fleet.protocol.messages import (
    EpisodeOrder,
    Heartbeat,
    Hello,
    LeaseInfo,
    OrderDone,
    OrderKind,
    PeerAnswer,
    PeerClose,
    PeerOffer,
    StopInfo,
    StopRobot,
)
from fleet.protocol.recording import Outcome, OutcomeSource
from fleet.protocol.steps import decode_steps
from fleet.protocol.teleop import ClockEcho, ClockProbe, Drive, Feedback
from tests.fleet.daemon.hand_media import HandMedia
from tests.fleet.daemon.harness import running
from tests.fleet.daemon.peer import Peer
from tests.fleet.daemon.point import PointDriver
from tests.fleet.waiting import until

TAB = "tab-1"


class Browser:
    """Ana's browser: answers the clock, and sends what `axes` says 40 times a second while `is_sending`."""

    def __init__(self, media: HandMedia) -> None:
        self.media = media
        self.axes = (0.0, 0.0)
        self.epoch = 1
        self.seq = 0
        self.is_sending = True
        self.told: Feedback

    async def run(self) -> None:
        while True:
            for _, message in self.media.sent:
                if isinstance(message, ClockProbe):
                    self._say(ClockEcho(probe=message.probe, clock_ms=time.monotonic() * 1e3))
                elif isinstance(message, Feedback):
                    self.told = message
            self.media.sent.clear()
            if self.is_sending:
                self.seq += 1
                now_ms = time.monotonic() * 1e3
                self._say(Drive(epoch=self.epoch, seq=self.seq, sent_ms=now_ms, axes=self.axes, video_age_ms=10.0))
            await asyncio.sleep(0.025)

    def _say(self, message: Any) -> None:
        self.media.on_text("p1", msgspec.json.encode(message).decode())


def lease(epoch: int = 1) -> LeaseInfo:
    expires_ns = time.time_ns() + 20 * 10**9
    return LeaseInfo(epoch=epoch, source=Source.PERSON, operator="ana", expires_ns=expires_ns, connection=TAB)


@asynccontextmanager
async def watched(
    peer: Peer, state: Path, monkeypatch: pytest.MonkeyPatch, driver: PointDriver
) -> AsyncIterator[tuple[Daemon, Browser]]:
    """A robot in real time, which no policy moves, with Ana watching."""
    media = HandMedia()
    monkeypatch.setattr(app, "create_media", lambda *arguments, **options: media)
    peer.update(assignments=(peer.task(max_steps=100_000),))
    if peer.status is None:
        peer.publish(1, dx=0.0)
    settings = ("control.speed_factor=1", "control.reset_s=0.05", "control.max_hold_steps=100000")
    beats, count = len(peer.of(Heartbeat)), len(peer.of(PeerAnswer))
    async with running(peer, state, monkeypatch, *settings, driver=driver) as daemon:
        await until(lambda: len(peer.of(Heartbeat)) > beats)
        peer.tell(PeerOffer(peer_id="p1", connection=TAB, user="ana", views=("overview",), sdp="offer", ice_servers=()))
        await until(lambda: len(peer.of(PeerAnswer)) > count)
        browser = Browser(media)
        sending = asyncio.create_task(browser.run())
        await until(lambda: hasattr(browser, "told"))
        try:
            yield daemon, browser
        finally:
            sending.cancel()
            await asyncio.wait((sending,))


async def take_over(peer: Peer, browser: Browser, *, epoch: int = 1) -> None:
    """Take the lease, show neutral input, and push; once more if this process stalled and the robot let go."""
    browser.epoch = epoch
    peer.update(lease=lease(epoch))
    await until(lambda: browser.told.is_driver and browser.told.epoch == epoch)
    for _ in range(5):
        browser.axes = (0.0, 0.0)
        await until(lambda: browser.told.mode is Mode.TELEOP and browser.told.is_armed)
        browser.axes = (0.2, 0.5)
        await until(lambda: browser.told.applied == (0.2, 0.5) or not browser.told.is_armed)
        if browser.told.is_armed:
            return
    raise AssertionError("the robot let go again and again")


async def test_a_person_drives_labels_and_hands_back(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was driven is recorded as theirs, the label wins, and the next episode is the policy's again."""
    async with watched(peer, tmp_path, monkeypatch, PointDriver()) as (_, browser):
        await until(lambda: browser.told.step > 2)
        await take_over(peer, browser)
        episode_id = browser.told.episode_id
        order = EpisodeOrder(
            order_id="o1", epoch=1, kind=OrderKind.SUCCESS, episode_id=episode_id or "", by="ana", reason="good enough"
        )
        peer.tell(order)
        await until(lambda: peer.registrations)
        assert peer.of(OrderDone) == [OrderDone(order_id="o1")]
        manifest = peer.registered[episode_id or ""]
        assert (manifest.outcome, manifest.outcome_source) == (Outcome.SUCCESS, OutcomeSource.PERSON)
        assert (manifest.environment_outcome, manifest.outcome_reason) == (None, "good enough")
        assert [(s.mode, s.operator) for s in manifest.segments][:3] == [
            (Mode.AUTONOMOUS, ""),
            (Mode.HANDOVER, "ana"),
            (Mode.TELEOP, "ana"),
        ]
        assert manifest.human_steps == manifest.segments[2].end - manifest.segments[2].start
        steps = decode_steps(peer.objects[f"/objects/episodes/{episode_id}/steps.parquet"])
        driven = steps["mode"] == MODE_CODES[Mode.TELEOP]
        assert np.allclose(steps["action.asked"][driven][-1], [0.2, 0.5])
        browser.axes = (0.0, 0.5)
        peer.update(lease=None, handed_back_epoch=1)
        await until(lambda: browser.told.mode is Mode.AUTONOMOUS and browser.told.episode_id != episode_id)


async def test_a_robot_that_loses_its_server_stands_until_it_is_back_and_the_input_at_rest(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = PointDriver()
    async with watched(peer, tmp_path, monkeypatch, driver) as (_, browser):
        await take_over(peer, browser)
        connections = peer.connections
        peer.deaf_to.add(Hello)
        peer.drop()
        await until(lambda: browser.told.mode is Mode.HANDOVER)
        peer.deaf_to.clear()
        await until(lambda: peer.connections > connections)
        await until(lambda: browser.told.is_driver)
        place = driver.x
        await until(lambda: browser.told.refused.get("not_neutral", 0) > 10)
        assert driver.x == place, "commands that were held all the while moved the robot"
        browser.axes = (0.0, 0.5)
        await until(lambda: browser.told.mode is Mode.TELEOP)
        browser.axes = (0.2, 0.5)
        await until(lambda: driver.x > place)


async def test_a_stop_outlives_the_daemon_and_is_cleared_into_paused(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = StopInfo(stop_id=str(uuid.uuid4()), by="ben", reason="smoke", at_ns=1)
    driver = PointDriver()
    async with watched(peer, tmp_path, monkeypatch, driver) as (_, browser):
        await take_over(peer, browser)
        peer.tell(StopRobot(stop=stop))
        await until(lambda: peer.status is not None and peer.status.mode is Mode.STOPPED)
        assert peer.status is not None and peer.status.stop == stop
        await until(lambda: peer.registrations)
        assert peer.registered[peer.registrations[-1]].outcome_reason == "stopped by ben: smoke"
    place = driver.x
    peer.update(lease=None)
    async with watched(peer, tmp_path, monkeypatch, driver) as (_, browser):
        await until(lambda: browser.told.mode is Mode.STOPPED and browser.told.stop == stop)
        peer.update(cleared_stop_id=stop.stop_id)
        await until(lambda: browser.told.mode is Mode.PAUSED and browser.told.stop is None)
        assert driver.x == place
        await take_over(peer, browser, epoch=2)


async def test_a_daemon_that_dies_while_a_person_drives_resumes_nothing(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease is still in force and the hand back at rest: nothing moves, not even the policy, until taken anew."""
    driver = PointDriver()
    async with watched(peer, tmp_path, monkeypatch, driver) as (_, browser):
        await take_over(peer, browser)
        await until(lambda: (tmp_path / "needs_person").read_text() == "1")
    driver.applied.clear()
    peer.update(lease=lease(1))
    async with watched(peer, tmp_path, monkeypatch, driver) as (_, browser):
        await until(lambda: browser.told.is_driver and browser.told.mode is Mode.PAUSED)
        browser.axes = (0.2, 0.5)
        seq = browser.seq
        await until(lambda: browser.seq > seq + 40)
        assert browser.told.mode is Mode.PAUSED and driver.applied == []
        assert "restarted" in browser.told.detail
        await take_over(peer, browser, epoch=2)
        peer.update(lease=None, handed_back_epoch=2)
        await until(lambda: browser.told.mode is Mode.AUTONOMOUS)
        await until(lambda: not (tmp_path / "needs_person").exists())


async def test_who_was_sent_away_drives_no_more(peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = PointDriver()
    async with watched(peer, tmp_path, monkeypatch, driver) as (daemon, browser):
        await take_over(peer, browser)
        peer.tell(PeerClose(peer_id="p1", reason="the role was revoked"))
        await until(lambda: ("p1", "the role was revoked") in browser.media.closed)
        await until(lambda: peer.status is not None and peer.status.mode is Mode.HANDOVER)
        assert not daemon._teleop._peers
