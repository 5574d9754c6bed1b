"""Alerts: what fires and what does not, one at a time, resolved by themselves."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from scipy.special import betainc

from fleet.models import Alert, RunMetric
from fleet.selectors import alert_reading
from fleet.selectors.metrics import metric_now
from fleet.selectors.statistics import jeffreys
from fleet.services.alert_rule import alert_rule_preview
from fleet.services.alert_watch import alerts_evaluate
from fleet.services.robot_admin import robot_retire
from tests.fleet import builders
from tests.fleet.services.alert_rows import RATE, episodes, heard, open_alerts, rule, silent

pytestmark = pytest.mark.django_db
NOW = timezone.now()


# --- Rates -----------------------------------------------------------------------------------------------------------


def test_a_rate_fires_only_when_its_whole_interval_lies_below() -> None:
    """20 of 40 is 50 % with an interval up to 65 %: under the limit, and not surely so."""
    robot, task = builders.enrol().robot, builders.task()
    rule()
    row = episodes(task, robot, n=40, wins=20)
    alerts_evaluate()
    assert open_alerts() == []
    row.delete()
    episodes(task, robot, n=40, wins=12)
    alerts_evaluate()
    [alert] = open_alerts()
    seen = metric_now(measure="success", window_s=86_400, task=task.slug)
    assert (alert.value, alert.low, alert.high, alert.n) == (seen.value, seen.low, seen.high, 40), "as the reports say"
    assert (alert.subject_kind, alert.subject_name) == ("task", task.slug)
    assert alert.text == (
        "Success rate of task box-close over the last 24 h is 30 % [18.1 %, 45.4 %], n = 40; the limit is 60 %, and "
        "the whole 95 % interval lies below it."
    )


def test_few_episodes_raise_nothing_however_bad() -> None:
    robot, task = builders.enrol().robot, builders.task()
    rule()
    episodes(task, robot, n=19, wins=0)
    alerts_evaluate()
    assert open_alerts() == []
    episodes(task, robot, n=1, wins=0)
    alerts_evaluate()
    assert [alert.n for alert in open_alerts()] == [20]


def test_a_version_as_good_as_its_limit_seldom_alarms() -> None:
    """One look at a rate that is what the limit says: at most 2.5 % false alarms by the interval, 5 % with chance."""
    dice, alarms = random.Random(7), 0
    for _ in range(400):
        wins = sum(dice.random() < 0.6 for _ in range(60))
        found = alert_reading._rate_finding(alert_reading.RateParams(threshold=0.6), _estimate(wins, 60), falls=True)
        alarms += found is alert_reading.Finding.FIRING
    assert alarms <= 20


def _estimate(wins: int, n: int) -> Any:
    from fleet.selectors.measures import MEASURES, Crew, Split, Sums

    split = Split(autonomous=Sums(episodes=n, successes=wins, failures=n - wins))
    return MEASURES["success"].of(split, Crew())


def test_jeffreys_interval_in_the_place_of_wilsons() -> None:
    robot, task = builders.enrol().robot, builders.task()
    rule(params={**RATE, "interval": "jeffreys"})
    episodes(task, robot, n=40, wins=12)
    alerts_evaluate()
    [alert] = open_alerts()
    assert (alert.low, alert.high) == jeffreys(successes=12, n=40)
    tails = (betainc(12.5, 28.5, alert.low), betainc(12.5, 28.5, alert.high))  # of Beta(x + 1/2, n - x + 1/2)
    assert tails == (pytest.approx(0.025), pytest.approx(0.975))


def test_rates_of_versions_and_of_people_helping() -> None:
    """One alert a version; an intervention rate fires above its limit."""
    robot, task, run = builders.enrol().robot, builders.task(), builders.running_run()
    from fleet.services.policy import policy_version_publish

    versions = []
    for step in (0, 10):
        manifest, blobs = builders.policy(run.id, step=step)
        versions.append(policy_version_publish(run_id=str(run.id), manifest_bytes=manifest, blobs=blobs))
    rule(params={**RATE, "by": "version"})
    hours = {"duration_ms": 3_600_000}
    rule(name="help", params={"measure": "interventions", "by": "version", "threshold": 10, "min_n": 5})
    episodes(task, robot, n=50, wins=45, version=versions[0], interventions=4, **hours)
    episodes(task, robot, n=50, wins=10, version=versions[1], interventions=40, **hours)
    alerts_evaluate()
    assert {(alert.rule_name, alert.subject_id) for alert in open_alerts()} == {
        ("rate rule", str(versions[1].id)),
        ("help", str(versions[1].id)),
    }
    assert next(a for a in open_alerts() if a.rule_name == "help").text.startswith(
        f"Interventions per robot-hour of v{versions[1].number} of {run.name} over the last 24 h is 40 per hour"
    )


def test_a_scope_narrows_what_is_looked_at() -> None:
    robots, tasks = [builders.enrol().robot for _ in range(2)], [builders.task("a"), builders.task("b")]
    rule(tasks=[tasks[0].id], robots=[robots[0].id])
    for task in tasks:
        for robot in robots:
            episodes(task, robot, n=30, wins=0)
    alerts_evaluate()
    assert [(alert.subject_name, alert.n) for alert in open_alerts()] == [("a", 30)]


# --- One alert, which does not flap and ends by itself ---------------------------------------------------------------


def test_evaluating_twice_is_one_alert_and_the_database_insists() -> None:
    robot, task = builders.enrol().robot, builders.task()
    made = rule()
    episodes(task, robot, n=40, wins=5)
    assert [alerts_evaluate(), alerts_evaluate()] == [1, 1]
    [alert] = Alert.objects.all()
    with pytest.raises(IntegrityError), transaction.atomic():
        Alert.objects.create(
            rule=made, rule_name="x", kind="rate", severity="info", subject_kind="task", subject_id=alert.subject_id,
            subject_name="x", opened_at=NOW, last_seen_at=NOW, unit="share", value=0.0, text="x",
        )  # fmt: skip


def test_an_alert_stays_until_the_value_is_back_for_long_enough() -> None:
    """Unsure is not back; back for a moment is not back either; and the end says so."""
    robot, task = builders.enrol().robot, builders.task()
    rule(clear_after_s=60.0)
    episodes(task, robot, n=40, wins=12)
    start = timezone.now()
    alerts_evaluate(now=start)
    more = episodes(task, robot, n=40, wins=33)  # 45 of 80, 56 %: the interval reaches beyond the limit
    alerts_evaluate(now=start + timedelta(seconds=10))
    assert (len(open_alerts()), open_alerts()[0].clear_since, open_alerts()[0].n) == (1, None, 40)
    best = episodes(task, robot, n=40, wins=38)  # 83 of 120, 69 %
    alerts_evaluate(now=start + timedelta(seconds=20))
    assert open_alerts()[0].clear_since == start + timedelta(seconds=20)
    best.delete()
    alerts_evaluate(now=start + timedelta(seconds=50))
    assert open_alerts()[0].clear_since is None, "gone for 30 s only"
    more.delete()
    episodes(task, robot, n=80, wins=71)
    for seconds in (60, 100, 121):
        alerts_evaluate(now=start + timedelta(seconds=seconds))
    [alert] = Alert.objects.all()
    assert (alert.resolution, alert.resolved_at) == ("recovered", start + timedelta(seconds=121))
    assert alert.resolved_text.startswith(
        "It is over, after 2 min. Success rate of task box-close over the last 24 h is"
    )


def test_what_is_not_measured_any_more_is_over_too() -> None:
    robot, task = builders.enrol().robot, builders.task()
    rule()
    row = episodes(task, robot, n=40, wins=5)
    alerts_evaluate()
    row.delete()
    alerts_evaluate()
    assert Alert.objects.get().resolution == "gone"


# --- Robots, the learner, the loop -----------------------------------------------------------------------------------


def test_a_robot_that_is_silent_for_longer_than_the_limit() -> None:
    """Never connected: nothing is known; retired meanwhile: nothing is watched."""
    robots = [builders.enrol(name).robot for name in ("away", "here", "never")]
    rule("offline", {"after_s": 300})
    silent(robots[0], timezone.now() - timedelta(seconds=200))
    heard(robots[1])
    alerts_evaluate()
    assert open_alerts() == []
    silent(robots[0], timezone.now() - timedelta(seconds=720))
    alerts_evaluate()
    [alert] = open_alerts()
    assert (alert.subject_name, alert.text) == ("away", "away has been offline for 12 min; the limit is 5 min.")
    robot_retire(robot_id=robots[0].id)
    alerts_evaluate()
    assert (open_alerts(), Alert.objects.get().resolution) == ([], "gone")


def test_a_robot_that_comes_back_resolves_it() -> None:
    robot = builders.enrol().robot
    rule("offline", {"after_s": 300})
    silent(robot, timezone.now() - timedelta(hours=1))
    alerts_evaluate()
    heard(robot)
    alerts_evaluate()
    assert Alert.objects.get().resolution == "recovered"


def test_a_backlog_clears_below_where_it_fired() -> None:
    """Above 20 it fires, at 16 or fewer it clears; a robot that falls silent changes nothing."""
    robot = builders.enrol().robot
    rule("backlog", {"above": 20})
    heard(robot, pending=20)
    alerts_evaluate()
    assert open_alerts() == []
    for pending in (21, 18):
        heard(robot, pending=pending)
        alerts_evaluate()
    assert [alert.value for alert in open_alerts()] == [21]
    heard(robot, pending=16)
    alerts_evaluate()
    assert open_alerts() == []


def test_the_backlog_of_the_whole_fleet() -> None:
    robots = [builders.enrol().robot for _ in range(2)]
    rule("backlog", {"above": 20, "by": "fleet"})
    for robot in robots:
        heard(robot, pending=11)
    alerts_evaluate()
    assert [(alert.subject_kind, alert.value) for alert in open_alerts()] == [("fleet", 22)]


def test_a_run_that_makes_no_step() -> None:
    """A run that was just started is given its time, whenever its last step was."""
    run = builders.running_run()
    rule("stall", {"after_s": 600})
    RunMetric.objects.create(run=run, step=100, at=timezone.now() - timedelta(days=2), values={"loss": 1.0})
    alerts_evaluate()
    assert open_alerts() == []
    later = timezone.now() + timedelta(seconds=700)
    alerts_evaluate(now=later)
    [alert] = open_alerts()
    assert (alert.subject_kind, alert.subject_id) == ("run", str(run.id))
    assert alert.text.startswith(f"Training run {run.name} has made no step for 12 min")
    RunMetric.objects.create(run=run, step=101, at=later, values={"loss": 1.0})
    alerts_evaluate(now=later + timedelta(seconds=5))
    assert open_alerts() == []


def test_staleness_fires_when_its_interval_lies_above(objects: Any) -> None:
    from tests.fleet.api.episode_rows import register

    robot, task = builders.enrol().robot, builders.task()
    rule("staleness", {"span": "captured_to_uploaded", "above": 60, "min_n": 20})
    rows = [register(task, robot) for _ in range(25)]
    from fleet.models import Episode

    for row in rows:
        Episode.objects.filter(id=row.id).update(uploaded_at=row.ended_at + timedelta(seconds=300))
    alerts_evaluate()
    [alert] = open_alerts()
    assert (alert.value, alert.n, alert.subject_name) == (pytest.approx(300), 25, "fleet")
    Episode.objects.filter(id__in=[row.id for row in rows[:10]]).delete()
    assert (
        alert_rule_preview(kind="staleness", params={"span": "captured_to_uploaded", "above": 60})[0].finding
        == "between"
    )


def test_a_rule_that_fails_leaves_the_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    robot = builders.enrol().robot
    rule(name="a broken one")
    rule("offline", {"after_s": 300})
    silent(robot, timezone.now() - timedelta(hours=1))

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("no numbers")

    monkeypatch.setattr(alert_reading, "metrics_by", broken)
    assert alerts_evaluate() == 1
    assert len(open_alerts()) == 1
