"""The Meta-World tasks a simulated robot offers, and what each needs besides Meta-World's own definition.

Read by the simulation (start vectors), the cameras (view, colours) and the driver's `info`. All tasks have a goal that
is a physical thing in the picture; the goal markers of Meta-World are never drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Rgb = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class View:
    """A free camera: metres and degrees, as MuJoCo's MjvCamera."""

    lookat: tuple[float, float, float] = (0.0, 0.70, 0.10)
    distance: float = 0.85
    azimuth: float = 120.0
    elevation: float = -35.0


@dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """One task. instruction: what a person would say, given to the policy.

    min_distance_m: Meta-World redraws start vectors whose object and goal are nearer than this, for ever if the
    vector is frozen; so they are rejected before. None: it redraws nothing.
    paint: body name -> colour, where Meta-World's wood on wood cannot be told apart at 64x64.
    """

    instruction: str
    view: View = field(default_factory=View)
    min_distance_m: float | None = None
    paint: dict[str, Rgb] = field(default_factory=dict)


TASKS: dict[str, TaskSpec] = {
    "shelf-place": TaskSpec(
        instruction="put the block on the shelf",
        view=View(lookat=(0.0, 0.68, 0.17), distance=0.95, azimuth=125.0, elevation=-30.0),
        min_distance_m=0.1,
    ),
    "bin-picking": TaskSpec(
        instruction="move the block from the left bin to the right bin",
        view=View(lookat=(0.0, 0.70, 0.08), distance=0.75, azimuth=120.0, elevation=-40.0),
    ),
    "box-close": TaskSpec(
        instruction="pick up the lid and close the box",
        view=View(lookat=(0.0, 0.65, 0.08), distance=0.80, azimuth=125.0, elevation=-42.0),
        min_distance_m=0.25,
        paint={"top_link": (0.95, 0.75, 0.10), "boxbody": (0.15, 0.45, 0.85), "box": (0.15, 0.45, 0.85)},
    ),
    "drawer-open": TaskSpec(instruction="open the drawer", view=View(lookat=(0.0, 0.72, 0.10), distance=0.95)),
    "assembly": TaskSpec(
        instruction="put the ring on the peg",
        view=View(lookat=(0.0, 0.70, 0.08)),
        min_distance_m=0.1,
    ),
    "peg-insert-side": TaskSpec(
        instruction="insert the peg into the hole in the side of the box",
        view=View(lookat=(-0.08, 0.60, 0.08), distance=0.95),
        min_distance_m=0.1,
    ),
    "disassemble": TaskSpec(
        instruction="pull the ring off the peg",
        view=View(lookat=(0.0, 0.68, 0.08)),
        min_distance_m=0.1,
    ),
}
