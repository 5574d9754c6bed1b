/** Words and judgements of the status page. Bounds are those of deploy/prometheus/alerts.yml. */

import type { Tone } from "@/components/ui/chip";
import type { Part, Queue, Store } from "@/features/status/api/status";
import { formatDuration, withUnit } from "@/lib/units/format";
import { seconds } from "@/lib/units/quantity";

const SILENT_S = 60;
const OLD_S = 120;
const LEAST_FREE = 0.1;

const parts: Readonly<Record<string, string>> = {
  database: "Database",
  migrations: "Migrations",
  redis: "Redis",
  object_store: "Object store",
};
const states: Readonly<Record<string, string>> = {
  ready: "Ready",
  timeout: "Does not answer",
  failed: "Fails",
  migrations_missing: "Not all applied",
};
const queues: Readonly<Record<string, string>> = {
  fleet: "Fleet (the clock)",
  hooks: "Webhooks",
  data: "Exports and imports",
  learner: "Learner",
};
const spans: Readonly<Record<string, string>> = {
  captured_to_uploaded: "Captured to uploaded",
  uploaded_to_indexed: "Uploaded to registered",
  indexed_to_sampled: "Registered to learned from",
  episode_to_learner: "Captured to learned from",
  trained_to_published: "Trained to published",
  published_to_fetched: "Published to on the robot",
  published_to_applied: "Published to driving",
};

export const partWord = (name: string): string => parts[name] ?? name;
export const stateWord = (state: string): string => states[state] ?? state;
export const queueWord = (name: string): string => queues[name] ?? name;
export const spanWord = (name: string): string => spans[name] ?? name;

export const isReady = (part: Part): boolean => part.state === "ready";

/** How long ago, or a word for never. */
export const ageWord = (age_s: number | null, never = "never"): string => (age_s === null ? never : formatDuration(seconds(age_s)));

export const spanText = (span_s: number | null): string => {
  if (span_s === null) return "–";
  return Math.abs(span_s) < 1 ? withUnit(`${Math.round(span_s * 1000)}`, "ms") : withUnit(span_s.toFixed(1), "s");
};

interface Judgement {
  readonly tone: Tone;
  readonly word: string;
}

/** A learner may be busy for minutes: that its tasks wait is no fault. */
export function judgeQueue({ name, oldest_s, worker_silent_s }: Queue): Judgement {
  if (worker_silent_s === null) return { tone: "fault", word: "No worker" };
  if (worker_silent_s > SILENT_S) return { tone: "fault", word: "Worker silent" };
  if (name !== "learner" && oldest_s !== null && oldest_s > OLD_S) return { tone: "caution", word: "Stands" };
  return { tone: "neutral", word: "Works" };
}

export function judgeScheduler(silent_s: number | null): Judgement {
  return silent_s === null || silent_s > SILENT_S ? { tone: "fault", word: "Silent" } : { tone: "neutral", word: "Works" };
}

export const isAlmostFull = ({ free_bytes, size_bytes }: Store): boolean =>
  free_bytes !== null && size_bytes !== null && free_bytes < LEAST_FREE * size_bytes;
