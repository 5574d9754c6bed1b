/** Readings of the success series: the latest point, the version in force, points as proportions. Pure. */

import type { SuccessPoint, VersionMark } from "@/features/training/api/success";
import type { Proportion } from "@/lib/units/interval";
import { fraction } from "@/lib/units/quantity";

export function proportionOf(point: SuccessPoint): Proportion {
  return {
    successes: point.successes,
    n: point.n,
    rate: fraction(point.rate ?? 0),
    low: fraction(point.low ?? 0),
    high: fraction(point.high ?? 1),
  };
}

/** The newest version published by `atMs`; null before the first. `versions` may come in any order. */
export function versionAt(versions: readonly VersionMark[], atMs: number): VersionMark | null {
  let found: VersionMark | null = null;
  for (const version of versions) {
    if (version.published_ms <= atMs && (found === null || version.number > found.number)) found = version;
  }
  return found;
}

/** About `count` points evenly picked, the last always among them: a table of thousands helps nobody. */
export function thinned(points: readonly SuccessPoint[], count: number): readonly SuccessPoint[] {
  const step = Math.max(1, Math.ceil(points.length / count));
  return points.filter((_, index) => (points.length - 1 - index) % step === 0);
}
