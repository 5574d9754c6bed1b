/** Waiting time before the next try: doubled each time up to a cap, then scattered so that consoles do not return together. */

import { type Milliseconds, milliseconds } from "@/lib/units/quantity";

const FIRST_MS = 500;
const LONGEST_MS = 15_000;

/** `attempt` counts 0, 1, 2, ...; `random` is in [0, 1). The result lies in [half, whole] of the doubled time. */
export function backoff(attempt: number, random: number): Milliseconds {
  const whole = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt, 10));
  return milliseconds(whole * (0.5 + 0.5 * random));
}
