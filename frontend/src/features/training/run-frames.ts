/** What the charts of a run draw: the series read over HTTP with the live rows at their end. Pure. */

import type { RunSeries } from "@/features/training/api/run-series";
import type { RunTail } from "@/lib/socket/run-tail";
import type { Seconds } from "@/lib/units/quantity";

type Values = readonly (number | null)[];

export interface FrameLine {
  readonly mean: Values;
  readonly low: Values;
  readonly high: Values;
}

/** Points of rising step and time, and lines by name over them. */
export interface RunFrames {
  readonly step: readonly number[];
  readonly atMs: readonly number[];
  readonly lines: ReadonlyMap<string, FrameLine>;
}

/** Whether rows lie between the two that neither has: then the series must be read again. */
export const hasGap = (base: RunSeries, tail: RunTail | null): boolean => tail !== null && tail.afterStep > (base.last_step ?? 0);

/** The tail's rows that the series does not have yet. */
export function newRows(lastStep: number | null, tail: RunTail | null) {
  return tail === null ? [] : tail.rows.filter(({ step }) => step > (lastStep ?? 0));
}

/** Join both; with `last`, leave out what is older than that before the newest point. A tail beyond a gap waits. */
export function joinTail(base: RunSeries, tail: RunTail | null, last: Seconds | null): RunFrames {
  const rows = hasGap(base, tail) ? [] : newRows(base.last_step, tail);
  const step = [...base.step, ...rows.map((row) => row.step)];
  const atMs = rising([...base.at_ms, ...rows.map((row) => row.at_ms)]);
  const start = last === null ? 0 : atMs.findIndex((at) => at > (atMs.at(-1) ?? 0) - last * 1000);
  const lines = new Map<string, FrameLine>();
  for (const { name, ...one } of base.series) {
    const fresh = rows.map(({ values }) => values[name] ?? null);
    if (one.mean.length === 0 && fresh.every((value) => value === null)) continue;
    const whole = (values: Values) => [...(values.length > 0 ? values : base.step.map(() => null)), ...fresh].slice(start);
    lines.set(name, { mean: whole(one.mean), low: whole(one.low), high: whole(one.high) });
  }
  return { step: step.slice(start), atMs: atMs.slice(start), lines };
}

/** The newest value of a line, and null where there is none. */
export function latest(frames: RunFrames | null, name: string): number | null {
  return frames?.lines.get(name)?.mean.findLast((value) => value !== null) ?? null;
}

/** A round that was run again reports some steps later than the steps after them; an axis must rise. */
function rising(times: readonly number[]): number[] {
  let newest = -Infinity;
  return times.map((time) => (newest = Math.max(newest, time)));
}
