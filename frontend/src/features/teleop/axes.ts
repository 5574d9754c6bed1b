/** The actions of a robot as the cockpit sees them: their order, and which keep their value when nobody moves them. */

export interface Axes {
  readonly names: readonly string[];
  readonly isKept: readonly boolean[];
}

export const axesOf = (names: readonly string[], keptNames: readonly string[]): Axes => ({
  names,
  isKept: names.map((name) => keptNames.includes(name)),
});

export const clamp = (value: number, low = -1, high = 1): number => Math.min(high, Math.max(low, value));
