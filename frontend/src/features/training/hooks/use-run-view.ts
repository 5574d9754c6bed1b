/** What the charts of a run's page draw now: read over HTTP, kept going by the link, held still while paused. */

import { useEffect, useMemo, useRef, useState } from "react";

import { MOST_NAMES, useRunNames, useRunSeries } from "@/features/training/api/run-series";
import { tasksOf, wantedNames } from "@/features/training/chart-specs";
import { hasGap, joinTail, newRows, type RunFrames } from "@/features/training/run-frames";
import { useTailStore } from "@/lib/socket/run-tail";
import { useWatchedRun } from "@/lib/socket/use-fleet-link";
import type { Seconds } from "@/lib/units/quantity";

/** Beyond so many live rows the whole is thinned anew. */
const MOST_LIVE_ROWS = 300;

export interface RunView {
  readonly names: readonly string[];
  /** All tasks that it reports of. */
  readonly allTasks: readonly string[];
  /** Those on the page of tasks that is shown. */
  readonly tasks: readonly string[];
  /** Null until the first answer. */
  readonly frames: RunFrames | null;
  readonly error: Error | null;
  readonly retry: () => void;
  readonly isPaused: boolean;
  /** Rows that came since the pause. */
  readonly waiting: number;
  readonly togglePause: () => void;
}

const none: readonly string[] = [];

/** Charts of more tasks at once would be more names than one question may have, and each costs the browser four canvases. */
export const TASKS_A_PAGE = 6;

/** `last`: only so long before the newest row. `page`: which tasks' series are read, from 0. */
export function useRunView(runId: string, last: Seconds | null, page: number): RunView {
  useWatchedRun(runId);
  const known = useRunNames(runId);
  const tail = useTailStore((store) => (store.tail?.runId === runId ? store.tail : null));
  const reported = Object.keys(tail?.rows.at(-1)?.values ?? {}).join("\n");
  const names = useMemo(
    () => [...new Set([...(known.data ?? none), ...reported.split("\n").filter((name) => name !== "")])].sort(),
    [known.data, reported],
  );
  const allTasks = useMemo(() => tasksOf(names), [names]);
  const tasks = useMemo(() => allTasks.slice(page * TASKS_A_PAGE, (page + 1) * TASKS_A_PAGE), [allTasks, page]);
  const wanted = useMemo(() => wantedNames(names, tasks, MOST_NAMES), [names, tasks]);
  const series = useRunSeries(runId, wanted, last);
  const base = series.data;

  const { refetch, isFetching } = series;
  const askedFor = useRef("");
  useEffect(() => {
    if (base === undefined || tail === null || isFetching) return;
    const isLong = newRows(base.last_step, tail).length > MOST_LIVE_ROWS;
    const reason = hasGap(base, tail) ? `gap ${tail.afterStep}` : isLong ? `long ${base.last_step ?? 0}` : "";
    if (reason === "" || askedFor.current === reason) return;
    askedFor.current = reason; // once: an answer that does not mend it will not by being asked for again
    void refetch();
  }, [base, tail, isFetching, refetch]);

  const live = useMemo(() => (base === undefined ? null : joinTail(base, tail, last)), [base, tail, last]);
  const [held, setHeld] = useState<{ readonly frames: RunFrames; readonly key: string } | null>(null);
  const key = `${runId} ${last ?? "all"} ${page}`;
  const paused = held?.key === key ? held.frames : null;
  const empty = known.data !== undefined && names.length === 0 ? noFrames : null;
  return {
    names,
    allTasks,
    tasks,
    frames: paused ?? live ?? empty,
    error: known.error ?? series.error,
    retry: () => void Promise.all([known.refetch(), refetch()]),
    isPaused: paused !== null,
    waiting: paused === null ? 0 : newRows(paused.step.at(-1) ?? null, tail).length,
    togglePause: () => setHeld(paused === null && live !== null ? { frames: live, key } : null),
  };
}

const noFrames: RunFrames = { step: [], atMs: [], lines: new Map() };
