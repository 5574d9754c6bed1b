/** What is drawn of an episode's steps: one chart an action axis, one for the reward, one for what a run made of it. */

import type { Steps } from "@/features/episodes/api/episodes";

export type Values = readonly (number | null)[];

export interface StepLine {
  readonly label: string;
  readonly tone: 1 | 2 | 3;
  readonly dash?: readonly number[];
  readonly values: Values;
}

export interface StepChart {
  readonly title: string;
  readonly lines: readonly StepLine[];
}

/** `derived`: columns by name with one number a frame, as the run's algorithm left them. */
export function chartsOf(steps: Steps, names: readonly string[], derived: Readonly<Record<string, Values>>): readonly StepChart[] {
  const axes = steps.applied.map((applied, axis): StepChart => {
    const lines: StepLine[] = [
      { label: "Asked", tone: 2, dash: [6, 4], values: steps.asked[axis] ?? [] },
      { label: "Applied", tone: 1, values: applied },
      { label: "Proposed", tone: 3, dash: [2, 3], values: steps.proposed[axis] ?? [] },
    ];
    return { title: names[axis] ?? `Axis ${axis + 1}`, lines };
  });
  const reward: StepChart = { title: "Reward", lines: [{ label: "Reward", tone: 1, values: steps.reward }] };
  const ofRun = Object.entries(derived)
    .filter(([name]) => name === "value" || name === "advantage")
    .map(([name, values]): StepChart => {
      const label = name === "value" ? "Value" : "Advantage";
      return { title: label, lines: [{ label, tone: 1, values: steps.frame.map((frame) => values[frame] ?? null) }] };
    });
  return [...axes, reward, ...ofRun];
}

/** The point that holds a frame: points are `stride` frames apart. */
export const pointOf = (steps: Pick<Steps, "frame" | "stride">, frame: number): number =>
  Math.min(steps.frame.length - 1, Math.max(0, Math.floor((frame - (steps.frame[0] ?? 0)) / steps.stride)));
