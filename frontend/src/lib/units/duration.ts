/** Durations that people choose: a number in the unit that says it whole. */

const UNITS = [
  { unit: "d", size: 86_400, word: "days" },
  { unit: "h", size: 3600, word: "hours" },
  { unit: "min", size: 60, word: "minutes" },
  { unit: "s", size: 1, word: "seconds" },
] as const;

export type DurationUnit = (typeof UNITS)[number]["unit"];

/** The smallest first, as one chooses among them. */
export const durationUnits = UNITS.toReversed();

export const unitSize = (unit: DurationUnit): number => UNITS.find((each) => each.unit === unit)?.size ?? 1;

/** The largest unit that says these seconds whole; a single day is 24 h, as people say it. */
export function wholeUnit(value: number): DurationUnit {
  const found = UNITS.find(({ unit, size }) => value >= size * (unit === "d" ? 2 : 1) && value % size === 0);
  return found?.unit ?? "s";
}
