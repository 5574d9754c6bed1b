/**
 * The browser's events for one pane: keys while its focus is inside, and everything that must let go of all input.
 *
 * Keys count only inside the pane (WCAG 2.1.4), never in a text field, under a dialog or with Ctrl, Alt or Meta, whose
 * own release may be swallowed by the system. Stopping is the exception: Pause stops from anywhere, the dot also while
 * nothing has the focus.
 */

import type { GamepadSample, OperatorInput } from "@/features/teleop/operator-input";

export interface PaneKeys {
  /** The pane's own shortcuts; true if the key was one. */
  readonly onCommand: (event: KeyboardEvent) => boolean;
  readonly onStop: () => void;
  /** Whether keys drive now: the lease is held. */
  readonly isDriving: () => boolean;
}

const TYPING = "input:not([type=checkbox]):not([type=radio]):not([type=range]), textarea, select, [contenteditable=true]";
const PRESSABLE = "button, a, summary, [role=button], [role=tab], input, label";

/** Listen until the returned function is called. */
export function listen(pane: HTMLElement, input: OperatorInput, keys: PaneKeys): () => void {
  const stop = new AbortController();
  const { signal } = stop;
  const release = (because: string) => () => input.release(because);
  const lose = (because: string) => () => input.lose(because);
  window.addEventListener("keydown", (event) => keyDown(event, pane, input, keys), { signal });
  window.addEventListener("keyup", (event) => input.lift(`key:${event.code}`), { signal });
  window.addEventListener("blur", lose("the window lost the focus"), { signal });
  window.addEventListener("pagehide", lose("the page was left"), { signal });
  window.addEventListener("gamepaddisconnected", release("the gamepad was unplugged"), { signal });
  document.addEventListener(
    "visibilitychange",
    () => {
      if (document.visibilityState === "hidden") input.lose("the tab was hidden");
    },
    { signal },
  );
  pane.addEventListener(
    "focusout",
    (event) => {
      if (!(event.relatedTarget instanceof Node && pane.contains(event.relatedTarget))) input.release("the focus left the cockpit");
    },
    { signal },
  );
  return () => {
    stop.abort();
    input.release("the cockpit was closed");
  };
}

function keyDown(event: KeyboardEvent, pane: HTMLElement, input: OperatorInput, keys: PaneKeys): void {
  if (event.ctrlKey || event.metaKey || event.altKey) {
    input.lose("a key of the system was pressed"); // which may swallow the end of others
    return;
  }
  const at = document.activeElement;
  // On what is around the cockpit, as the page that a click beside it or the way here gives the focus: on no control.
  const isUnfocused = at === null || (at !== pane && at.contains(pane));
  if (event.code === "Pause" || (event.key === "." && isUnfocused)) {
    if (!event.repeat) keys.onStop();
    event.preventDefault();
    return;
  }
  if (at === null || !pane.contains(at) || at.closest("dialog") !== null || at.matches(TYPING)) return;
  const source = `key:${event.code}`;
  const isForButton = (event.code === "Space" || event.code === "Enter") && at.matches(PRESSABLE);
  if (isForButton) return;
  if (event.repeat) {
    if (keys.isDriving()) event.preventDefault(); // a held arrow must not scroll
    return;
  }
  input.touch(source);
  if (keys.onCommand(event) || (keys.isDriving() && input.press(source))) event.preventDefault();
}

/** The first gamepad that is there, copied: the browser's own object changes under the reader. */
export function currentGamepad(): GamepadSample | null {
  const found = typeof navigator.getGamepads === "function" ? navigator.getGamepads().find((pad) => pad?.connected) : null;
  if (!found) return null;
  return { id: found.id, axes: [...found.axes], buttons: found.buttons.map((button) => button.value) };
}
