/**
 * Sends the operator's command at a fixed rate while they hold the lease, moving or not.
 *
 * The rate comes from a worker (tick.worker.ts): timers of a hidden tab run once a second. The input is read and
 * stamped here in the main thread, so a page that hangs falls silent or sends old stamps, and the robot sees it.
 * Nothing queues: a tick that comes in a burst after a hang is skipped, and so is one that the channel cannot take.
 */

import type { Drive } from "@/protocol/generated";

export const TICK_MS = 25;
/** After a longer gap the key events of the meantime are still waiting: let them in before the input counts. */
const HANG_MS = 150;
const BURST_MS = 12;
/** What stands for "no frame was ever seen". */
const NEVER_MS = 60_000;

export interface DriveSource {
  readonly now: () => number;
  /** Epoch of the lease held; null sends nothing. */
  readonly epoch: () => number | null;
  readonly read: () => readonly number[];
  readonly videoAgeMs: () => number;
  /** False if it could not be sent now. */
  readonly send: (text: string) => boolean;
}

export class DriveSender {
  readonly #source: DriveSource;
  #sequence = 0;
  #tickMs = Number.NEGATIVE_INFINITY;
  sent = 0;
  dropped = 0;

  constructor(source: DriveSource) {
    this.#source = source;
  }

  tick(): void {
    const { now, epoch, read, videoAgeMs, send } = this.#source;
    const gap = now() - this.#tickMs;
    if (gap < BURST_MS) return;
    this.#tickMs = now();
    const held = epoch();
    if (held === null || (Number.isFinite(gap) && gap > HANG_MS)) return;
    const sentMs = now();
    this.#sequence += 1;
    const age = videoAgeMs();
    const drive: Drive = {
      type: "drive",
      epoch: held,
      seq: this.#sequence,
      sent_ms: rounded(sentMs, 1000),
      axes: read().map((value) => rounded(value, 10_000)),
      video_age_ms: rounded(Number.isFinite(age) ? Math.min(NEVER_MS, Math.max(0, age)) : NEVER_MS, 10),
    };
    if (send(JSON.stringify(drive))) this.sent += 1;
    else this.dropped += 1;
  }
}

const rounded = (value: number, parts: number): number => Math.round(value * parts) / parts;
