/**
 * Which key, stick or button does what; kept in this browser for each kind of robot. Pure, apart from load and save.
 *
 * A target is what is done ("axis:0:+", "toggle:3", "speed:2"), a source what the hand does ("key:KeyW", "stick:1:-",
 * "button:0"). Keys go by their place on the keyboard (KeyboardEvent.code), so WASD is a cross on every layout.
 */

import type { Axes } from "@/features/teleop/axes";

export type Target = string;
export type InputSource = string;
export type Bindings = Readonly<Record<Target, readonly InputSource[]>>;

export const SPEEDS = [0.25, 0.5, 1] as const;

/** Keys that the cockpit or the browser needs; STOP among them, which nobody shall bind away. */
export const RESERVED: ReadonlySet<InputSource> = new Set(
  ["Period", "Pause", "Escape", "Enter", "NumpadEnter", "Tab", "Slash", "KeyT", "KeyH", "KeyV", "KeyG", "KeyB", "KeyN", "KeyX", "KeyC"].map(
    (code) => `key:${code}`,
  ),
);

type Pair = readonly [plus: readonly InputSource[], minus: readonly InputSource[]];

// Right, away, up: then the turns, if the robot has them.
const movingDefaults: readonly Pair[] = [
  [
    ["key:KeyD", "key:ArrowRight", "stick:0:+"],
    ["key:KeyA", "key:ArrowLeft", "stick:0:-"],
  ],
  [
    ["key:KeyW", "key:ArrowUp", "stick:1:-"],
    ["key:KeyS", "key:ArrowDown", "stick:1:+"],
  ],
  [
    ["key:KeyR", "key:KeyE", "stick:3:-"],
    ["key:KeyF", "key:KeyQ", "stick:3:+"],
  ],
  [
    ["key:KeyL", "stick:2:+"],
    ["key:KeyJ", "stick:2:-"],
  ],
  [
    ["key:KeyI", "button:12"],
    ["key:KeyK", "button:13"],
  ],
  [
    ["key:KeyO", "button:15"],
    ["key:KeyU", "button:14"],
  ],
];
const toggleDefaults: readonly (readonly InputSource[])[] = [["key:Space", "button:0"], ["key:KeyZ", "button:1"]];
const speedDefaults: readonly (readonly InputSource[])[] = [["key:Digit1"], ["key:Digit2"], ["key:Digit3"]];

export interface TargetInfo {
  readonly target: Target;
  readonly label: string;
}

/** Everything that can be bound for a robot with these axes, in the order it is listed. */
export function targetsOf(axes: Axes): readonly TargetInfo[] {
  const moves = axes.names.flatMap((name, index) =>
    axes.isKept[index]
      ? [{ target: `toggle:${index}`, label: `${name}: open or close` }]
      : [
          { target: `axis:${index}:+`, label: `${name} +` },
          { target: `axis:${index}:-`, label: `${name} −` },
        ],
  );
  const speeds = SPEEDS.map((share, index) => ({ target: `speed:${index}`, label: `Speed ${share * 100} %` }));
  return [...moves, ...speeds];
}

export function defaultBindings(axes: Axes): Bindings {
  const bound: Record<Target, readonly InputSource[]> = {};
  let moving = 0;
  let kept = 0;
  axes.names.forEach((_, index) => {
    if (axes.isKept[index]) {
      bound[`toggle:${index}`] = toggleDefaults[kept] ?? [];
      kept += 1;
    } else {
      const pair = movingDefaults[moving] ?? [[], []];
      bound[`axis:${index}:+`] = pair[0];
      bound[`axis:${index}:-`] = pair[1];
      moving += 1;
    }
  });
  SPEEDS.forEach((_, index) => (bound[`speed:${index}`] = speedDefaults[index] ?? []));
  return bound;
}

/** Give `source` to `target` in place of what it had of the same device; whoever had the source loses it. */
export function rebind(bindings: Bindings, target: Target, source: InputSource): Bindings {
  if (RESERVED.has(source)) return bindings;
  const isKey = source.startsWith("key:");
  const free = Object.fromEntries(
    Object.entries(bindings).map(([each, sources]) => [each, sources.filter((other) => other !== source)]),
  );
  const others = (free[target] ?? []).filter((other) => other.startsWith("key:") !== isKey);
  return { ...free, [target]: isKey ? [source, ...others] : [...others, source] };
}

const storageKey = (axes: Axes): string => `sop.teleop.bindings.${axes.names.join(",")}`;

/** What was saved for this kind of robot; the defaults for what is missing or not understood. */
export function loadBindings(axes: Axes): Bindings {
  const fallback = defaultBindings(axes);
  try {
    const saved: unknown = JSON.parse(localStorage.getItem(storageKey(axes)) ?? "null");
    if (typeof saved !== "object" || saved === null) return fallback;
    const known = Object.entries(saved as Record<string, unknown>).filter(
      (entry): entry is [Target, InputSource[]] => entry[0] in fallback && isSources(entry[1]),
    );
    return { ...fallback, ...Object.fromEntries(known) };
  } catch {
    return fallback;
  }
}

export function saveBindings(axes: Axes, bindings: Bindings): void {
  try {
    localStorage.setItem(storageKey(axes), JSON.stringify(bindings));
  } catch {
    // Storage may be forbidden: then they last as long as the page.
  }
}

const isSources = (value: unknown): boolean =>
  Array.isArray(value) && value.length <= 8 && value.every((item) => typeof item === "string" && !RESERVED.has(item));

const words: Readonly<Record<string, string>> = {
  Space: "Space",
  ArrowLeft: "←",
  ArrowRight: "→",
  ArrowUp: "↑",
  ArrowDown: "↓",
};

/** A source as people say it: "W", "→", "stick 1 −", "button 0". */
export function sourceLabel(source: InputSource): string {
  const [kind, code = "", sign = ""] = source.split(":");
  if (kind === "stick") return `stick ${code} ${sign === "-" ? "−" : "+"}`;
  if (kind === "button") return `button ${code}`;
  return words[code] ?? code.replace(/^Key|^Digit/, "");
}
