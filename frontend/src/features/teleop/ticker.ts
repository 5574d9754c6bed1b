/** Starts tick.worker.ts; without workers the page's own timer must do, which slows down in a hidden tab. */

import { TICK_MS } from "@/features/teleop/drive-sender";

/** Call `tick` every TICK_MS. Returns how to stop. */
export function startTicking(tick: () => void): () => void {
  if (typeof Worker === "undefined") {
    const timer = setInterval(tick, TICK_MS);
    return () => clearInterval(timer);
  }
  const worker = new Worker(new URL("./tick.worker.ts", import.meta.url), { type: "module" });
  worker.onmessage = tick;
  return () => worker.terminate();
}
