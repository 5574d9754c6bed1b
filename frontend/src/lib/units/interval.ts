/** A success rate with what makes it honest: its 95 % Wilson interval and its n. */

import { formatCount, formatPercent, HARD_SPACE, withUnit } from "@/lib/units/format";
import type { Fraction } from "@/lib/units/quantity";

export interface Proportion {
  readonly successes: number;
  readonly n: number;
  readonly rate: Fraction;
  readonly low: Fraction;
  readonly high: Fraction;
}

/** "48–74 %" */
export function formatInterval({ low, high }: Pick<Proportion, "low" | "high">): string {
  const text = (value: Fraction) => `${Math.round(value * 100)}`;
  return withUnit(`${text(low)}–${text(high)}`, "%");
}

/** "62 % (95 % interval 48–74 %, n = 45)"; "no episodes yet" without observations. */
export function formatProportion(value: Proportion): string {
  if (value.n === 0) return "no episodes yet";
  const interval = `95${HARD_SPACE}% interval ${formatInterval(value)}`;
  return `${formatPercent(value.rate)} (${interval}, n = ${formatCount(value.n)})`;
}
