"""Live video and data channels through the real media process, with real aiortc clients."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import psutil
import pytest

from fleet.daemon.config import MediaConfig
from fleet.daemon.media.base import MalformedSdp, MediaDown, TooManyPeers, UnknownView
from fleet.daemon.media.process import ROOT
from fleet.protocol.messages import IceServer
from tests.fleet.daemon.media.conftest import Studio, studio_of
from tests.fleet.daemon.media.watcher import FilmedPoint, Watcher, until
from tests.fleet.daemon.point import PointDriver


async def test_every_picture_sent_is_announced_with_the_rtp_time_that_the_viewer_sees(studio: Studio) -> None:
    watcher = await studio.join(views=("overview", "side"))

    await until(lambda: len(watcher.frames["overview"]) >= 10 and len(watcher.frames["side"]) >= 10)

    for view, (width, height) in {"overview": (320, 240), "side": (160, 128)}.items():
        frame, times = watcher.frames[view][-1], watcher.times(view)
        assert (frame.width, frame.height) == (width, height)
        assert {item.rtp for item in times} <= watcher.rtp
        assert times[0].is_key and times[0].size_bytes > 0
        for item in times:
            assert item.captured_ms < item.encoded_ms <= time.monotonic() * 1e3
        # The RTP clock follows the capture, so a browser can tell pictures and times apart.
        ticks = (times[5].rtp - times[2].rtp) % 2**32
        assert ticks / 90 == pytest.approx(times[5].captured_ms - times[2].captured_ms, abs=0.1)
    filmed_s = studio.media.filmed_s("overview")
    assert filmed_s is not None and 0 <= time.monotonic() - filmed_s < 1.0
    assert studio.media.filmed_s("nowhere") is None


async def test_messages_of_both_channels_arrive_and_answers_go_out_on_drive(studio: Studio) -> None:
    watcher = await studio.join(views=())

    watcher.drive.send("one")
    watcher.control.send("two")
    await until(lambda: len(studio.heard) == 2)
    studio.media.send(watcher.peer_id, "three")
    studio.media.send("somebody-else", "four")
    await until(lambda: watcher.texts)

    assert sorted(studio.heard) == [(watcher.peer_id, "one"), (watcher.peer_id, "two")]
    assert watcher.texts == ["three"]


async def test_two_viewers_share_one_encode_and_both_begin_with_a_keyframe(studio: Studio) -> None:
    first = await studio.join()
    await until(lambda: len(first.frames["overview"]) >= 3)
    second = await studio.join()
    await until(lambda: len(second.frames["overview"]) >= 10)

    times = {item.captured_ms: item for item in first.times()}
    shared = [item for item in second.times() if item.captured_ms in times]
    assert second.times()[0].is_key
    assert len(shared) >= len(second.times()) - 2  # but for what one has and the other has not received yet
    for item in shared:
        assert item.encoded_ms == times[item.captured_ms].encoded_ms  # to the microsecond: one encode


async def test_a_viewer_without_h264_gets_vp8_beside_others(studio: Studio) -> None:
    modern, other = await studio.join(), await studio.join(mime="video/VP8")

    await until(lambda: len(modern.frames["overview"]) >= 5 and len(other.frames["overview"]) >= 5)

    assert "VP8" in other.connection.remoteDescription.sdp and "H264" not in other.connection.remoteDescription.sdp
    assert other.times()[0].is_key
    assert "H264" in modern.connection.remoteDescription.sdp


async def test_a_lost_picture_is_mended_by_a_keyframe_but_not_more_than_one_a_second() -> None:
    async with studio_of(FilmedPoint(), MediaConfig(keyframe_min_s=0.5)) as studio:
        watcher = await studio.join()
        await until(lambda: len(watcher.frames["overview"]) >= 3)
        began_s = time.monotonic()
        while time.monotonic() - began_s < 2.0:
            await watcher.request_key()
            await asyncio.sleep(0.02)
        ended_s = time.monotonic()

        keys = [item.encoded_ms / 1e3 for item in watcher.times() if item.is_key]
        assert 3 <= len([key for key in keys if began_s < key < ended_s]) <= 5
        assert min(later - earlier for earlier, later in itertools.pairwise(keys)) >= 0.5


async def test_a_path_with_losses_gets_smaller_pictures_and_a_mended_one_larger_again() -> None:
    async with studio_of(FilmedPoint(), MediaConfig(adapt_down_s=0.1, adapt_up_s=0.5)) as studio:
        watcher = await studio.join(loss=0.2)
        pictures = watcher.frames["overview"]

        await until(lambda: pictures and pictures[-1].width == 240, timeout_s=20)
        watcher.loss = 0.0
        await until(lambda: pictures[-1].width == 320, timeout_s=20)


async def test_a_second_offer_of_the_same_peer_replaces_it_silently(studio: Studio) -> None:
    first = await studio.join()
    second = Watcher()
    studio.watchers.append(second)
    second.peer_id = first.peer_id
    await second.join(studio.media)

    await until(lambda: first.connection.connectionState == "closed")
    second.drive.send("mine")
    await until(lambda: studio.heard)
    await until(lambda: len(second.frames["overview"]) >= 3)

    assert studio.heard == [(second.peer_id, "mine")]
    assert studio.closed == []


@pytest.mark.parametrize("sdp", ["", "nonsense", "v=0\r\n" + "a" * 4000, "m=video 9 UDP/TLS/RTP/SAVPF x\r\n"])
async def test_a_malformed_offer_is_refused_and_replaces_nothing(studio: Studio, sdp: str) -> None:
    watcher = await studio.join(views=())
    offer = msgspec.structs.replace(await watcher.offer(), sdp=sdp)

    with pytest.raises(MalformedSdp) as caught:
        await studio.media.answer(offer)

    assert caught.value.code == "malformed_sdp"
    watcher.drive.send("still here")
    await until(lambda: studio.heard == [(watcher.peer_id, "still here")])


async def test_no_damaged_offer_hurts_the_media_process(studio: Studio) -> None:
    """Each line left out in turn: answered or refused, at once, by a process that goes on."""
    whole = Watcher()
    studio.watchers.append(whole)
    offer = await whole.offer()
    lines = offer.sdp.splitlines()
    await until(lambda: studio.media._ready.is_set())
    pid, refused = studio.pid, 0

    for left_out in range(len(lines)):
        sdp = "\r\n".join([*lines[:left_out], *lines[left_out + 1 :], ""])
        try:
            await studio.media.answer(msgspec.structs.replace(offer, sdp=sdp))
        except MalformedSdp:
            refused += 1

    assert 0 < refused < len(lines)
    watcher = await studio.join()
    await until(lambda: watcher.frames["overview"])
    assert studio.pid == pid


async def test_an_offer_with_other_media_than_its_views_is_refused(studio: Studio) -> None:
    watcher = Watcher(views=("overview",))
    studio.watchers.append(watcher)
    offer = msgspec.structs.replace(await watcher.offer(), views=("overview", "side"))

    with pytest.raises(MalformedSdp, match="wanted: 2 video"):
        await studio.media.answer(offer)


async def test_unknown_views_and_one_viewer_too_many_are_refused() -> None:
    async with studio_of(FilmedPoint(), MediaConfig(), max_peers=1) as studio:
        stranger = Watcher()
        studio.watchers.append(stranger)
        offer = await stranger.offer()
        with pytest.raises(UnknownView):
            await studio.media.answer(msgspec.structs.replace(offer, views=("attic",)))
        first = await studio.join(views=())
        with pytest.raises(TooManyPeers):
            await studio.media.answer(offer)

        await studio.media.close_peer(first.peer_id, "done")
        assert (await studio.media.answer(offer)).startswith("v=0")


async def test_a_robot_without_cameras_has_data_channels_alone() -> None:
    async with studio_of(PointDriver(), MediaConfig()) as studio:
        watcher = await studio.join(views=())
        watcher.drive.send("hello")
        await until(lambda: studio.heard == [(watcher.peer_id, "hello")])

        with pytest.raises(UnknownView):
            await studio.media.answer(msgspec.structs.replace(await watcher.offer(), views=("overview",)))


async def test_a_peer_that_leaves_is_reported_once_and_filming_ends() -> None:
    async with studio_of(FilmedPoint(), MediaConfig(film_linger_s=0.2)) as studio:
        watcher = await studio.join()
        await until(lambda: watcher.frames["overview"])

        await watcher.leave()

        await until(lambda: studio.closed == [(watcher.peer_id, "connection_closed")])
        await until(lambda: studio.driver.endings == 1)
        filmed = studio.driver.filmed["overview"]
        await asyncio.sleep(0.2)
        assert studio.driver.filmed["overview"] == filmed
        await studio.media.close_peer(watcher.peer_id, "again")
        assert len(studio.closed) == 1


async def test_the_cameras_are_made_ready_by_the_offer_and_let_go_of_if_nobody_comes() -> None:
    async with studio_of(FilmedPoint(), MediaConfig(film_linger_s=0.2)) as studio:
        watcher = Watcher()
        studio.watchers.append(watcher)
        await studio.media.answer(await watcher.offer())

        await until(lambda: studio.driver.endings == 1)
        assert studio.driver.filmed == {"overview": 1, "side": 0}
        await studio.media.answer(await watcher.offer())
        await until(lambda: studio.driver.endings == 2)
        assert studio.driver.filmed == {"overview": 2, "side": 0}


async def test_a_peer_that_falls_silent_is_reported() -> None:
    async with studio_of(FilmedPoint(), MediaConfig(silence_s=1.0)) as studio:
        watcher = await studio.join(views=())  # without video there are no reports: silent at once

        await until(lambda: studio.closed == [(watcher.peer_id, "silent")])


async def test_an_answer_that_nobody_follows_up_times_out() -> None:
    async with studio_of(FilmedPoint(), MediaConfig(connect_timeout_s=0.5)) as studio:
        watcher = Watcher()
        studio.watchers.append(watcher)
        offer = await watcher.offer()
        await studio.media.answer(offer)

        await until(lambda: studio.closed == [(offer.peer_id, "connect_timeout")])


async def test_a_flood_of_messages_is_cut_before_the_daemon_sees_it(studio: Studio) -> None:
    watcher = await studio.join(views=())

    for index in range(1000):
        watcher.control.send(f"{index}")
    watcher.control.send("x" * 5000)
    await until(lambda: len(studio.heard) >= 100)
    await until(lambda: watcher.control.bufferedAmount == 0)
    await asyncio.sleep(0.5)

    config = MediaConfig()
    assert config.message_burst <= len(studio.heard) < 1000
    assert all(len(text) <= 4 for _, text in studio.heard)
    watcher.control.send("after")
    await until(lambda: studio.heard[-1][1] == "after")


async def test_an_unreachable_stun_server_costs_the_gathering_bound_and_no_more(studio: Studio) -> None:
    watcher = Watcher(views=())
    studio.watchers.append(watcher)
    nowhere = (
        IceServer(urls=("stun:192.0.2.77:3478",)),
        IceServer(urls=("turn:192.0.2.77:3478",), username="a", credential="b"),
        IceServer(urls=("ftp://nonsense",)),
    )
    offer = msgspec.structs.replace(await watcher.offer(), ice_servers=nowhere)
    await until(lambda: studio.media._ready.is_set())

    began_s = time.monotonic()
    await studio.media.answer(offer)

    assert 1.4 < time.monotonic() - began_s < 3.0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
async def test_a_media_process_that_dies_or_hangs_is_replaced(number: signal.Signals) -> None:
    async with studio_of(FilmedPoint(), MediaConfig(hang_s=1.0)) as studio:
        watcher = await studio.join()
        await until(lambda: watcher.frames["overview"])
        pid, began_s = studio.pid, time.monotonic()

        os.kill(pid, number)
        await until(lambda: studio.closed)

        assert time.monotonic() - began_s < (1.0 if number == signal.SIGKILL else 3.0)
        assert studio.closed == [(watcher.peer_id, "media_down")]
        assert not psutil.pid_exists(pid)
        again = await studio.join()
        await until(lambda: again.frames["overview"])
        assert studio.pid != pid


async def test_after_too_many_failures_in_a_row_there_is_no_video(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("fleet.daemon.media.process.MODULE", "fleet.daemon.media.no_such_module")
    config = MediaConfig(restart_limit=2, restart_min_s=0.01, restart_max_s=0.01)
    with caplog.at_level(logging.ERROR):
        async with studio_of(FilmedPoint(), config) as studio:
            await until(studio.running.done)
            with pytest.raises(MediaDown):
                await studio.join(views=())
    assert "2 starts failed in a row" in caplog.text


@pytest.mark.parametrize("culprit", ["can_run", "FrameStore"], ids=["no library", "no memory"])
async def test_a_robot_whose_video_cannot_start_works_on(monkeypatch: pytest.MonkeyPatch, culprit: str) -> None:
    def fail(*_: object) -> bool:
        if culprit == "can_run":
            return False
        raise OSError("no memory")

    monkeypatch.setattr(f"fleet.daemon.media.host.{culprit}", fail)
    async with studio_of(FilmedPoint(), MediaConfig()) as studio:
        await until(studio.running.done)

        assert studio.running.exception() is None
        with pytest.raises(MediaDown):
            await studio.join(views=())


async def test_a_view_that_cannot_be_filmed_comes_back(studio: Studio) -> None:
    watcher = await studio.join()
    await until(lambda: len(watcher.frames["overview"]) >= 3)
    studio.driver.is_dark = True
    await asyncio.sleep(0.3)
    count = len(watcher.frames["overview"])

    studio.driver.is_dark = False

    await until(lambda: len(watcher.frames["overview"]) >= count + 3)


ORPHAN = """
import asyncio, sys
from fleet.daemon.config import MediaConfig
from tests.fleet.daemon.media.conftest import studio_of
from tests.fleet.daemon.media.watcher import FilmedPoint, until
async def main():
    async with studio_of(FilmedPoint(), MediaConfig()) as studio:
        await until(studio.media._ready.is_set)
        print(studio.pid, flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


def test_the_media_process_does_not_outlive_a_killed_daemon(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, cwd=ROOT) as daemon:
        assert daemon.stdout is not None
        child = psutil.Process(int(daemon.stdout.readline()))
        daemon.kill()
        daemon.wait()
        gone, _ = psutil.wait_procs([child], timeout=5)
    assert gone


async def test_a_message_that_fails_ends_nobody_s_video(studio: Studio) -> None:
    watcher = await studio.join(views=("overview",))
    await until(lambda: watcher.frames["overview"])
    heard: list[str] = []

    def fail_once(peer_id: str, text: str) -> None:
        heard.append(text)
        if len(heard) == 1:
            raise RuntimeError("a defect")

    studio.media.start(fail_once, lambda *gone: studio.closed.append(gone))
    watcher.drive.send("one")
    await until(lambda: heard == ["one"])
    watcher.drive.send("two")
    await until(lambda: heard == ["one", "two"])
    assert not studio.running.done() and not studio.closed
