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
from benchmarks.experiments.statistics import time_to_target, wilson
from benchmarks.experiments.study import RESULTS

Row = dict[str, str]
ROBOT_FRAMES_A_MINUTE = 600
TARGETS = (0.75, TARGET)


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


def mean_curve(rows: Sequence[Row]) -> tuple[list[float], list[float]]:
    """Return minutes and success rates of a learning curve, all seeds' episodes together."""
    points = sorted((float(minutes), rate(found)) for (minutes,), found in groups(rows, "minutes"))
    return [minutes for minutes, _ in points], [successes / n for _, (successes, n, _, _) in points]


def times_to(target: float, rows: Sequence[Row]) -> dict[int, tuple[float, bool]]:
    """Return by number of robots when the mean curve reaches `target`, or (its end, False)."""
    times = {}
    for (robots,), found in groups(rows, "robots"):
        minutes, rates = mean_curve(found)
        reached = time_to_target(minutes, rates, target)
        times[int(robots)] = (minutes[-1], False) if reached is None else (reached, True)
    return times


def efficiencies(target: float, rows: Sequence[Row]) -> dict[int, str]:
    """Return by number of robots: time of one robot / (robots * time), as text; a bound where one did not arrive."""
    times = times_to(target, rows)
    if 1 not in times:
        return {}
    (one, is_exact), shown = times[1], {}
    for robots, (minutes, is_reached) in times.items():
        value = f"{one / (robots * minutes):.2f}"
        shown[robots] = value if is_exact and is_reached else f"> {value}" if is_reached else "-"
    return shown


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


def _methods(name: str) -> Callable[[], str]:
    def table() -> str:
        lines = ["| method | robot min | human min | pooled | by seed | shelf-place | bin-picking | box-close |"]
        for (method,), rows in groups(read(name), "method"):
            by_task = dict(groups(rows, "task"))
            robot = np.mean([float(row["robot_minutes"]) for row in rows])
            tasks = " | ".join(f"{rate(found)[0] / rate(found)[1]:.2f}" for found in by_task.values())
            lines.append(f"| {method} | {robot:.1f} | {_human(rows)} | {_cell(rows)} | {_seeds(rows)} | {tasks} |")
        return _table(lines)

    return table


def scaling() -> str:
    rows, curves = read("scaling.csv"), read("scaling_curves.csv")
    columns = " | ".join(f"minutes to {target} | efficiency" for target in TARGETS)
    lines = [f"| robots | {columns} | to {TARGET} by seed | at the end | of minutes | human min |"]
    found = [(times_to(target, curves), efficiencies(target, curves)) for target in TARGETS]
    for (robots,), group in groups(rows, "robots"):
        number = int(robots)
        cells = [f"{_time(*times[number])} | {shown.get(number, '-')}" for times, shown in found]
        seeds = ", ".join(row["minutes_to_target"] or "-" for row in group)
        end = f"{_cell(group)} | {group[0]['minutes']} | {_human(group)}"
        lines.append(f"| {robots} | {' | '.join(cells)} | {seeds} | {end} |")
    return _table(lines)


def _time(minutes: float, is_reached: bool) -> str:
    return f"{minutes:.1f}" if is_reached else f"> {minutes:.0f}"


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
    "methods": _methods("methods.csv"),
    "longer": _methods("longer.csv"),
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
