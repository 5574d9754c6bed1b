/**
 * The newest rows of the run that this page watches, as the link brings them; the store they are kept in is below.
 *
 * A tail is without holes: each frame says which row it follows, and one that does not follow starts the tail anew.
 * Whoever draws joins it to what was read over HTTP, and reads again if the two do not meet (features/training).
 */

import { create } from "zustand";

import type { RunRow, RunRows } from "@/protocol/generated";

const MOST_ROWS = 600;

export interface RunTail {
  readonly runId: string;
  /** The step of the row before the first of `rows`; 0 if there is none. */
  readonly afterStep: number;
  readonly rows: readonly RunRow[];
}

/** Return the tail with a frame's rows at its end; rows seen already are left out. At most 600 rows are kept. */
export function extendTail(tail: RunTail | null, { run_id, after_step, rows }: RunRows): RunTail {
  if (tail?.runId !== run_id || after_step > lastStep(tail)) return { runId: run_id, afterStep: after_step, rows };
  const known = lastStep(tail);
  const all = [...tail.rows, ...rows.filter(({ step }) => step > known)];
  const dropped = all.slice(0, Math.max(0, all.length - MOST_ROWS));
  return { runId: run_id, afterStep: dropped.at(-1)?.step ?? tail.afterStep, rows: all.slice(dropped.length) };
}

/** The newest step that the tail knows of. */
export const lastStep = (tail: RunTail): number => tail.rows.at(-1)?.step ?? tail.afterStep;

interface TailStore {
  readonly tail: RunTail | null;
  readonly receive: (frame: RunRows) => void;
  readonly reset: () => void;
}

/** Written by the link alone (use-fleet-link.ts). */
export const useTailStore = create<TailStore>()((set) => ({
  tail: null,
  receive: (frame) => set(({ tail }) => ({ tail: extendTail(tail, frame) })),
  reset: () => set({ tail: null }),
}));
