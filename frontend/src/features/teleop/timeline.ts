/** The episode under way as segments by who drove, built from the robot's feedback as it comes. Pure. */

import type { Feedback, Mode, Source } from "@/protocol/generated";

export type Driver = "policy" | "person" | "scripted" | "nobody";

export interface Segment {
  readonly driver: Driver;
  /** The operator's name, if a person drove. */
  readonly name: string;
  readonly fromStep: number;
  /** The last step seen in it, included. */
  readonly toStep: number;
}

export interface Timeline {
  readonly episodeId: string | null;
  readonly maxSteps: number;
  readonly segments: readonly Segment[];
}

export const emptyTimeline: Timeline = { episodeId: null, maxSteps: 0, segments: [] };
const MOST_SEGMENTS = 200;

/** Paused, handing over and stopped: the robot stands, whoever holds the lease. */
export function driverOf(mode: Mode, source: Source): Driver {
  return mode === "autonomous" ? "policy" : mode === "teleop" ? source : "nobody";
}

export function follow(timeline: Timeline, { episode_id, step, max_steps, mode, source, operator }: Feedback): Timeline {
  const isSame = episode_id === timeline.episodeId;
  if (episode_id === null) return isSame ? timeline : emptyTimeline;
  const driver = driverOf(mode, source);
  const name = driver === "person" ? operator : "";
  const before = isSame ? timeline.segments : [];
  const last = before.at(-1);
  if (last !== undefined && step < last.toStep) return timeline; // the channel is unordered
  if (last !== undefined && last.driver === driver && last.name === name) {
    if (step === last.toStep) return timeline;
    return { episodeId: episode_id, maxSteps: max_steps, segments: [...before.slice(0, -1), { ...last, toStep: step }] };
  }
  const segment: Segment = { driver, name, fromStep: last === undefined ? step : last.toStep, toStep: step };
  return { episodeId: episode_id, maxSteps: max_steps, segments: [...before, segment].slice(-MOST_SEGMENTS) };
}
