/** The system's own state: /api/v1/status. */

import { useQuery } from "@tanstack/react-query";

import { request } from "@/lib/api/client";
import { boolean, list, nullable, number, record, text } from "@/lib/api/decode";

/** `state`: ready, timeout, failed, or one of the server's error codes. */
export interface Part {
  readonly name: string;
  readonly state: string;
  readonly took_ms: number;
}

/** Ages in seconds; null where nothing waits, or nobody was heard. */
export interface Queue {
  readonly name: string;
  readonly length: number;
  readonly oldest_s: number | null;
  readonly worker_silent_s: number | null;
}

export interface Worker {
  readonly name: string;
  readonly queues: readonly string[];
  readonly silent_s: number;
}

export interface Learner {
  readonly running: number;
  readonly failed: number;
  readonly silent_s: number | null;
  readonly round_age_s: number | null;
  readonly version_age_s: number | null;
}

/** Sizes are null for a bucket, which has no end. */
export interface Store {
  readonly kind: string;
  readonly free_bytes: number | null;
  readonly size_bytes: number | null;
}

/** Of `n` spans of the last hour, in seconds. */
export interface Latency {
  readonly name: string;
  readonly n: number;
  readonly p50: number | null;
  readonly p90: number | null;
  readonly p99: number | null;
}

/** What lies in Redis is null while that does not answer. */
export interface Status {
  readonly is_ready: boolean;
  readonly checked_ms: number;
  readonly parts: readonly Part[];
  readonly queues: readonly Queue[] | null;
  readonly workers: readonly Worker[] | null;
  readonly scheduler_silent_s: number | null;
  readonly learner: Learner;
  readonly store: Store;
  readonly robots: { readonly online: number; readonly offline: number } | null;
  readonly latencies: readonly Latency[];
}

const maybe = nullable(number);
const status = record<Status>({
  is_ready: boolean,
  checked_ms: number,
  parts: list(record<Part>({ name: text, state: text, took_ms: number })),
  queues: nullable(list(record<Queue>({ name: text, length: number, oldest_s: maybe, worker_silent_s: maybe }))),
  workers: nullable(list(record<Worker>({ name: text, queues: list(text), silent_s: number }))),
  scheduler_silent_s: maybe,
  learner: record<Learner>({ running: number, failed: number, silent_s: maybe, round_age_s: maybe, version_age_s: maybe }),
  store: record<Store>({ kind: text, free_bytes: maybe, size_bytes: maybe }),
  robots: nullable(record({ online: number, offline: number })),
  latencies: list(record<Latency>({ name: text, n: number, p50: maybe, p90: maybe, p99: maybe })),
});

const REFRESH_MS = 10_000;

export const useStatus = () =>
  useQuery({
    queryKey: ["status"],
    queryFn: ({ signal }) => request("/api/v1/status", status, { signal }),
    refetchInterval: REFRESH_MS,
  });
