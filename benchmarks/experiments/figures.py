"""The figures of docs/experiments.md: `python -m benchmarks.experiments.figures` reads
`benchmarks/experiments/results/*.csv` and writes docs/images/experiments/*.svg. Needs matplotlib
(requirements-dev.txt)."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from benchmarks.experiments.scaling import TARGET
from benchmarks.experiments.spec import TASKS
from benchmarks.experiments.statistics import rising
from benchmarks.experiments.study import REPOSITORY
from benchmarks.experiments.summary import Row, groups, rate, read

FIGURES = REPOSITORY / "docs" / "images" / "experiments"
# Okabe and Ito's colours: told apart with any colour vision, on white and on dark grey.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999")
SIZE = (8.0, 3.8)  # inches


def _bars(axes: Axes, at: Sequence[float], found: Sequence[Sequence[Row]], **style: object) -> None:
    """Draw rates with Wilson intervals, and one dot a seed."""
    rates = [rate(rows) for rows in found]
    values = [successes / n for successes, n, _, _ in rates]
    errors = [
        [value - low for value, (_, _, low, _) in zip(values, rates, strict=True)],
        [high - value for value, (_, _, _, high) in zip(values, rates, strict=True)],
    ]
    axes.bar(at, values, yerr=errors, capsize=3, **style)
    for x, rows in zip(at, found, strict=True):
        seeds = [rate(part) for _, part in groups(rows, "seed")]
        axes.plot([x] * len(seeds), [s / n for s, n, _, _ in seeds], "o", markersize=3, color="black", alpha=0.6)


def _success(axes: Axes) -> None:
    axes.set_ylim(0, 1)
    axes.set_ylabel("success without help")
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _methods(name: str) -> Callable[[], plt.Figure | None]:
    def draw() -> plt.Figure | None:
        rows = read(name)
        if not rows:
            return None
        figure, axes = plt.subplots(figsize=SIZE)
        found = list(groups(rows, "method"))
        width = 0.8 / len(found)
        for k, ((method,), part) in enumerate(found):
            by_task = dict(groups(part, "task"))
            sets = [part, *(by_task.get((task,), []) for task in TASKS)]
            at = [column + (k - len(found) / 2 + 0.5) * width for column in range(len(sets))]
            _bars(axes, at, sets, width=width * 0.92, color=COLOURS[k % len(COLOURS)], label=method)
        axes.set_xticks(range(len(TASKS) + 1), ["pooled", *TASKS])
        _success(axes)
        axes.legend(fontsize=7, ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.18), frameon=False)
        return figure

    return draw


def scaling() -> plt.Figure | None:
    rows = read("scaling_curves.csv")
    if not rows:
        return None
    figure, axes = plt.subplots(figsize=SIZE)
    for k, ((robots,), part) in enumerate(groups(rows, "robots")):
        for j, (_, curve) in enumerate(groups(part, "seed")):
            minutes = [float(row["minutes"]) for row in curve]
            rates = [int(row["successes"]) / int(row["n"]) for row in curve]
            label = f"{robots} robot{'s' if robots != '1' else ''}" if j == 0 else None
            axes.plot(minutes, rates, "o", markersize=3, color=COLOURS[k], alpha=0.6)
            axes.plot(minutes, rising(rates), color=COLOURS[k], label=label)
    axes.axhline(TARGET, color="black", linestyle=":", linewidth=1)
    axes.set_xlabel("virtual minutes since the start")
    _success(axes)
    axes.legend(frameon=False)
    return figure


def _columns(name: str, label: Callable[[Row], str]) -> Callable[[], plt.Figure | None]:
    def draw() -> plt.Figure | None:
        rows = read(name)
        if not rows:
            return None
        sets: dict[str, list[Row]] = {}
        for row in rows:
            sets.setdefault(label(row), []).append(row)
        figure, axes = plt.subplots(figsize=SIZE)
        _bars(axes, list(range(len(sets))), list(sets.values()), color=COLOURS[0], width=0.7)
        axes.set_xticks(range(len(sets)), list(sets), fontsize=7, rotation=20, ha="right")
        _success(axes)
        return figure

    return draw


def _size(row: Row) -> str:
    return f"{row['demonstrations']} demos, {'before' if row['robot_minutes'] == '0.0' else 'after'}"


FIGURE_OF: dict[str, Callable[[], plt.Figure | None]] = {
    "methods": _methods("methods.csv"),
    "longer": _methods("longer.csv"),
    "scaling": scaling,
    "ablations": _columns("ablations.csv", lambda row: row["variant"]),
    "strength": _columns("strength.csv", _size),
    "generality": _columns("generality.csv", lambda row: f"{row['kind']}: {row['task']}"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=FIGURES)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    matplotlib.rcParams["svg.hashsalt"] = "sop"  # the same bytes from the same numbers
    for name, draw in FIGURE_OF.items():
        figure = draw()
        if figure is not None:
            figure.savefig(out / f"{name}.svg", bbox_inches="tight", metadata={"Date": None})
            plt.close(figure)
            print(out / f"{name}.svg")


if __name__ == "__main__":
    main()
