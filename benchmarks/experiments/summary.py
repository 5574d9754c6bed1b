"""The studies' tables as people read them: `python -m benchmarks.experiments.summary` prints Markdown for
docs/experiments.md from `benchmarks/experiments/results/*.csv`. Rates come with the 95 % Wilson interval of all
episodes of all seeds, and with the rate of each seed, since episodes of one seed share a policy."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.experiments.scaling import TARGET
from benchmarks.experiments.statistics import wilson
from benchmarks.experiments.study import RESULTS

Row = dict[str, str]
ROBOT_FRAMES_A_MINUTE = 600


def read(name: str, results: Path = RESULTS) -> list[Row]:
    """Return a table's rows; none if it was not made yet."""
    path = results / name
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def groups(rows: Sequence[Row], *keys: str) -> Iterator[tuple[tuple[str, ...], list[Row]]]:
    """Yield rows by the values of `keys`, in the order of their first appearance."""
    found: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row[key] for key in keys), []).append(row)
    yield from found.items()


def rate(rows: Sequence[Row]) -> tuple[int, int, float, float]:
    """Return successes, n and the Wilson interval of all rows together."""
    successes, n = sum(int(row["successes"]) for row in rows), sum(int(row["n"]) for row in rows)
    return successes, n, *wilson(successes, n)


def efficiency(rows: Sequence[Row], *, draws: int = 10_000) -> dict[int, tuple[float, float, float]]:
    """Return by number of robots: efficiency against one robot and its 95 % bootstrap interval over seeds.

    Efficiency is mean time of one robot / (robots * mean time), over seeds that reached the target. A number of robots
    of which a seed did not reach it is left out: its mean is unknown.
    """
    times: dict[int, list[float]] = {}
    for (robots,), found in groups(rows, "robots"):
        if all(row["minutes_to_target"] for row in found):
            times[int(robots)] = [float(row["minutes_to_target"]) for row in found]
    if 1 not in times:
        return {}
    rng = np.random.default_rng(0)
    one = np.array(times[1])
    ones = rng.choice(one, size=(draws, len(one))).mean(axis=1)
    result = {}
    for robots, minutes in times.items():
        many = np.array(minutes)
        # One robot against itself is 1 by definition, so its interval is not drawn from two samples.
        drawn = ones if robots == 1 else rng.choice(many, size=(draws, len(many))).mean(axis=1)
        low, high = np.quantile(ones / (robots * drawn), [0.025, 0.975])
        result[robots] = (float(one.mean() / (robots * many.mean())), float(low), float(high))
    return result


def _cell(rows: Sequence[Row]) -> str:
    if not rows:
        return "-"
    successes, n, low, high = rate(rows)
    return f"{successes}/{n} = {successes / n:.2f} [{low:.2f}, {high:.2f}]"


def _seeds(rows: Sequence[Row]) -> str:
    return ", ".join(f"{rate(found)[0] / rate(found)[1]:.2f}" for _, found in groups(rows, "seed"))


def _human(rows: Sequence[Row], key: str = "seed") -> str:
    frames = {row[key]: float(row["human_frames"]) for row in rows}
    return f"{sum(frames.values()) / len(frames) / ROBOT_FRAMES_A_MINUTE:.1f}"


def methods() -> str:
    lines = ["| method | robot min | human min | pooled | by seed | shelf-place | bin-picking | box-close |"]
    for (method,), rows in groups(read("methods.csv"), "method"):
        by_task = dict(groups(rows, "task"))
        robot = np.mean([float(row["robot_minutes"]) for row in rows])
        tasks = " | ".join(f"{rate(found)[0] / rate(found)[1]:.2f}" for found in by_task.values())
        lines.append(f"| {method} | {robot:.1f} | {_human(rows)} | {_cell(rows)} | {_seeds(rows)} | {tasks} |")
    return _table(lines)


def scaling() -> str:
    rows = read("scaling.csv")
    found = efficiency(rows)
    lines = [f"| robots | minutes to {TARGET} by seed | efficiency | at the end | of minutes | human min |"]
    for (robots,), group in groups(rows, "robots"):
        minutes = ", ".join(row["minutes_to_target"] or "not reached" for row in group)
        value = found.get(int(robots))
        shown = "-" if value is None else f"{value[0]:.2f} [{value[1]:.2f}, {value[2]:.2f}]"
        lines.append(f"| {robots} | {minutes} | {shown} | {_cell(group)} | {group[0]['minutes']} | {_human(group)} |")
    return _table(lines)


def _by(name: str, *keys: str) -> Callable[[], str]:
    def table() -> str:
        lines = ["| " + " | ".join((*keys, "human min", "success", "by seed")) + " |"]
        for values, rows in groups(read(name), *keys):
            lines.append("| " + " | ".join((*values, _human(rows), _cell(rows), _seeds(rows))) + " |")
        return _table(lines)

    return table


def _strength() -> str:
    lines = ["| demonstrations a task | before | after | by seed, after | human min |"]
    for (size,), rows in groups(read("strength.csv"), "demonstrations"):
        before = [row for row in rows if row["robot_minutes"] == "0.0"]
        after = [row for row in rows if row["robot_minutes"] != "0.0"]
        human = _human(after) if after else "-"
        lines.append(f"| {size} | {_cell(before)} | {_cell(after)} | {_seeds(after)} | {human} |")
    return _table(lines)


def _table(lines: list[str]) -> str:
    columns = lines[0].count("|") - 1
    return "\n".join([lines[0], "|" + "---|" * columns, *lines[1:]])


TABLES = {
    "methods": methods,
    "scaling": scaling,
    "ablations": _by("ablations.csv", "variant"),
    "strength": _strength,
    "generality": _by("generality.csv", "kind", "task"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    for name, table in TABLES.items():
        print(f"{name}\n\n{table()}\n")


if __name__ == "__main__":
    main()
