/**
 * What the operator's hands do now, from keyboard, pads on the screen and gamepad together. No DOM: input-listeners.ts
 * feeds it, drive-sender.ts reads it.
 *
 * Hold to move: an axis moves while something is held and rests when it is let go. `release` lets go of everything,
 * and nothing moves again before all of it was seen at rest; so it begins, because a stick may be stuck when it is
 * plugged in. Kept axes (a gripper) keep their value instead; toggles change them.
 */

import { type Axes, clamp } from "@/features/teleop/axes";
import { type Bindings, type InputSource, SPEEDS } from "@/features/teleop/bindings";

export const DEAD_ZONE = 0.12;
const PRESSED = 0.5;

export interface GamepadSample {
  readonly id: string;
  readonly axes: readonly number[];
  readonly buttons: readonly number[];
}

export class OperatorInput {
  readonly axes: Axes;
  #bindings: Bindings;
  readonly #keys = new Set<InputSource>();
  readonly #down = new Set<InputSource>();
  readonly #pads: number[];
  readonly #kept: number[];
  #gamepad: GamepadSample | null = null;
  #pressedButtons = new Set<InputSource>();
  #holds = new Set<string>();
  #isWaitingForRest = true;
  #releasedBecause = "";
  #speed = 1;

  constructor(axes: Axes, bindings: Bindings) {
    this.axes = axes;
    this.#bindings = bindings;
    this.#pads = axes.names.map(() => 0);
    this.#kept = axes.names.map(() => 0);
  }

  get bindings(): Bindings {
    return this.#bindings;
  }

  bind(bindings: Bindings): void {
    this.#bindings = bindings;
    this.release("the bindings changed");
  }

  /** Index into SPEEDS. */
  get speed(): number {
    return this.#speed;
  }

  setSpeed(level: number): void {
    this.#speed = clamp(Math.round(level), 0, SPEEDS.length - 1);
  }

  get gamepadId(): string | null {
    return this.#gamepad?.id ?? null;
  }

  /** Why everything was let go the last time, and whether the hands are still waited for. */
  get held(): { readonly isWaiting: boolean; readonly because: string } {
    return { isWaiting: this.#isWaitingForRest || this.#holds.size > 0, because: [...this.#holds].at(-1) ?? this.#releasedBecause };
  }

  /** Whether nothing is held or deflected, not even a key that drives nothing now. */
  get isAtRest(): boolean {
    return this.#down.size === 0 && this.axes.names.every((_, index) => this.#isKept(index) || Math.abs(this.#raw(index)) === 0);
  }

  /** A key is down, whether or not anybody drives: what moves the robot later must be let go first. */
  touch(source: InputSource): void {
    if (this.#targetOf(source)?.startsWith("axis:") === true) this.#down.add(source);
  }

  /** A key went down and drives. Returns whether it means something here. */
  press(source: InputSource): boolean {
    const target = this.#targetOf(source);
    if (target === null) return false;
    if (this.#holds.size > 0) return true;
    if (!this.#act(target)) this.#keys.add(source);
    return true;
  }

  lift(source: InputSource): void {
    this.#keys.delete(source);
    this.#down.delete(source);
  }

  /** A pad on the screen: `value` in [-1, 1], 0 when it is let go. A kept axis takes the value and keeps it. */
  drag(axis: number, value: number): void {
    if (this.#holds.size > 0 || axis >= this.#pads.length) return;
    if (this.#isKept(axis)) this.#kept[axis] = clamp(value);
    else this.#pads[axis] = clamp(value);
  }

  /** The gamepad as it is now; null when there is none or another robot has it. */
  sample(gamepad: GamepadSample | null): void {
    if ((gamepad?.id ?? null) !== this.gamepadId) this.release(gamepad === null ? "the gamepad went away" : "a gamepad was connected");
    this.#gamepad = gamepad;
    const pressed = new Set<InputSource>();
    gamepad?.buttons.forEach((value, index) => {
      if (value > PRESSED) pressed.add(`button:${index}`);
    });
    for (const source of pressed) {
      const target = this.#pressedButtons.has(source) ? null : this.#targetOf(source);
      if (target !== null && !this.held.isWaiting) this.#act(target);
    }
    this.#pressedButtons = pressed;
  }

  /** Take over the robot's own values of kept axes: a gripper must not open because somebody else drives now. */
  adopt(applied: readonly number[]): void {
    this.#kept.forEach((_, index) => {
      const value = applied[index];
      if (this.#isKept(index) && value !== undefined && Number.isFinite(value)) this.#kept[index] = clamp(value);
    });
  }

  /** Let go of everything; nothing moves before all is seen at rest. `because` is shown. */
  release(because: string): void {
    this.#keys.clear();
    this.#pads.fill(0);
    this.#isWaitingForRest = true;
    this.#releasedBecause = because;
  }

  /** Release, and forget which keys are down: their end may be told to another window. */
  lose(because: string): void {
    this.#down.clear();
    this.release(because);
  }

  /** Release, and take nothing until the returned function is called. */
  hold(because: string): () => void {
    this.release(because);
    this.#holds.add(because);
    return () => {
      this.#holds.delete(because);
      this.release(because);
    };
  }

  /** The command now: one value in [-1, 1] for each axis, dead zone and speed level applied. */
  read(): readonly number[] {
    if (this.#isWaitingForRest && this.isAtRest) this.#isWaitingForRest = false;
    const isStill = this.held.isWaiting;
    const share = SPEEDS[this.#speed] ?? 1;
    return this.axes.names.map((_, index) => {
      if (this.#isKept(index)) return this.#kept[index] ?? 0;
      return isStill ? 0 : this.#raw(index) * share;
    });
  }

  #isKept(index: number): boolean {
    return this.axes.isKept[index] === true;
  }

  #raw(index: number): number {
    const value = this.#strongest(`axis:${index}:+`) - this.#strongest(`axis:${index}:-`) + (this.#pads[index] ?? 0);
    return clamp(value);
  }

  #strongest(target: string): number {
    return Math.max(0, ...(this.#bindings[target] ?? []).map((source) => this.#level(source)));
  }

  #level(source: InputSource): number {
    const [kind, code = "", sign = "+"] = source.split(":");
    if (kind === "key") return this.#keys.has(source) ? 1 : 0;
    if (kind === "button") return deadZone(this.#gamepad?.buttons[Number(code)] ?? 0);
    const value = this.#gamepad?.axes[Number(code)] ?? 0;
    return deadZone(sign === "-" ? -value : value);
  }

  #targetOf(source: InputSource): string | null {
    return Object.entries(this.#bindings).find(([, sources]) => sources.includes(source))?.[0] ?? null;
  }

  /** Do what happens once at a press. False for a target that is held instead. */
  #act(target: string): boolean {
    const [kind, text = ""] = target.split(":");
    const index = Number(text);
    if (kind === "speed") this.setSpeed(index);
    else if (kind === "toggle") this.#kept[index] = (this.#kept[index] ?? 0) > 0 ? -1 : 1;
    else return false;
    return true;
  }
}

/** Nothing up to the edge of the dead zone, then from 0 up to 1 without a jump. Not a number counts as nothing. */
export function deadZone(value: number): number {
  if (!(value > DEAD_ZONE)) return 0;
  return Math.min(1, (value - DEAD_ZONE) / (1 - DEAD_ZONE));
}
