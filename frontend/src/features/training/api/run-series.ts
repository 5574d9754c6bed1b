/** What a run measured: GET /api/v1/training-runs/<id>/metrics and .../metrics/names. */

import { keepPreviousData, useQuery } from "@tanstack/react-query";

import { request } from "@/lib/api/client";
import { list, nullable, number, record, text } from "@/lib/api/decode";
import type { Seconds } from "@/lib/units/quantity";

/** Wide enough for the widest chart: a point every three pixels. */
const MAX_POINTS = 300;
/** The server's limit for one question. */
export const MOST_NAMES = 128;
const NAMES_EVERY_MS = 30_000;

type Values = readonly (number | null)[];

/** Aligned with the points; all three empty if the name has no value there. Extremes of single reports. */
export interface NamedSeries {
  readonly name: string;
  readonly mean: Values;
  readonly low: Values;
  readonly high: Values;
}

/** Points: the last step and time of each bucket of `width` steps. `last_step`: of the newest row, null without. */
export interface RunSeries {
  readonly width: number;
  readonly last_step: number | null;
  readonly step: readonly number[];
  readonly at_ms: readonly number[];
  readonly series: readonly NamedSeries[];
}

const values = list(nullable(number));
const series = record<RunSeries>({
  width: number,
  last_step: nullable(number),
  step: list(number),
  at_ms: list(number),
  series: list(record<NamedSeries>({ name: text, mean: values, low: values, high: values })),
});
const names = record({ names: list(text) });

export const useRunNames = (runId: string) =>
  useQuery({
    queryKey: ["run-names", runId],
    queryFn: ({ signal }) => request(`/api/v1/training-runs/${encodeURIComponent(runId)}/metrics/names`, names, { signal }),
    select: (data) => data.names,
    refetchInterval: NAMES_EVERY_MS,
  });

/** `last`: only so long before the run's newest row; null for all of it. */
export function useRunSeries(runId: string, wanted: readonly string[], last: Seconds | null) {
  const query = new URLSearchParams(wanted.map((name) => ["name", name]));
  query.set("max_points", `${MAX_POINTS}`);
  if (last !== null) query.set("last_s", `${last}`);
  return useQuery({
    queryKey: ["run-series", runId, query.toString()],
    queryFn: ({ signal }) => request(`/api/v1/training-runs/${encodeURIComponent(runId)}/metrics?${query}`, series, { signal }),
    enabled: wanted.length > 0,
    placeholderData: keepPreviousData,
    gcTime: 10_000,
  });
}
