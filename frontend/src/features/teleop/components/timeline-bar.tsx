/** The episode under way: what the task is, how far it is, and who drove when. */

import type { Driver, Segment, Timeline } from "@/features/teleop/timeline";
import type { Situation } from "@/features/teleop/situation";
import { formatCount, formatDuration } from "@/lib/units/format";

interface TimelineBarProps {
  readonly timeline: Timeline;
  readonly situation: Situation;
  readonly task: string;
  readonly instruction: string;
  readonly robot: string;
}

const words: Readonly<Record<Driver, string>> = { policy: "policy", person: "person", scripted: "supervisor", nobody: "nobody" };
const stripes = "repeating-linear-gradient(135deg, var(--caution) 0 3px, var(--caution-tint) 3px 7px)";
const fills: Readonly<Record<Driver, string>> = {
  policy: "var(--line-strong)",
  person: "var(--assist)",
  scripted: "repeating-linear-gradient(90deg, var(--assist) 0 2px, var(--assist-tint) 2px 5px)",
  nobody: stripes,
};

export function TimelineBar({ timeline, situation, task, instruction, robot }: TimelineBarProps) {
  const { episodeId, step, maxSteps, timeLeft } = situation;
  const isLive = timeline.episodeId === episodeId && episodeId !== null;
  const segments = isLive ? timeline.segments : [];
  const length = Math.max(1, maxSteps, segments.at(-1)?.toStep ?? 0); // standing still takes it beyond its steps
  return (
    <section aria-label={`Episode of ${robot}`} className="rounded-lg border border-line bg-surface px-3 py-1.5" data-testid="timeline">
      <div className="flex items-baseline gap-3 text-sm">
        <p className="min-w-0 grow truncate" title={instruction}>
          <span className="font-medium">{task || "No task"}</span> <span className="text-ink-muted">{instruction}</span>
        </p>
        <p className="numeric shrink-0 text-xs">
          {episodeId === null ? "No episode" : `step ${formatCount(step)} / ${formatCount(maxSteps)}`}
          {timeLeft === null ? null : <span className="text-ink-muted"> · {formatDuration(timeLeft)} left</span>}
        </p>
      </div>
      <div role="img" aria-label={describe(segments, maxSteps)} className="relative mt-1 h-2.5 overflow-hidden rounded-sm bg-inset">
        {segments.map((segment) => (
          <div
            key={segment.fromStep}
            title={titleOf(segment)}
            className="absolute inset-y-0 min-w-px"
            style={{
              left: `${(segment.fromStep / length) * 100}%`,
              width: `${((segment.toStep - segment.fromStep) / length) * 100}%`,
              background: fills[segment.driver],
            }}
          />
        ))}
      </div>
      <ul aria-hidden className="mt-1 flex gap-x-3 text-xs text-ink-muted">
        {(Object.keys(words) as Driver[]).map((driver) => (
          <li key={driver} className="flex items-center gap-1">
            <span className="h-2 w-3 rounded-sm" style={{ background: fills[driver] }} />
            {words[driver]}
          </li>
        ))}
      </ul>
    </section>
  );
}

const titleOf = ({ driver, name, fromStep, toStep }: Segment): string => `${name || words[driver]}: steps ${fromStep} to ${toStep}`;

function describe(segments: readonly Segment[], maxSteps: number): string {
  if (segments.length === 0) return "Nothing of an episode was seen yet";
  return `Of ${maxSteps} steps: ${segments.map(titleOf).join("; ")}`;
}
