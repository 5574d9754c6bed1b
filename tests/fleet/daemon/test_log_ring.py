"""The daemon's log for people at the console: bounded, without secrets, sent only to a server that asks."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.daemon.config import ConfigError, load_config
from fleet.daemon.config_report import LogConfig
from fleet.daemon.log_ring import LogRing, redacted
from fleet.protocol.messages import LOGS_CAPABILITY, MAX_LOG_TEXT, Hello, LogsWanted, RobotLogs
from tests.fleet.daemon.harness import running
from tests.fleet.daemon.peer import Peer
from tests.fleet.waiting import until

KEY = "uJ8kq3v0mZ2wX9bT5yR1cD7fG4hL6nP0sA_eVtQiWoE"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("link open", "link open"),
        (f"Authorization: Bearer robot-1.{KEY}", "Authorization: (hidden) (hidden)"),
        (f"sent bearer {KEY}", "sent bearer (hidden)"),
        ("PUT https://s3.lab/b/o?X-Amz-Signature=abc&X=1 failed", "PUT https://s3.lab/b/o failed"),
        ("turn:turn.lab via https://ann:pw@host/x", "turn:turn.lab via https://host/x"),
        ('{"password": "hunter 2", "n": 1}', '{"password": (hidden), "n": 1}'),
        ("token=one-time, tries=3", "token=(hidden), tries=3"),
        ("AWS_SECRET_ACCESS_KEY=abc/def", "AWS_SECRET_ACCESS_KEY=(hidden)"),
        (f"key {KEY} is wrong", "key (hidden) is wrong"),
        ("blob " + "ab" * 32 + " is there", "blob " + "ab" * 32 + " is there"),  # a hash is no secret
        ("episode 5b1b36ec-e84c-4abd-b1cd-461a91be3704", "episode 5b1b36ec-e84c-4abd-b1cd-461a91be3704"),
    ],
)
def test_secrets_are_left_out(text: str, expected: str) -> None:
    assert redacted(text) == expected


def test_what_is_known_to_be_secret_is_left_out_whatever_is_around_it() -> None:
    assert redacted("tried xtop-secretx twice", secrets=["", "top-secret"]) == "tried x(hidden)x twice"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("text", ["token" * 800, "x" * 4000, "ab.+-" * 800, "a://" * 1000, "Ab0_" * 1000])
def test_no_line_makes_redaction_search_for_minutes(text: str) -> None:
    """It runs in the thread that logs; patterns that begin with any run took 159 s for the first of these."""
    assert redacted(text) == redacted(redacted(text))


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    found = logging.getLogger("tests.log_ring")
    found.setLevel(logging.DEBUG)
    found.propagate = False
    yield found
    for handler in list(found.handlers):
        found.removeHandler(handler)


@pytest.mark.parametrize("text", ["episode \udc80\udcff.mp4", "\u8a9e" * 1000, "x" * 5000])
def test_any_line_fits_into_a_message(log: logging.Logger, text: str) -> None:
    """Names of files may hold what UTF-8 cannot; the frame's limit is in bytes."""
    log.addHandler(ring := LogRing(LogConfig()))
    log.warning("%s", text)
    (line,) = ring.last(1)
    assert 0 < len(line.text.encode()) <= MAX_LOG_TEXT


def test_the_ring_keeps_the_newest_lines_and_counts_what_it_could_not(log: logging.Logger) -> None:
    ring = LogRing(LogConfig(lines=3, unsent_lines=2))
    log.addHandler(ring)
    log.debug("not kept")
    for number in range(4):
        log.warning("warning %d", number)
    log.info("all is well")
    assert [line.text for line in ring.last(10)] == ["warning 2", "warning 3", "all is well"]
    assert [line.text for line in ring.last(1)] == ["all is well"]
    assert [line.text for line in ring.last(10, level=logging.WARNING)] == ["warning 2", "warning 3"]
    lines, dropped = ring.take_unsent()
    assert ([line.text for line in lines], dropped) == (["warning 2", "warning 3"], 2)
    assert ring.take_unsent() == ((), 0)


def test_lines_are_short_structured_and_name_their_error(log: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = LogRing(LogConfig())
    log.addHandler(ring)
    log.error("x" * 10_000)
    try:
        raise ValueError("password=hunter2")
    except ValueError:
        log.exception("it failed")
    monkeypatch.setattr(logging, "raiseExceptions", False)
    ring.handle(logging.makeLogRecord({"msg": "%d robots", "args": ("many",)}))  # does not fit, and costs nobody
    long, failed = ring.last(10)
    assert (len(long.text), long.level, long.logger) == (MAX_LOG_TEXT, "error", "tests.log_ring")
    assert failed.text == "it failed (ValueError: password=(hidden)"  # too much rather than too little


def test_bounds_are_checked() -> None:
    given = {"state_dir": "x", "driver": "point"}
    assert load_config(overrides=("log.lines=50",), given=given).log.lines == 50
    for wrong in ("log.lines=0", "log.lines=501", "log.send_period_s=0"):
        with pytest.raises(ConfigError):
            load_config(overrides=(wrong,), given=given)


async def test_a_daemon_says_nothing_until_it_is_asked(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then warnings as they come, and on a question the last lines of every level; never the key."""
    log = logging.getLogger("fleet.daemon.tests")
    monkeypatch.setattr(logging.getLogger(), "level", logging.INFO)
    log.setLevel(logging.INFO)
    async with running(peer, tmp_path, monkeypatch, "log.send_period_s=0.05", "log.answer_period_s=0.05"):
        await until(lambda: peer.of(Hello) and peer.status)
        assert LOGS_CAPABILITY in peer.of(Hello)[0].capabilities
        log.warning("before anybody asked, with the key %s", peer.keys["robot-1"])
        peer.update(is_paused=True)
        await until(lambda: peer.status is not None and peer.status.detail == "paused by an operator")
        assert peer.of(RobotLogs) == [], "an older server would take it for a broken frame"
        peer.tell(LogsWanted(limit=100))
        await until(lambda: peer.of(RobotLogs))
        [first] = peer.of(RobotLogs)
        assert first.request_id == ""
        assert "before anybody asked, with the key (hidden)" in [line.text for line in first.lines]
        assert {line.level for line in first.lines} <= {"warning", "error", "critical"}
        log.error("it broke")
        await until(lambda: any(line.text == "it broke" for each in peer.of(RobotLogs) for line in each.lines))
        log.info("an ordinary line")
        peer.tell(LogsWanted(request_id="q1", limit=2))
        await until(lambda: any(each.request_id == "q1" for each in peer.of(RobotLogs)))
        answer = next(each for each in peer.of(RobotLogs) if each.request_id == "q1")
        assert len(answer.lines) <= 2
        assert any(line.text == "an ordinary line" for line in answer.lines)
    count = len(logging.getLogger().handlers)
    async with running(peer, tmp_path, monkeypatch):
        pass
    assert len(logging.getLogger().handlers) == count, "the handler goes with the daemon"
