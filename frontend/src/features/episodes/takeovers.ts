/** Where somebody took over from the policy, and how to get from one to the next. */

import type { Segment } from "@/features/episodes/api/episodes";

export const takeoversOf = (segments: readonly Segment[]): readonly number[] =>
  segments
    .filter(({ source }, place) => source !== "policy" && (segments[place - 1]?.source ?? "policy") === "policy")
    .map(({ start }) => start);

/** The next takeover after `frame`, or before it for -1; null if there is none. */
export function takeoverFrom(starts: readonly number[], frame: number, direction: 1 | -1): number | null {
  const found = direction === 1 ? starts.find((start) => start > frame) : starts.findLast((start) => start < frame);
  return found ?? null;
}

export const segmentAt = (segments: readonly Segment[], frame: number): Segment | undefined =>
  segments.find(({ start, end }) => start <= frame && frame < end);
