"""The charts of what goes on around episodes, held against the rows: latencies, backlog, operators, robots."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from benchmarks.dashboard_checked import Checked
from benchmarks.dashboard_truth import Asked, Numbers, Row, fetch, middle, percentiles


def loop(c: Checked) -> None:
    shown = c.answer("loop")
    edges = shown["edges_ms"]
    assert (edges[0], edges[-1]) == (c.asked.since, c.asked.until)
    wanted = _spans(c)
    assert {each["span"]["name"] for each in shown["spans"]} == set(wanted)
    for series in shown["spans"]:
        pairs = sorted(wanted[series["span"]["name"]])
        times = [at for at, _ in pairs]
        name = f"loop: {series['span']['title']}"
        c.compared.same(name, series["total"], percentiles([value for _, value in pairs]), where=".total")
        for place, (one, other) in enumerate(pairwise(edges)):
            values = [value for _, value in pairs[bisect_left(times, one) : bisect_left(times, other)]]
            c.compared.same(name, series["points"][place], percentiles(values), where=f"[{place}]")
    waiting = [row for row in c.rows if c.asked.holds(row)]
    ended, indexed = sorted(row.ended for row in waiting), sorted(row.indexed for row in waiting)
    backlog = [bisect_left(ended, edge) - bisect_left(indexed, edge) for edge in edges[1:]]
    c.compared.same("backlog", shown["backlog"], backlog)


def _spans(c: Checked) -> dict[str, list[tuple[int, float]]]:
    def between(one: str, other: str) -> list[tuple[int, float]]:
        both = [(row.ended, getattr(row, one), getattr(row, other)) for row in c.own]
        return [(at, (end - start) / 1000) for at, start, end in both if start is not None and end is not None]

    asked = c.asked
    published = fetch(
        "SELECT id::text, run_id::text, number, step, {ms:trained_at}, {ms:published_at} FROM fleet_policyversion "
        "ORDER BY published_at"
    )
    mine = {
        row[0]: row
        for row in published
        if (asked.run is None or row[1] == asked.run)
        and (not asked.versions or row[0] in asked.versions)
        and asked.since <= row[5] < asked.until
    }
    deployed = [
        (mine[version][5], fetched, applied)
        for robot, version, fetched, applied in fetch(
            "SELECT robot_id::text, version_id::text, {ms:fetched_at}, {ms:applied_at} FROM fleet_policydeployment "
            "WHERE fetched_at IS NOT NULL AND applied_at IS NOT NULL"
        )
        if version in mine and (not asked.robots or robot in asked.robots)
    ]
    stale = _stale(c.own, published)
    return {
        "captured_to_uploaded": between("ended", "uploaded"),
        "uploaded_to_indexed": between("uploaded", "indexed"),
        "indexed_to_sampled": between("indexed", "sampled"),
        "episode_to_learner": between("ended", "sampled"),
        "trained_to_published": [(row[5], (row[5] - row[4]) / 1000) for row in mine.values() if row[2] >= 1],
        "published_to_fetched": [(at, (fetched - at) / 1000) for at, fetched, _ in deployed],
        "published_to_applied": [(at, (applied - at) / 1000) for at, _, applied in deployed],
        "staleness_s": [(at, seconds) for at, seconds, _ in stale],
        "staleness_steps": [(at, float(steps)) for at, _, steps in stale],
    }


def _stale(rows: Sequence[Row], published: Sequence[tuple[Any, ...]]) -> list[tuple[int, float, int]]:
    """Return (ended, seconds, steps) by which the driving version was older than the newest one of its run."""
    of_run: dict[str, list[tuple[int, int]]] = {}
    known: dict[str, tuple[int, int]] = {}
    for pk, run, _, step, _, at in published:
        of_run.setdefault(run, []).append((at, step))
        known[pk] = (at, step)
    found = []
    for row in rows:
        if row.version is None or row.run is None:
            continue
        out = of_run[row.run]
        place = bisect_right(out, row.started, key=lambda version: version[0])
        at, step = known[row.version]
        if place and out[place - 1][0] >= at:
            found.append((row.ended, (out[place - 1][0] - at) / 1000, out[place - 1][1] - step))
    return found


def operators(c: Checked) -> None:
    shown = c.answer("operators")
    asked, edges = c.asked, shown["edges_ms"]
    requests = [
        row[2:]
        for row in fetch(
            "SELECT h.robot_id::text, t.slug, {ms:h.opened_at}, {ms:h.claimed_at}, {ms:h.closed_at} "
            "FROM fleet_helprequest AS h LEFT JOIN fleet_task AS t ON t.id = h.task_id WHERE closed_at IS NOT NULL"
        )
        if asked.since <= row[4] < asked.until
        and (not asked.robots or row[0] in asked.robots)
        and (not asked.tasks or row[1] in asked.tasks)
    ]
    c.compared.same("operators", shown["total"], _waits(requests), where=".total")
    for place, (one, other) in enumerate(pairwise(edges)):
        part = [row for row in requests if one <= row[2] < other]
        c.compared.same("operators", shown["points"][place], _waits(part), where=f"[{place}]")
    people: dict[str, list[tuple[Any, ...]]] = {}
    statement = "SELECT operator, robot_id::text, {ms:granted_at}, {ms:released_at} FROM fleet_lease"
    for name, *lease in fetch(f"{statement} WHERE source = 'person' ORDER BY granted_at"):
        if lease[1] < asked.until and lease[2] >= asked.since and (not asked.robots or lease[0] in asked.robots):
            people.setdefault(name, []).append(tuple(lease))
    assert not shown["is_cut"] and [each["operator"] for each in shown["operators"]] == sorted(people)[:100]
    for each in shown["operators"]:
        wanted = _person(people[each["operator"]], asked)
        c.compared.same("operators", each, wanted, where=f".{each['operator']}")


def _waits(requests: Sequence[tuple[int, int | None, int]]) -> Numbers:
    taken = [(opened, claimed, closed) for opened, claimed, closed in requests if claimed is not None]
    return {
        "answered": len(taken),
        "unanswered": len(requests) - len(taken),
        "waiting": middle([(claimed - opened) / 1000 for opened, claimed, _ in taken]),
        "service": middle([(closed - claimed) / 1000 for _, claimed, closed in taken]),
    }


def _person(leases: Sequence[tuple[Any, ...]], asked: Asked) -> Numbers:
    begun = [lease for lease in leases if lease[1] >= asked.since]
    held, reached = 0, asked.since
    for _, granted, released in leases:
        start, stop = max(granted, reached), min(released, asked.until)
        held, reached = held + max(0, stop - start), max(reached, stop)
    return {
        "takeovers": len(begun),
        "switches": sum(one[0] != other[0] for one, other in pairwise(begun)),
        "robots": len({lease[0] for lease in leases}),
        "dwell": middle([(released - granted) / 1000 for _, granted, released in begun]),
        "held_s": held / 1000,
        "utilisation": min(1.0, held / max(1000, asked.until - asked.since)),
    }


def robot_states(c: Checked) -> None:
    shown = c.answer("robot-states")
    edges = shown["edges_ms"]
    points = [dict.fromkeys(shown["states"], 0.0) for _ in edges[1:]]
    names = dict(fetch("SELECT id::text, name FROM fleet_robot"))
    own = {pk: dict.fromkeys(shown["states"], 0.0) for pk in names if not c.asked.robots or pk in c.asked.robots}
    rows = fetch("SELECT robot_id::text, state, {ms:started_at}, {ms:COALESCE(ended_at, now())} "
                 "FROM fleet_robotstateinterval")  # fmt: skip
    for robot, state, started, ended in rows:
        if robot not in own:
            continue
        first = max(0, bisect_right(edges, started) - 1)
        for place in range(first, min(len(points), bisect_left(edges, ended))):
            seconds = (min(ended, edges[place + 1]) - max(started, edges[place])) / 1000
            if seconds > 0:
                points[place][state] += seconds
                own[robot][state] += seconds
    c.compared.same("robot states", shown["points"], points)
    c.compared.same("robot states", {each["robot_id"]: each["seconds"] for each in shown["robots"]}, own)
