/** What the pages of versions say, in words and figures. */

import type { Measure, Rate } from "@/features/versions/api/versions";
import { formatCount, formatPercent, HARD_SPACE } from "@/lib/units/format";
import { formatInterval } from "@/lib/units/interval";
import { fraction } from "@/lib/units/quantity";

export const MEASURE_NAMES: Readonly<Record<string, string>> = {
  success: "Autonomous success",
  intervention: "Episodes without intervention",
  interventions: "Episodes with intervention",
};

/** "62 %, 48–74 %, n = 45" */
export function rateText(rate: Rate | null): string {
  if (rate === null) return "no episodes";
  const interval = formatInterval({ low: fraction(rate.low), high: fraction(rate.high) });
  return `${formatPercent(fraction(rate.rate))}, ${interval}, n${HARD_SPACE}=${HARD_SPACE}${formatCount(rate.n)}`;
}

/** "−12 points, −20 to −4" */
export function pointsText(value: { readonly estimate: number; readonly low: number; readonly high: number }): string {
  return `${signed(value.estimate)}${HARD_SPACE}points, ${signed(value.low)} to ${signed(value.high)}`;
}

const signed = (value: number): string => {
  const points = Math.round(value * 100);
  return points > 0 ? `+${points}` : points < 0 ? `−${-points}` : "0";
};

/** Share of good episodes, "9 of 12"; "–" before the first. */
export const goodText = (good: number, of: number): string => (of === 0 ? "–" : `${formatCount(good)} of ${formatCount(of)}`);

export const oddsText = (odds: number): string =>
  odds >= 1_000_000 ? "over 1,000,000 : 1" : `${odds >= 10 ? formatCount(Math.round(odds)) : odds.toPrecision(2)} : 1`;

/** How far the evidence is on its way, in [0, 1], on the scale on which it grows: logarithms. */
export const progressOf = (odds: number, limit: number): number =>
  Math.min(1, Math.max(0, Math.log(Math.max(odds, 1)) / Math.log(limit)));

export const isDecisive = (measure: Measure): boolean =>
  measure.harm >= measure.harm_limit || measure.worth >= measure.worth_limit;

export const STRATEGIES = [
  { value: "immediate", label: "Immediate", about: "Every new version goes to all robots at once." },
  { value: "canary", label: "Canary", about: "Some robots try a new version; their episodes decide." },
  { value: "manual", label: "Manual", about: "New versions wait until somebody promotes one." },
] as const;

const done: Readonly<Record<string, string>> = {
  promote: "promoted",
  pause: "paused",
  resume: "resumed",
  "roll back": "rolled back",
  "roll back to": "rolled back to",
  pin: "pinned",
  shadow: "shadowed",
};

/** What was done to a version, before its number: "promoted", "strategy manual". */
export const eventText = (kind: string): string => done[kind] ?? kind;
