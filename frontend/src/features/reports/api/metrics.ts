/** The charts' data: GET /api/v1/metrics/... `query` is the filter of the page as the API takes it. */

import { keepPreviousData, useQuery } from "@tanstack/react-query";

import { request } from "@/lib/api/client";
import { type Decoder, list, nullable, number, record, text } from "@/lib/api/decode";

export interface Estimate {
  readonly value: number | null;
  readonly low: number | null;
  readonly high: number | null;
  readonly n: number;
  readonly events: number;
  readonly exposure: number;
}

export interface Measure {
  readonly name: string;
  readonly title: string;
  readonly unit: string;
  readonly n_of: string;
  readonly definition: string;
  readonly interval: string;
}

export interface Range {
  readonly since_ms: number;
  readonly until_ms: number;
  readonly by: string;
  readonly tz: string;
}

export interface Point {
  readonly since_ms: number;
  readonly until_ms: number;
  readonly estimates: readonly Estimate[];
}

export interface Group {
  readonly key: string;
  readonly label: string;
  readonly at_ms: number | null;
  readonly estimates: readonly Estimate[];
}

const estimate = record<Estimate>({ value: nullable(number), low: nullable(number), high: nullable(number), n: number, events: number, exposure: number });
const measure = record<Measure>({ name: text, title: text, unit: text, n_of: text, definition: text, interval: text });
const range = record<Range>({ since_ms: number, until_ms: number, by: text, tz: text });

const overTime = record({
  range,
  measures: list(measure),
  total: list(estimate),
  points: list(record<Point>({ since_ms: number, until_ms: number, estimates: list(estimate) })),
  targets: list(record({ task: text, target: number })),
  versions: list(record({ number, published_ms: number })),
});
export type OverTime = ReturnType<typeof overTime>;

const byGroup = record({
  range,
  measures: list(measure),
  group: text,
  groups: list(record<Group>({ key: text, label: text, at_ms: nullable(number), estimates: list(estimate) })),
  left_out: number,
});
export type ByGroup = ReturnType<typeof byGroup>;

export interface Quantile {
  readonly value: number | null;
  readonly low: number | null;
  readonly high: number | null;
}
const quantile = record<Quantile>({ value: nullable(number), low: nullable(number), high: nullable(number) });
const percentiles = record({ n: number, p50: quantile, p90: quantile, p99: quantile, max: nullable(number) });
const spanSeries = record({
  span: record({
    name: text,
    title: text,
    unit: text,
    per: text,
    definition: text,
    reference: nullable(record({ source: text, p50_s: number, p99_s: number })),
  }),
  total: percentiles,
  points: list(percentiles),
});
export type SpanSeries = ReturnType<typeof spanSeries>;

const loop = record({ range, edges_ms: list(number), spans: list(spanSeries), backlog: list(number), pending: number });
export type Loop = ReturnType<typeof loop>;

const shortSpread = record({ n: number, p50_s: nullable(number), p90_s: nullable(number) });
const waits = record({ answered: number, unanswered: number, waiting: shortSpread, service: shortSpread });
export interface OperatorRow {
  readonly operator: string;
  readonly takeovers: number;
  readonly switches: number;
  readonly robots: number;
  readonly dwell: { readonly n: number; readonly p50_s: number | null; readonly p90_s: number | null };
  readonly held_s: number;
  readonly utilisation: number;
}

/** An object of values that are all alike. */
const named =
  <T>(decoder: Decoder<T>): Decoder<Readonly<Record<string, T>>> =>
  (value, path) =>
    Object.fromEntries(
      Object.entries((typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>).map(
        ([key, each]) => [key, decoder(each, `${path}.${key}`)],
      ),
    );

const operators = record({
  range,
  edges_ms: list(number),
  definitions: named(text),
  total: waits,
  points: list(waits),
  operators: list(
    record<OperatorRow>({ operator: text, takeovers: number, switches: number, robots: number, dwell: shortSpread, held_s: number, utilisation: number }),
  ),
});
export type Operators = ReturnType<typeof operators>;

const robotStates = record({
  range,
  edges_ms: list(number),
  definition: text,
  states: list(text),
  points: list(named(number)),
  robots: list(record({ robot_id: text, robot: text, seconds: named(number) })),
});
export type RobotStates = ReturnType<typeof robotStates>;

const rate = record({ successes: number, n: number, rate: number, low: number, high: number });
const timeToTarget = record({
  definition: text,
  run: nullable(text),
  started_at: nullable(text),
  tasks: list(record({ task: text, target: number, reached_at: nullable(text), seconds: nullable(number), at_reaching: nullable(rate), newest: nullable(rate) })),
});
export type TimeToTarget = ReturnType<typeof timeToTarget>;

const difference = record({ value: number, low: number, high: number, confidence: number, strata: number });
const side = record({ label: text, estimates: named(estimate) });
const comparison = record({
  method: text,
  of: text,
  first: side,
  second: side,
  n: list(number),
  success: nullable(difference),
  interventions: nullable(difference),
  sentence: text,
  interventions_sentence: text,
});
export type Comparison = ReturnType<typeof comparison>;

const best = record({
  range: record({ since_ms: number, until_ms: number }),
  of: text,
  definition: text,
  sentence: text,
  versions: list(record({ key: text, label: text, at_ms: nullable(number), chance: nullable(number), estimate })),
  left_out: number,
});
export type Best = ReturnType<typeof best>;

// Reports look at hours and days; twice a minute is live enough, and a range of years is not read anew each second.
const REFETCH_MS = 30_000;

function useChart<T>(name: string, decoder: Decoder<T>, query: string, isEnabled = true) {
  return useQuery({
    queryKey: ["metrics", name, query],
    queryFn: ({ signal }) => request(`/api/v1/metrics/${name}?${query}`, decoder, { signal, limitMs: 30_000 }),
    placeholderData: keepPreviousData,
    refetchInterval: REFETCH_MS,
    enabled: isEnabled,
  });
}

const withMeasures = (query: string, measures: readonly string[]) => {
  const asked = new URLSearchParams(query);
  for (const name of measures) asked.append("measure", name);
  return `${asked}`;
};

export const useOverTime = (query: string, measures: readonly string[]) => useChart("over-time", overTime, withMeasures(query, measures));
export const useByGroup = (group: "task" | "robot" | "version", query: string, measures: readonly string[]) =>
  useChart(`by-${group}`, byGroup, withMeasures(query, measures));
export const useLoop = (query: string) => useChart("loop", loop, query);
export const useOperators = (query: string) => useChart("operators", operators, query);
export const useRobotStates = (query: string) => useChart("robot-states", robotStates, query);
export const useTimeToTarget = (query: string) => useChart("time-to-target", timeToTarget, query);
export const useComparison = (query: string | null) => useChart("compare", comparison, query ?? "", query !== null);
export const useBestVersion = (query: string) => useChart("best-version", best, query);
