/** Two episodes on one timeline: where each begins on it, and which of its frames belongs to a place. Pure. */

import type { EpisodeDetail, Segment, Steps } from "@/features/episodes/api/episodes";
import { pointOf, type StepChart } from "@/features/episodes/step-lines";
import { takeoversOf } from "@/features/episodes/takeovers";

export type Side = "a" | "b";
export const ALIGNMENTS = ["start", "takeover", "success", "end"] as const;
export type Alignment = (typeof ALIGNMENTS)[number];

/** `begin`: place of its first frame. Places are frames of the first episode's rate. */
export interface Part {
  readonly begin: number;
  readonly steps: number;
  readonly rateHz: number;
  readonly perPlace: number;
}

export interface Pair {
  readonly parts: Readonly<Record<Side, Part>>;
  /** In places. */
  readonly length: number;
  readonly rateHz: number;
}

interface Place {
  readonly frame: number;
  readonly isWithin: boolean;
}

/** The frame of an episode at a place, its first or last one beyond its ends. */
export function placeIn(part: Part, place: number): Place {
  const frame = Math.floor((place - part.begin) * part.perPlace + 1e-9);
  return { frame: Math.min(part.steps - 1, Math.max(0, frame)), isWithin: frame >= 0 && frame < part.steps };
}

/** The frame of an episode that the alignment puts at one place, null if it has none. */
export function anchorOf(align: Alignment, episode: EpisodeDetail, steps: Steps | undefined): number | null {
  if (align === "start") return 0;
  if (align === "end") return episode.steps - 1;
  if (align === "takeover") return takeoversOf(episode.segments)[0] ?? null;
  const point = steps?.success.indexOf(true) ?? -1;
  return steps?.frame[point] ?? null;
}

export function pairOf(a: EpisodeDetail, b: EpisodeDetail, anchors: Readonly<Record<Side, number>>): Pair {
  const perPlace = b.control_rate_hz / a.control_rate_hz;
  const [anchorA, anchorB] = [anchors.a, Math.round(anchors.b / perPlace)];
  const at = Math.max(anchorA, anchorB);
  const parts = {
    a: { begin: at - anchorA, steps: a.steps, rateHz: a.control_rate_hz, perPlace: 1 },
    b: { begin: at - anchorB, steps: b.steps, rateHz: b.control_rate_hz, perPlace },
  };
  const end = (part: Part) => part.begin + Math.ceil(part.steps / part.perPlace);
  return { parts, length: Math.max(end(parts.a), end(parts.b)), rateHz: a.control_rate_hz };
}

/** Its segments where they lie on the timeline. */
export const segmentsOn = (part: Part, segments: readonly Segment[]): readonly Segment[] =>
  segments.map((segment) => ({
    ...segment,
    start: part.begin + Math.round(segment.start / part.perPlace),
    end: part.begin + Math.round(segment.end / part.perPlace),
  }));

/** One chart for what was applied on each axis that both have, and one for the reward, over the common timeline. */
export function pairCharts(
  pair: Pair,
  steps: Readonly<Record<Side, Steps>>,
  names: readonly string[],
): { readonly grid: Pick<Steps, "stride" | "frame">; readonly charts: readonly StepChart[] } {
  const stride = Math.max(steps.a.stride, Math.ceil(steps.b.stride / pair.parts.b.perPlace));
  const frame = Array.from({ length: Math.ceil(pair.length / stride) }, (_, k) => k * stride);
  const along = (side: Side, values: readonly number[]) =>
    frame.map((place) => {
      const found = placeIn(pair.parts[side], place);
      return found.isWithin ? (values[pointOf(steps[side], found.frame)] ?? null) : null;
    });
  const chart = (title: string, a: readonly number[], b: readonly number[]): StepChart => ({
    title,
    lines: [
      { label: "A", tone: 1, values: along("a", a) },
      { label: "B", tone: 2, dash: [6, 4], values: along("b", b) },
    ],
  });
  const axes = Math.min(steps.a.applied.length, steps.b.applied.length);
  const charts = Array.from({ length: axes }, (_, axis) =>
    chart(names[axis] ?? `Axis ${axis + 1}`, steps.a.applied[axis] ?? [], steps.b.applied[axis] ?? []),
  );
  return { grid: { stride, frame }, charts: [...charts, chart("Reward", steps.a.reward, steps.b.reward)] };
}
