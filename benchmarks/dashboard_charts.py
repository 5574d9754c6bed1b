"""Holds every number that the charts' API answers against one computed from the rows (dashboard_truth.py).

    compared = compare_all(get, run=..., asked=[...])

Called by benchmarks/dashboard.py with a running server at 100,000 episodes, and by its property test with Django's
client at a few. `get(path, query)` returns the answer's JSON.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

from benchmarks.dashboard_checked import Checked, Compared, Get, iso
from benchmarks.dashboard_truth import (
    HOUR_S,
    Asked,
    Numbers,
    Row,
    best_chances,
    counts,
    difference,
    episodes,
    fetch,
    measured,
    share,
)
from benchmarks.dashboard_work import loop, operators, robot_states

GROUPS: dict[str, Callable[[Row], str]] = {
    "task": lambda row: row.task_id,
    "robot": lambda row: row.robot,
    "version": lambda row: row.version or "none",
}
MOST_GROUPS = 100
WINDOW = 50  # episodes of the time to target
FEWEST = 10  # terminated episodes of a version that may be the best
SUCCESS_WINDOW_S = 3600


def compare_all(get: Get, *, run: str, asked: Sequence[tuple[Asked, str, str]]) -> dict[str, int]:
    """Compare every chart under each (filter, zone, bucket size); return how many numbers were equal by chart.

    Raises: AssertionError at the first number that is not.
    """
    rows, compared = episodes(), Compared()
    for filtered, zone, by in asked:
        checked = Checked(get, compared, rows, filtered, run, zone, by)
        for check in (over_time, by_group, compare, best_version, loop, operators, robot_states, target, success):
            check(checked)
    versions_pages(get, compared, rows, run)
    return compared.counts


def over_time(c: Checked) -> None:
    shown = c.answer("over-time")
    names = [each["name"] for each in shown["measures"]]
    edges = [shown["range"]["since_ms"], *(point["until_ms"] for point in shown["points"])]
    assert [point["since_ms"] for point in shown["points"]] == edges[:-1], "buckets leave a gap"
    parts = _cut(c, shown["range"], edges)
    c.compared.same("over time", shown["total"], c.estimates(names, c.own), where=".total")
    for point, part in zip(shown["points"], parts, strict=True):
        c.compared.same("over time", point["estimates"], c.estimates(names, part), where=f"@{point['since_ms']}")
    targets = fetch("SELECT slug, target_rate, is_active FROM fleet_task")
    wanted = {slug: rate for slug, rate, active in targets if (slug in c.asked.tasks if c.asked.tasks else active)}
    c.compared.same("over time", {each["task"]: each["target"] for each in shown["targets"]}, wanted)


def _cut(c: Checked, span: Numbers, edges: list[int]) -> list[list[Row]]:
    """Return the episodes by bucket; each lies within one hour, day, week or month of the zone's own clock."""
    assert (edges[0], edges[-1]) == (c.asked.since, c.asked.until) == (span["since_ms"], span["until_ms"])
    ends = [row.ended for row in c.own]
    parts = [c.own[bisect_left(ends, one) : bisect_left(ends, other)] for one, other in pairwise(edges)]
    zone = ZoneInfo(c.zone)
    form = {
        "quarter": "%Y-%m-%d %H:%M%z",
        "hour": "%Y-%m-%d %H%z",
        "day": "%Y-%m-%d",
        "week": "%G-%V",
        "month": "%Y-%m",
    }
    of_label: dict[str, int] = {}
    for place, part in enumerate(parts):
        for row in part:
            at = datetime.fromtimestamp(row.ended / 1000, zone)
            at = at.replace(minute=at.minute // 15 * 15) if span["by"] == "quarter" else at
            label = at.strftime(form[span["by"]])
            assert of_label.setdefault(label, place) == place, f"{label} lies in two buckets"
    places = list(of_label.values())
    assert len(set(places)) == len(places), f"two {span['by']}s lie in one bucket"
    return parts


def by_group(c: Checked) -> None:
    for group, key in GROUPS.items():
        shown = c.answer(f"by-{group}")
        names = [each["name"] for each in shown["measures"]]
        parts = _parts(c, key)
        kept = set(parts) if group != "version" else set(_newest_versions(parts))
        assert {each["key"] for each in shown["groups"]} == kept
        c.compared.same(f"by {group}", shown["left_out"], len(parts) - len(kept))
        for each in shown["groups"]:
            wanted = c.estimates(names, parts[each["key"]])
            c.compared.same(f"by {group}", each["estimates"], wanted, where=f".{each['label']}")


def _parts(c: Checked, key: Callable[[Row], str]) -> dict[str, list[Row]]:
    parts: dict[str, list[Row]] = {}
    for row in c.own:
        parts.setdefault(key(row), []).append(row)
    return parts


def _newest_versions(parts: dict[str, list[Row]]) -> list[str]:
    """Those without a version come first, then by age; the newest are shown."""
    rows = fetch("SELECT id::text FROM fleet_policyversion ORDER BY published_at, number")
    ordered = ["none", *(pk for (pk,) in rows)]
    return [pk for pk in ordered if pk in parts][-MOST_GROUPS:]


def compare(c: Checked) -> None:
    """The two halves of the range, and the first two versions in it."""
    halfway = c.asked.since + (c.asked.until - c.asked.since) // 1_800_000 * 900_000
    if halfway > c.asked.since:
        sides = replace(c.asked, until=halfway), replace(c.asked, since=halfway)
        ends = dict(zip(("first_since", "first_until", "second_since", "second_until"),
                        (iso(end) for side in sides for end in (side.since, side.until)), strict=True))  # fmt: skip
        _compare(c, "two periods", sides, ends)
    versions = sorted({row.version for row in c.own if row.version})[:2]
    if len(versions) == 2:
        one, other = (replace(c.asked, versions=(version,)) for version in versions)
        _compare(c, "two versions", (one, other), {"first": versions[0], "second": versions[1]})


def _compare(c: Checked, chart: str, sides: tuple[Asked, Asked], query: dict[str, str]) -> None:
    for of in ("unaided", "success"):
        shown = c.answer("compare", of=of, **query)
        ones, others = (side.of(c.rows) for side in sides)
        for name, rows in (("first", ones), ("second", others)):
            wanted = {each: measured(each, rows, (1, 1)) for each in shown[name]["estimates"]}
            c.compared.same(chart, shown[name]["estimates"], wanted, where=f".{name}")
        pairs = []
        for task in sorted({row.task for row in ones} & {row.task for row in others}):
            pair = tuple([row for row in rows if row.task == task] for rows in (ones, others))
            if all(any(row.is_terminated for row in rows) for rows in pair):
                pairs.append(pair)
        n = [sum(row.is_terminated for pair in pairs for row in pair[place]) for place in (0, 1)]
        wanted = {"n": n, "success": _of_shares(pairs, of), "interventions": _of_rates(pairs)}
        c.compared.same(chart, shown, wanted, where=f".{of}")


def _of_shares(pairs: Sequence[tuple[list[Row], ...]], of: str) -> Numbers | None:
    strata, excess, variance = [], 0.0, 0.0
    for pair in pairs:
        (a, n1), (b, n0) = (_wins(rows, of) for rows in pair)
        total, wins = n1 + n0, a + b
        strata.append((share(a, n1), share(b, n0), n1 * n0 / total))
        excess += a - n1 * wins / total
        variance += n1 * n0 * wins * (total - wins) / (total**2 * max(1, total - 1))
    return difference(strata, excess, variance)


def _wins(rows: Sequence[Row], of: str) -> tuple[int, int]:
    ended = [row for row in rows if row.is_terminated]
    return sum(row.is_won and (of == "success" or row.human == 0) for row in ended), len(ended)


def _of_rates(pairs: Sequence[tuple[list[Row], ...]]) -> Numbers | None:
    strata, excess, variance = [], 0.0, 0.0
    for pair in pairs:
        (a, t1), (b, t0) = (
            (sum(row.takeovers for row in rows), sum(row.seconds for row in rows) / HOUR_S) for rows in pair
        )
        one, other = ((k / t, counts(k)[0] / t, counts(k)[1] / t) for k, t in ((a, t1), (b, t0)))
        strata.append((one, other, t1 * t0 / (t1 + t0)))
        excess += a - (a + b) * t1 / (t1 + t0)
        variance += (a + b) * t1 * t0 / (t1 + t0) ** 2
    return difference(strata, excess, variance)


def best_version(c: Checked) -> None:
    for of in ("unaided", "success"):
        shown = c.answer("best-version", of=of)
        parts = _parts(c, GROUPS["version"])
        kept = {pk: _wins(parts[pk], of) for pk in _newest_versions(parts) if pk != "none"}
        enough = {pk: pair for pk, pair in kept.items() if pair[1] >= FEWEST}
        chances = dict(zip(enough, best_chances(list(enough.values())), strict=True))
        assert {each["key"] for each in shown["versions"]} == {pk for pk, (_, n) in kept.items() if n}
        for each in shown["versions"]:
            wanted = measured(of, parts[each["key"]], c.crew)
            c.compared.same("best version", each["estimate"], wanted, where=f".{each['label']}")
            chance = chances.get(each["key"])
            assert (each["chance"] is None) == (chance is None), each["label"]
            assert chance is None or abs(each["chance"] - chance) < 2e-3, f"{each['label']}: {each['chance']}, {chance}"
        ranks = [each["chance"] for each in shown["versions"] if each["chance"] is not None]
        assert ranks == sorted(ranks, reverse=True)


def target(c: Checked) -> None:
    shown = c.get("/api/v1/metrics/time-to-target", {"run": c.run, "task": list(c.asked.tasks)})
    (begun,) = (at for pk, at in fetch("SELECT id::text, {ms:created_at} FROM fleet_trainingrun") if pk == c.run)
    rates = dict(fetch("SELECT slug, target_rate FROM fleet_task WHERE is_active"))
    assert {each["task"] for each in shown["tasks"]} == set(c.asked.tasks or rates)
    for each in shown["tasks"]:
        mine = [row for row in c.rows if row.task == each["task"] and row.run == c.run and row.origin == "online"]
        won = [row.is_won and row.human == 0 for row in mine if row.is_terminated]
        ends = [row.ended for row in mine if row.is_terminated]
        sums = [sum(won[place - WINDOW : place]) for place in range(WINDOW, len(won) + 1)]
        need = round(rates[each["task"]] * WINDOW, 9)
        first = next((place for place, wins in enumerate(sums) if wins >= need), None)
        seconds = None if first is None else (ends[first + WINDOW - 1] - begun) / 1000
        wanted = {
            "seconds": seconds,
            "at_reaching": None if first is None else _numbers(sums[first], WINDOW),
            "newest": _numbers(sums[-1], WINDOW) if sums else None,
        }
        c.compared.same("time to target", each, wanted, where=f".{each['task']}")


def _numbers(wins: int, n: int) -> Numbers:
    rate, low, high = share(wins, n)
    return {"successes": wins, "n": n, "rate": rate, "low": low, "high": high}


def success(c: Checked) -> None:
    """The live pages' sliding window, of one task or all."""
    query = {"window_s": SUCCESS_WINDOW_S} | ({"task": c.asked.tasks[0]} if c.asked.tasks else {})
    shown = c.get("/api/v1/metrics/success", query)
    mine = [row for row in c.rows if row.origin == "online" and row.is_terminated]
    mine = [row for row in mine if not c.asked.tasks or row.task == c.asked.tasks[0]]
    ends = [row.ended for row in mine]
    assert len(shown["points"]) == min(120, len(mine)), "one at each end, or evenly thinned"
    for point in shown["points"]:
        one, other = (bisect_right(ends, at) for at in (point["at_ms"] - 1000 * SUCCESS_WINDOW_S, point["at_ms"]))
        part = mine[one:other]
        wanted = _numbers(sum(row.is_won and row.human == 0 for row in part), len(part))
        c.compared.same("success", point, wanted, where=f"@{point['at_ms']}")


def versions_pages(get: Get, compared: Compared, rows: Sequence[Row], run: str) -> None:
    """The lineage of the run, and the page of its version that drove most."""
    counted = [row for row in rows if row.origin == "online" and not row.is_archived and row.is_terminated]
    parts: dict[str, list[Row]] = {}
    for row in counted:
        if row.version is not None:
            parts.setdefault(row.version, []).append(row)
    for node in get(f"/api/v1/training-runs/{run}/lineage", {})["versions"]:
        compared.same("lineage", node["rates"], _rates(parts.get(node["id"], [])), where=f".v{node['number']}")
    if parts:
        most = max(parts, key=lambda pk: len(parts[pk]))
        tasks = get(f"/api/v1/policy-versions/{most}/report", {})["tasks"]
        assert {each["task"] for each in tasks} == {row.task for row in parts[most]}
        for each in tasks:
            wanted = _rates([row for row in parts[most] if row.task == each["task"]])
            compared.same("version", each, wanted, where=f".{each['task']}")


def _rates(rows: Sequence[Row]) -> Numbers:
    if not rows:
        return {"success": None, "interventions": None}
    won, helped = sum(row.is_won and row.human == 0 for row in rows), sum(row.human > 0 for row in rows)
    return {"success": _numbers(won, len(rows)), "interventions": _numbers(helped, len(rows))}
