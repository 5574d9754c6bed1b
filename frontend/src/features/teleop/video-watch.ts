/** Whether one view's pictures are fresh: age of the newest decoded frame, rate, freezes. Times by performance.now(). */

export const FREEZE_MS = 300;
const WINDOW_MS = 2000;

export class VideoWatch {
  #times: number[] = [];
  #freezes = 0;
  #isFrozen = false;

  /** A frame was decoded and handed to the screen. */
  frame(nowMs: number): void {
    const last = this.#times.at(-1);
    if (last !== undefined && nowMs - last > FREEZE_MS && !this.#isFrozen) this.#freezes += 1;
    this.#isFrozen = false;
    this.#times.push(nowMs);
    this.#trim(nowMs);
  }

  ageMs(nowMs: number): number {
    const last = this.#times.at(-1);
    return last === undefined ? Number.POSITIVE_INFINITY : Math.max(0, nowMs - last);
  }

  /** Frames a second over the last two seconds. */
  fps(nowMs: number): number {
    const since = nowMs - WINDOW_MS;
    return (this.#times.filter((time) => time > since).length * 1000) / WINDOW_MS;
  }

  /** Gaps of more than 300 ms so far, one that goes on included. */
  freezes(nowMs: number): number {
    if (!this.#isFrozen && this.#times.length > 0 && this.ageMs(nowMs) > FREEZE_MS) {
      this.#isFrozen = true;
      this.#freezes += 1;
    }
    return this.#freezes;
  }

  #trim(nowMs: number): void {
    const first = this.#times.findIndex((time) => time > nowMs - WINDOW_MS);
    if (first > 0) this.#times = this.#times.slice(first);
  }
}
