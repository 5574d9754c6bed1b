/** Autonomous success over time: GET /api/v1/metrics/success. */

import { keepPreviousData, useQuery } from "@tanstack/react-query";

import { useRenewed } from "@/hooks/use-renewed";
import { request } from "@/lib/api/client";
import { list, nullable, number, record, text } from "@/lib/api/decode";
import { useMetricsRevision } from "@/lib/socket/fleet-store";
import type { Seconds } from "@/lib/units/quantity";

/** The window that ends at `at_ms`. Rates are in [0, 1]; null where n is 0. */
export interface SuccessPoint {
  readonly at_ms: number;
  readonly successes: number;
  readonly n: number;
  readonly rate: number | null;
  readonly low: number | null;
  readonly high: number | null;
}

export interface VersionMark {
  readonly number: number;
  readonly published_ms: number;
}

export interface SuccessSeries {
  readonly definition: string;
  readonly confidence: number;
  readonly window_s: number;
  readonly points: readonly SuccessPoint[];
  readonly versions: readonly VersionMark[];
}

const series = record<SuccessSeries>({
  definition: text,
  confidence: number,
  window_s: number,
  points: list(
    record<SuccessPoint>({
      at_ms: number,
      successes: number,
      n: number,
      rate: nullable(number),
      low: nullable(number),
      high: nullable(number),
    }),
  ),
  versions: list(record<VersionMark>({ number: number, published_ms: number })),
});

/**
 * `task` is a slug, or empty for all tasks; `runId`: only episodes that this run's versions drove. Read again when the
 * server says that metrics changed.
 */
export function useSuccess(task: string, window: Seconds, runId: string | null) {
  const query = new URLSearchParams({ window_s: `${window}`, ...(task ? { task } : {}), ...(runId ? { run: runId } : {}) });
  const found = useQuery({
    queryKey: ["metrics", "success", task, window, runId],
    queryFn: ({ signal }) => request(`/api/v1/metrics/success?${query}`, series, { signal }),
    placeholderData: keepPreviousData,
  });
  return useRenewed(found, useMetricsRevision());
}
