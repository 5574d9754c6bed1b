/** Under the pictures: play, step, speed, jump to takeovers, and the timeline with who drove. */

import { Pause, Play, SkipBack, SkipForward, StepBack, StepForward } from "lucide-react";
import type { PointerEvent } from "react";

import { Button } from "@/components/ui/button";
import { SelectField } from "@/components/ui/field";
import type { Segment } from "@/features/episodes/api/episodes";
import { type Player, SPEEDS } from "@/features/episodes/hooks/use-player";
import { segmentAt, takeoverFrom } from "@/features/episodes/takeovers";
import { driverWord } from "@/features/episodes/words";
import { cn } from "@/lib/class-names";

/** Who drove when. `label` empty where there is one track alone. */
export interface Track {
  readonly label: string;
  readonly segments: readonly Segment[];
}

interface TransportProps {
  readonly player: Omit<Player, "attach">;
  /** One above the other. */
  readonly tracks: readonly Track[];
  readonly starts: readonly number[];
  readonly steps: number;
  readonly rateHz: number;
}

export function Transport({ player, tracks, starts, steps, rateHz }: TransportProps) {
  const { frame, isPlaying, speed, seek, toggle, setSpeed } = player;
  const [previous, next] = [takeoverFrom(starts, frame, -1), takeoverFrom(starts, frame, 1)];
  return (
    <div className="mt-3">
      <Timeline player={player} tracks={tracks} steps={steps} />
      <div className="mt-2 flex flex-wrap items-center gap-1.5">
        <Button variant="icon" aria-label="Takeover before" disabled={previous === null} onClick={() => seek(previous ?? 0)}>
          <SkipBack aria-hidden className="size-4" />
        </Button>
        <Button variant="icon" aria-label="One step back" disabled={frame === 0} onClick={() => seek(frame - 1)}>
          <StepBack aria-hidden className="size-4" />
        </Button>
        <Button onClick={toggle} className="w-24">
          {isPlaying ? <Pause aria-hidden className="size-4" /> : <Play aria-hidden className="size-4" />}
          {isPlaying ? "Pause" : "Play"}
        </Button>
        <Button variant="icon" aria-label="One step on" disabled={frame === steps - 1} onClick={() => seek(frame + 1)}>
          <StepForward aria-hidden className="size-4" />
        </Button>
        <Button variant="icon" aria-label="Next takeover" disabled={next === null} onClick={() => seek(next ?? 0)}>
          <SkipForward aria-hidden className="size-4" />
        </Button>
        <SelectField
          label="Speed"
          isLabelHidden
          className="w-20"
          options={SPEEDS.map((each) => ({ value: `${each}`, label: `${each} ×` }))}
          value={`${speed}`}
          onValue={(value) => setSpeed(Number(value))}
        />
        <p className="numeric ml-2 text-sm">
          Step {frame} of {steps - 1} <span className="text-ink-muted">{(frame / rateHz).toFixed(2)} s</span>
        </p>
        <p className="ml-auto text-xs text-ink-muted">
          Space plays, arrows step (with Shift by 10), n and p go to takeovers, &lt; and &gt; change the speed.
        </p>
      </div>
    </div>
  );
}

/** Arrow keys are the page's (use-player-keys), so the slider has none of its own. */
function Timeline({ player: { frame, seek }, tracks, steps }: Pick<TransportProps, "player" | "tracks" | "steps">) {
  const last = Math.max(1, steps - 1);
  const toPointer = (event: PointerEvent<HTMLDivElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    seek(((event.clientX - box.left) / box.width) * last);
  };
  const onDown = (event: PointerEvent<HTMLDivElement>) => {
    event.currentTarget.setPointerCapture(event.pointerId);
    toPointer(event);
  };
  const drives = tracks.map(({ label, segments }) => {
    const word = driverWord(segmentAt(segments, frame)?.source ?? "").text || "nobody";
    return label === "" ? word : `${label}: ${word}`;
  });
  const percent = (at: number) => `${(100 * at) / last}%`;
  return (
    <div
      role="slider"
      tabIndex={0}
      aria-label="Timeline"
      aria-valuemin={0}
      aria-valuemax={steps - 1}
      aria-valuenow={frame}
      aria-valuetext={`step ${frame}, ${drives.join(", ")}`}
      onPointerDown={onDown}
      onPointerMove={(event) => {
        if (event.buttons === 1) toPointer(event);
      }}
      className="relative cursor-pointer touch-none rounded-sm bg-inset"
    >
      {tracks.map(({ label, segments }) => (
        <div key={label} aria-hidden className="relative h-7">
          {label === "" ? null : <span className="absolute top-0 left-1 text-xs text-ink-muted">{label}</span>}
          {segments.map(({ start, end, source }) => (
            <span
              key={start}
              title={driverWord(source).text}
              className={cn("absolute bottom-1 h-3 rounded-xs", source === "policy" ? "bottom-1 h-1" : "", driverWord(source).band)}
              style={{ left: percent(start), width: `calc(${percent(Math.min(last, end) - start)} - 1px)` }}
            />
          ))}
        </div>
      ))}
      <span aria-hidden className="absolute inset-y-0 -ml-px w-0.5 bg-ink" style={{ left: percent(frame) }} />
    </div>
  );
}
