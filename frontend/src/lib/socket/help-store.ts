/** The queue of requests for help, as the link brings it whole; the latest wins. Written by the link alone. */

import { create } from "zustand";

import type { HelpQueue } from "@/protocol/generated";

interface HelpStore {
  /** Null until the first one: an empty queue and an unknown one look different. */
  readonly queue: HelpQueue | null;
  readonly receive: (queue: HelpQueue) => void;
  readonly reset: () => void;
}

export const useHelpStore = create<HelpStore>()((set) => ({
  queue: null,
  receive: (queue) => set({ queue }),
  reset: () => set({ queue: null }),
}));

export const useHelpQueue = (): HelpQueue | null => useHelpStore((store) => store.queue);
