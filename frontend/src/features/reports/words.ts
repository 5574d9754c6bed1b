/** How the reports write their numbers. */

import type { Estimate, Measure } from "@/features/reports/api/metrics";
import { formatCount, formatNumber, withUnit } from "@/lib/units/format";

const one = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 1 });

/** The number and its unit apart. Shares under 10 % have a decimal, durations the unit in which two digits say it. */
function written(value: number, unit: string): readonly [string, string] {
  if (unit === "share") return [Math.abs(value) < 0.1 ? one.format(value * 100) : `${Math.round(value * 100)}`, "%"];
  if (unit === "per_hour") return [value === 0 ? "0" : formatNumber(value), "/ h"];
  if (unit === "steps") return [formatCount(value), "steps"];
  if (unit !== "s") return [value === 0 ? "0" : formatNumber(value), ""];
  const size = Math.abs(value);
  if (size < 120) return [size < 10 ? one.format(value) : `${Math.round(value)}`, "s"];
  return size < 7200 ? [one.format(value / 60), "min"] : [one.format(value / 3600), "h"];
}

/** A value in its unit: "62 %", "41.3 / h", "4.5 min". */
export function formatValue(value: number, unit: string): string {
  const [number, word] = written(value, unit);
  return word === "" ? number : withUnit(number, word);
}

/** An interval with its unit once where both ends have the same: "48–74 %", "50 s–2.1 min". */
export function formatEnds(low: number, high: number, unit: string): string {
  const [from, to] = [written(low, unit), written(high, unit)];
  return from[1] === to[1] ? `${from[0]}–${formatValue(high, unit)}` : `${formatValue(low, unit)}–${formatValue(high, unit)}`;
}

/** n with what it counts, and in how much time where the value is a rate by time. */
export function formatN({ n, exposure }: Estimate, { unit }: Pick<Measure, "unit">): string {
  const count = `n = ${formatCount(n)}`;
  if (unit === "per_hour") return `${count} in ${formatValue(exposure * 3600, "s")}`;
  return unit === "s" ? `${count} in ${formatValue(exposure, "s")}` : count;
}

/** "62 % (48–74 %, n = 45)" */
export function formatEstimate(estimate: Estimate, measure: Pick<Measure, "unit">): string {
  const { value, low, high } = estimate;
  if (value === null) return `– (${formatN(estimate, measure)})`;
  const ends = low !== null && high !== null ? `${formatEnds(low, high, measure.unit)}, ` : "";
  return `${formatValue(value, measure.unit)} (${ends}${formatN(estimate, measure)})`;
}

export const definitionsOf = (measures: readonly Measure[]) =>
  measures.map(({ title, definition, interval }) => ({ term: title, text: `${definition} ${interval}` }));
