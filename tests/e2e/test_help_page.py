"""The help queue in a real browser on the real stack: a robot asks, a person takes it and gives it back, it goes on."""

from __future__ import annotations

import os
import re
import signal
import uuid
from collections.abc import Iterator

import msgspec
import pytest
import redis
from playwright.sync_api import Locator, Page, expect

from fleet.live import LiveStatus
from fleet.protocol.messages import RobotStatus
from tests.e2e.accessibility import violations_in_both_themes
from tests.e2e.pages import ROBOTS, sign_in
from tests.stack.harness import USERNAME, System

pytestmark = pytest.mark.e2e

NAME = ROBOTS[0]
SHOWN_MS = 30_000  # heartbeats come every two seconds, requests keep their place for five

# Plays the cockpit's part on a socket of its own: one lease message, answered once.
_ASK = """([tab, body]) => new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://${location.host}/ws/console?tab=${tab}`);
    socket.onclose = () => reject(new Error("closed"));
    socket.onmessage = (event) => {
        const [, message] = JSON.parse(event.data);
        if (message.type === "snapshot") socket.send(JSON.stringify([1, body]));
        if (message.type !== "reply") return;
        socket.onclose = null;
        socket.close();
        resolve(message);
    };
})"""


def _signal(running: System, number: int) -> None:
    child = running.processes.get(NAME).process
    assert child is not None
    os.kill(child.pid, number)


def _resume(running: System) -> None:
    """What a manager does in the admin: pause, then go on; each only once the robot knows of the one before."""
    for is_paused in (True, False):
        query = "UPDATE fleet_robot SET is_paused = %s, state_revision = state_revision + 1 WHERE name = %s"
        running.rows(query, is_paused, NAME)
        (revision,) = running.rows("SELECT state_revision FROM fleet_robot WHERE name = %s", NAME)[0]
        running.wait_for(lambda wanted=revision: _status(running).state_revision >= wanted, what=f"{NAME} was told")
    running.wait_for(lambda: _status(running).mode == "autonomous", what=f"{NAME} goes on")


def _status(running: System) -> RobotStatus:
    """What the robot said last."""
    connection = redis.Redis.from_url(running.stack.services.redis_url)
    found = connection.get(f"sop:robot:{running.robot_id(NAME)}:status")
    connection.close()
    assert isinstance(found, bytes), "the robot is offline"
    return msgspec.msgpack.decode(found, type=LiveStatus).status


@pytest.fixture
def stopped(running: System) -> Iterator[System]:
    """The first robot is stopped where it stands, and works again afterwards."""
    _signal(running, signal.SIGUSR1)
    yield running
    _signal(running, signal.SIGUSR2)
    _resume(running)


def _row(page: Page, part: str) -> Locator:
    found = page.get_by_role("list", name=re.compile(f"^{part}"))
    return found.get_by_role("listitem").filter(has=page.get_by_role("heading", name=NAME))


def test_a_stopped_robot_is_served_and_goes_on(page: Page, running: System) -> None:
    """It appears with its reason, shows who helps, lands in the history, asks anew while it stands, then no more."""
    page.set_viewport_size({"width": 1280, "height": 720})
    sign_in(page)
    page.get_by_role("link", name="Help", exact=True).click()
    expect(page.get_by_text("Nobody waits for help")).to_be_visible()
    _signal(running, signal.SIGUSR1)
    expect(_row(page, "Waiting")).to_contain_text("Stands still", timeout=SHOWN_MS)
    expect(page.get_by_role("link", name="Help 1 waiting")).to_be_visible()
    go = page.get_by_role("link", name=f"Go to {NAME}")
    robot_id = running.robot_id(NAME)
    expect(go).to_have_attribute("href", f"/teleop/{robot_id}")

    tab = str(uuid.uuid4())
    acquire = {"type": "acquire", "request_id": "a", "robot_id": robot_id, "reason": "help"}
    reply = page.evaluate(_ASK, [tab, acquire])
    assert reply["lease"] is not None, reply
    expect(_row(page, "Being helped")).to_contain_text(f"{USERNAME} helps", timeout=SHOWN_MS)
    expect(page.get_by_role("link", name="Help", exact=True)).to_be_visible()
    release = {"type": "release", "request_id": "b", "robot_id": robot_id, "epoch": reply["lease"]["epoch"]}
    assert page.evaluate(_ASK, [tab, release | {"reason": "done"}])["code"] == ""
    history = page.get_by_role("table", name="Newest 20 requests that ended")
    expect(history).to_contain_text(f"A person helped {USERNAME}", timeout=SHOWN_MS)
    expect(_row(page, "Waiting")).to_contain_text("Stands still", timeout=SHOWN_MS)

    _signal(running, signal.SIGUSR2)
    _resume(running)
    expect(page.get_by_text("Nobody waits for help")).to_be_visible(timeout=SHOWN_MS)


def test_no_accessibility_violations(page: Page, stopped: System) -> None:
    """axe finds nothing on the help page with a request on it, in both themes."""
    page.emulate_media(reduced_motion="reduce")
    page.set_viewport_size({"width": 1280, "height": 720})
    sign_in(page)
    page.goto("/help")
    expect(_row(page, "Waiting")).to_be_visible(timeout=SHOWN_MS)
    assert violations_in_both_themes(page) == []
