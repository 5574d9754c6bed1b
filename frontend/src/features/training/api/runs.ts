/** Training runs: GET /api/v1/training-runs, one of them, and its versions. */

import { useQuery } from "@tanstack/react-query";

import { useRenewed } from "@/hooks/use-renewed";
import { request } from "@/lib/api/client";
import { boolean, list, nullable, number, object, record, text } from "@/lib/api/decode";
import { useMetricsRevision } from "@/lib/socket/fleet-store";

/** Successes of n episodes with the 95 % Wilson interval; rates in [0, 1]. */
export interface Rate {
  readonly successes: number;
  readonly n: number;
  readonly rate: number;
  readonly low: number;
  readonly high: number;
}

/** Times are ISO 8601. `success`: parts of equally many episodes that the run's versions drove, oldest first. */
export interface RunSummary {
  readonly id: string;
  readonly name: string;
  readonly algorithm: string;
  readonly state: string;
  readonly step: number;
  readonly target_steps: number | null;
  readonly failure_code: string;
  readonly created_at: string;
  readonly heartbeat_at: string | null;
  readonly newest_version: number | null;
  readonly newest_version_at: string | null;
  readonly success: readonly Rate[];
  /** "paused" or "stopped" from the end of the round that the learner works at; empty if nothing is asked. */
  readonly asked: string;
}

/** Episodes that the run may use, those it took in, those of them drawn at least once; frames of online ones taken in. */
export interface Experience {
  readonly usable: number;
  readonly ingested: number;
  readonly sampled: number;
  readonly frames: number;
  readonly human_frames: number;
}

export interface RunDetail extends RunSummary {
  readonly failure_message: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly seed: number;
  readonly tasks: readonly string[];
  readonly steps_per_s: number;
  readonly experience: Experience;
  readonly takes_online: boolean;
  readonly dataset: { readonly id: string; readonly name: string; readonly version: number; readonly split: string } | null;
  readonly asked_by_name: string;
  /** Goes into If-Match. */
  readonly revision: number;
  readonly began_from: { readonly id: string; readonly number: number; readonly run: string; readonly run_name: string } | null;
  readonly copied_from: { readonly id: string; readonly name: string } | null;
}

export interface RunVersion {
  readonly number: number;
  readonly step: number;
  readonly published_ms: number;
}

export const rate = record<Rate>({ successes: number, n: number, rate: number, low: number, high: number });
const summary = {
  id: text,
  name: text,
  algorithm: text,
  state: text,
  step: number,
  target_steps: nullable(number),
  failure_code: text,
  created_at: text,
  heartbeat_at: nullable(text),
  newest_version: nullable(number),
  newest_version_at: nullable(text),
  success: list(rate),
  asked: text,
};
const page = record({ results: list(record<RunSummary>(summary)) });
const detail = record<RunDetail>({
  ...summary,
  failure_message: text,
  config: object,
  seed: number,
  tasks: list(text),
  steps_per_s: number,
  experience: record<Experience>({ usable: number, ingested: number, sampled: number, frames: number, human_frames: number }),
  takes_online: boolean,
  dataset: nullable(record({ id: text, name: text, version: number, split: text })),
  asked_by_name: text,
  revision: number,
  began_from: nullable(record({ id: text, number, run: text, run_name: text })),
  copied_from: nullable(record({ id: text, name: text })),
});
const marks = record({
  versions: list(record<RunVersion>({ number: number, step: number, published_ms: number })),
});

// Episodes and versions are told by the link; steps and signs of life change without a word, hence the interval.
const REFETCH_EVERY_MS = 5000;

/** The newest page of runs is enough to choose from. */
export function useRuns() {
  const query = useQuery({
    queryKey: ["runs"],
    queryFn: ({ signal }) => request("/api/v1/training-runs", page, { signal }),
    select: (data) => data.results,
    refetchInterval: REFETCH_EVERY_MS,
  });
  return useRenewed(query, useMetricsRevision());
}

export function useRunDetail(id: string) {
  const query = useQuery({
    queryKey: ["run", id],
    queryFn: ({ signal }) => request(`/api/v1/training-runs/${encodeURIComponent(id)}`, detail, { signal }),
    refetchInterval: REFETCH_EVERY_MS,
  });
  return useRenewed(query, useMetricsRevision());
}

export function useRunVersions(id: string) {
  const query = useQuery({
    queryKey: ["run-versions", id],
    queryFn: ({ signal }) => request(`/api/v1/training-runs/${encodeURIComponent(id)}/versions`, marks, { signal }),
    select: (data) => data.versions,
  });
  return useRenewed(query, useMetricsRevision());
}
