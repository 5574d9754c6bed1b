/** All keys: the fixed ones, and the ones for driving, which can be bound to another key, stick or button. */

import { useEffect, useState } from "react";

import { Button } from "@/components/ui/button";
import { currentGamepad } from "@/features/teleop/input-listeners";
import { DEAD_ZONE, type GamepadSample, type OperatorInput } from "@/features/teleop/operator-input";
import { type Bindings, defaultBindings, rebind, RESERVED, saveBindings, sourceLabel, type Target, targetsOf } from "@/features/teleop/bindings";
import { CockpitDialog } from "@/features/teleop/components/cockpit-dialog";
import { SHORTCUTS } from "@/features/teleop/shortcuts";

const POLL_MS = 50;
const DEFLECTED = 0.7;

interface ShortcutsDialogProps {
  readonly input: OperatorInput;
  readonly onClose: () => void;
}

export function ShortcutsDialog({ input, onClose }: ShortcutsDialogProps) {
  const [bindings, setBindings] = useState(input.bindings);
  const [asking, setAsking] = useState<Target | null>(null);
  const change = (next: Bindings) => {
    saveBindings(input.axes, next);
    input.bind(next);
    setBindings(next);
  };
  useNextSource(asking !== null, (source) => {
    if (asking !== null && source !== null) change(rebind(bindings, asking, source));
    setAsking(null);
  });
  return (
    <CockpitDialog title="Keys" input={input} onClose={onClose}>
      <div className="grid gap-6 sm:grid-cols-2">
        <section>
          <h3 className="mb-2 text-sm font-semibold">Driving</h3>
          <p className="mb-2 text-xs text-ink-muted">
            Hold to move; letting go stops. They count while you drive and the cockpit has the focus. Dead zone of sticks: {DEAD_ZONE * 100} %.
          </p>
          <ul className="grid gap-1">
            {targetsOf(input.axes).map(({ target, label }) => (
              <li key={target} className="flex items-center gap-2 text-sm">
                <span className="grow">{label}</span>
                <Button
                  className="h-7 max-w-44"
                  aria-label={`Change the binding of ${label}, now ${labels(bindings, target)}`}
                  onClick={() => setAsking(target)}
                >
                  <span className="truncate">{asking === target ? "Press a key or move a stick" : labels(bindings, target)}</span>
                </Button>
              </li>
            ))}
          </ul>
          <Button variant="quiet" className="mt-2" onClick={() => change(defaultBindings(input.axes))}>
            Back to the usual keys
          </Button>
        </section>
        <section>
          <h3 className="mb-2 text-sm font-semibold">Cockpit</h3>
          <dl className="grid grid-cols-[3rem_1fr] gap-y-1.5 text-sm">
            {SHORTCUTS.map(({ command, key, label }) => (
              <div key={command} className="contents">
                <dt>
                  <kbd className="rounded border border-line-strong px-1.5 py-0.5 text-xs">{key}</kbd>
                </dt>
                <dd>{label}</dd>
              </div>
            ))}
          </dl>
          <p className="mt-4 text-xs text-ink-muted">
            Stop works for everyone who watches. It is no safety-rated emergency stop: keep the robot&apos;s own within reach of somebody beside it.
          </p>
        </section>
      </div>
    </CockpitDialog>
  );
}

const labels = (bindings: Bindings, target: Target): string => (bindings[target] ?? []).map(sourceLabel).join(", ") || "none";

/** While `isAsking`: the next key, button or stick; null if Escape or a reserved key was pressed instead. */
function useNextSource(isAsking: boolean, onSource: (source: string | null) => void): void {
  useEffect(() => {
    if (!isAsking) return;
    const before = currentGamepad();
    const key = (event: KeyboardEvent) => {
      event.preventDefault(); // Escape would close the dialog, Space press the button
      event.stopPropagation();
      const source = `key:${event.code}`;
      onSource(RESERVED.has(source) ? null : source);
    };
    const timer = setInterval(() => {
      const source = movedSource(before, currentGamepad());
      if (source !== null) onSource(source);
    }, POLL_MS);
    window.addEventListener("keydown", key, { capture: true });
    return () => {
      clearInterval(timer);
      window.removeEventListener("keydown", key, { capture: true });
    };
  }, [isAsking, onSource]);
}

/** What was moved on the gamepad since `before`; a stick that was deflected all along is not it. */
export function movedSource(before: GamepadSample | null, now: GamepadSample | null): string | null {
  if (now === null) return null;
  const button = now.buttons.findIndex((value, index) => value > DEFLECTED && (before?.buttons[index] ?? 0) <= DEFLECTED);
  if (button >= 0) return `button:${button}`;
  const stick = now.axes.findIndex((value, index) => Math.abs(value) > DEFLECTED && Math.abs(before?.axes[index] ?? 0) <= DEFLECTED);
  return stick >= 0 ? `stick:${stick}:${(now.axes[stick] ?? 0) > 0 ? "+" : "-"}` : null;
}
