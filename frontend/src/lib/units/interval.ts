/** A success rate with what makes it honest: its 95 % Wilson interval and its n. */

import { formatCount, formatPercent, HARD_SPACE, withUnit } from "@/lib/units/format";
import { type Fraction, fraction } from "@/lib/units/quantity";

export interface Proportion {
  readonly successes: number;
  readonly n: number;
  readonly rate: Fraction;
  readonly low: Fraction;
  readonly high: Fraction;
}

const Z_95 = 1.959963984540054;

/**
 * Wilson score interval of `successes` out of `n`, at 95 %.
 *
 * The server sends intervals of its own; this one serves sums made in the browser. Without observations the rate is
 * unknown, so the interval is all of [0, 1].
 */
export function wilson(successes: number, n: number): Proportion {
  if (n === 0) return { successes, n, rate: fraction(0), low: fraction(0), high: fraction(1) };
  const rate = successes / n;
  const spread = Z_95 * Math.sqrt((rate * (1 - rate)) / n + (Z_95 * Z_95) / (4 * n * n));
  const centre = rate + (Z_95 * Z_95) / (2 * n);
  const scale = 1 + (Z_95 * Z_95) / n;
  return {
    successes,
    n,
    rate: fraction(rate),
    low: fraction(Math.max(0, (centre - spread) / scale)),
    high: fraction(Math.min(1, (centre + spread) / scale)),
  };
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
