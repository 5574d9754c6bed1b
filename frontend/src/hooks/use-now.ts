/** The server's time, ticking once a second for every component from one timer. */

import { useSyncExternalStore } from "react";

import { useClockOffset } from "@/lib/socket/fleet-store";
import { type UnixMilliseconds, unixMilliseconds } from "@/lib/units/quantity";

const listeners = new Set<() => void>();
let now = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  if (timer === undefined) {
    now = Date.now();
    timer = setInterval(() => {
      now = Date.now();
      for (const each of listeners) each();
    }, 1000);
  }
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

/** This browser's clock, ms, at the last tick. */
export const useBrowserNow = (): number => useSyncExternalStore(subscribe, () => now);

/** The server's clock at the last tick, as well as it is known here. */
export function useServerNow(): UnixMilliseconds {
  return unixMilliseconds(useBrowserNow() + useClockOffset());
}
