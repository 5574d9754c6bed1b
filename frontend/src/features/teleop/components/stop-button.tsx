/** STOP: always in view, for everyone who watches, whatever else the page does. */

import { OctagonX } from "lucide-react";

import { keyOf } from "@/features/teleop/shortcuts";
import type { StopState } from "@/features/teleop/stop";

interface StopButtonProps {
  readonly name: string;
  readonly state: StopState;
  readonly onStop: () => void;
}

export function StopButton({ name, state, onStop }: StopButtonProps) {
  return (
    <div className="flex items-center gap-2">
      <span role="status" className="hidden max-w-56 truncate text-xs text-fault xl:block" title={state.detail} data-testid="stop-note">
        {state.phase === "none" ? "" : state.detail}
      </span>
      <button
        type="button"
        aria-label={`Stop ${name}`}
        title="Stops the robot and latches. Not a safety-rated emergency stop."
        data-testid="stop"
        onClick={onStop}
        className="inline-flex h-9 shrink-0 items-center gap-2 rounded-md bg-fault px-4 text-base font-semibold text-ink-inverse hover:opacity-90"
      >
        <OctagonX aria-hidden className="size-5" />
        STOP
        <kbd aria-hidden className="rounded border border-current px-1 text-xs leading-4">
          {keyOf("stop")}
        </kbd>
      </button>
    </div>
  );
}
