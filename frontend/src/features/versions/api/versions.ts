/** Policy versions and how they reach robots: lineage, report, comparison, release. docs/rollout.md defines the numbers. */

import { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { useRenewed } from "@/hooks/use-renewed";
import { request } from "@/lib/api/client";
import { boolean, type Decoder, list, nothing, nullable, number, object, record, text } from "@/lib/api/decode";
import { useMetricsRevision } from "@/lib/socket/fleet-store";

export interface Rate {
  readonly successes: number;
  readonly n: number;
  readonly rate: number;
  readonly low: number;
  readonly high: number;
}

export interface Rates {
  readonly success: Rate | null;
  readonly interventions: Rate | null;
}

/** `stages`: any of current, canary, newest, pinned. */
export interface Version {
  readonly id: string;
  readonly run: string;
  readonly number: number;
  readonly step: number;
  readonly parent: string | null;
  readonly architecture: string;
  readonly size_bytes: number;
  readonly trained_at: string;
  readonly published_at: string;
  readonly notes: string;
  readonly notes_revision: number;
  readonly stages: readonly string[];
  readonly robots: number;
  readonly rates: Rates;
}

export interface Deployment {
  readonly robot: string;
  readonly robot_name: string;
  readonly robot_revision: number;
  readonly is_running: boolean;
  /** What the robot is pinned to: this version, another one, or null. */
  readonly pinned_version: string | null;
  readonly pinned_number: number | null;
  readonly pinned_run_name: string | null;
  readonly pinned_reason: string;
  readonly announced_at: string;
  readonly applied_at: string | null;
  readonly refused_code: string;
  readonly refused_message: string;
  readonly fetched_bytes: number;
}

export interface DataShare {
  readonly task: string;
  readonly origin: string;
  readonly episodes: number;
  readonly frames: number;
  readonly human_frames: number;
}

/** The frozen dataset version it was trained on. `digest`: SHA-256 of it. `split` empty: all. */
export interface DataSource {
  readonly dataset: string;
  readonly name: string;
  readonly version: number;
  readonly digest: string;
  readonly split: string;
  readonly takes_online: boolean;
}

export interface Report {
  readonly version: Version;
  readonly run_name: string;
  readonly manifest_sha256: string;
  readonly blobs: Readonly<Record<string, unknown>>;
  readonly tasks: readonly (Rates & { readonly task: string })[];
  readonly data: readonly DataShare[] | null;
  readonly dataset: DataSource | null;
  readonly parent: { readonly id: string; readonly number: number; readonly run: string; readonly run_name: string } | null;
  readonly deployments: readonly Deployment[];
}

export interface Comparison {
  readonly measure: string;
  readonly one: Rate | null;
  readonly other: Rate | null;
  readonly difference: number | null;
  readonly low: number | null;
  readonly high: number | null;
  readonly sentence: string;
}

export interface Interval {
  readonly estimate: number;
  readonly low: number;
  readonly high: number;
}

/** Counts are of good episodes; harm and worth are odds, decisive beyond their limits. */
export interface Measure {
  readonly name: string;
  readonly candidate_good: number;
  readonly current_good: number;
  readonly blocks: number;
  readonly difference: Interval | null;
  readonly harm: number;
  readonly worth: number;
  readonly harm_limit: number;
  readonly worth_limit: number;
}

export interface Evidence {
  readonly candidate: number;
  readonly current: number;
  readonly left_out: readonly number[];
  readonly unsettled: readonly number[];
  readonly measures: readonly Measure[];
}

export interface Rollout {
  readonly id: string;
  readonly candidate: string;
  readonly candidate_number: number;
  readonly baseline: string;
  readonly baseline_number: number;
  readonly robots: readonly string[];
  readonly per_block: number;
  readonly state: string;
  readonly reason: string;
  readonly is_automatic: boolean;
  readonly evidence: Evidence | null;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly began_at: string;
  readonly decided_at: string | null;
  readonly by_name: string;
  readonly next: string;
  /** All that the candidate drove while it was tried. */
  readonly episodes: number;
}

export interface ReleaseEvent {
  readonly id: number;
  readonly kind: string;
  readonly reason: string;
  readonly at: string;
  readonly by_name: string;
  readonly number: number | null;
  readonly robot_name: string;
}

export interface Release {
  readonly revision: number;
  readonly strategy: string;
  readonly canary: Readonly<Record<string, unknown>>;
  readonly current: string | null;
  readonly current_number: number | null;
  readonly rollout: Rollout | null;
  readonly past: readonly Rollout[];
  readonly events: readonly ReleaseEvent[];
}

export interface Run {
  readonly id: string;
  readonly name: string;
  readonly state: string;
}

const rate = record<Rate>({ successes: number, n: number, rate: number, low: number, high: number });
const rates = record<Rates>({ success: nullable(rate), interventions: nullable(rate) });
const version = record<Version>({
  id: text,
  run: text,
  number,
  step: number,
  parent: nullable(text),
  architecture: text,
  size_bytes: number,
  trained_at: text,
  published_at: text,
  notes: text,
  notes_revision: number,
  stages: list(text),
  robots: number,
  rates,
});
const report = record<Report>({
  version,
  run_name: text,
  manifest_sha256: text,
  blobs: object,
  tasks: list(record<Rates & { readonly task: string }>({ task: text, success: nullable(rate), interventions: nullable(rate) })),
  data: nullable(
    list(record<DataShare>({ task: text, origin: text, episodes: number, frames: number, human_frames: number })),
  ),
  dataset: nullable(
    record<DataSource>({ dataset: text, name: text, version: number, digest: text, split: text, takes_online: boolean }),
  ),
  parent: nullable(record({ id: text, number, run: text, run_name: text })),
  deployments: list(
    record<Deployment>({
      robot: text,
      robot_name: text,
      robot_revision: number,
      is_running: boolean,
      pinned_version: nullable(text),
      pinned_number: nullable(number),
      pinned_run_name: nullable(text),
      pinned_reason: text,
      announced_at: text,
      applied_at: nullable(text),
      refused_code: text,
      refused_message: text,
      fetched_bytes: number,
    }),
  ),
});
const interval = record<Interval>({ estimate: number, low: number, high: number });
const evidence = record<Evidence>({
  candidate: number,
  current: number,
  left_out: list(number),
  unsettled: list(number),
  measures: list(
    record<Measure>({
      name: text,
      candidate_good: number,
      current_good: number,
      blocks: number,
      difference: nullable(interval),
      harm: number,
      worth: number,
      harm_limit: number,
      worth_limit: number,
    }),
  ),
});
const rollout = record<Rollout>({
  id: text,
  candidate: text,
  candidate_number: number,
  baseline: text,
  baseline_number: number,
  robots: list(text),
  per_block: number,
  state: text,
  reason: text,
  is_automatic: boolean,
  evidence: nullable(evidence),
  settings: object,
  began_at: text,
  decided_at: nullable(text),
  by_name: text,
  next: text,
  episodes: number,
});
const release = record<Release>({
  revision: number,
  strategy: text,
  canary: object,
  current: nullable(text),
  current_number: nullable(number),
  rollout: nullable(rollout),
  past: list(rollout),
  events: list(
    record<ReleaseEvent>({
      id: number,
      kind: text,
      reason: text,
      at: text,
      by_name: text,
      number: nullable(number),
      robot_name: text,
    }),
  ),
});
const comparison = record({
  measures: list(
    record<Comparison>({
      measure: text,
      one: nullable(rate),
      other: nullable(rate),
      difference: nullable(number),
      low: nullable(number),
      high: nullable(number),
      sentence: text,
    }),
  ),
});
const runs = record({ results: list(record<Run>({ id: text, name: text, state: text })) });

export const versionsKey = ["versions"] as const;

/** Read again when an episode, a version or a decision is told by the link. */
export function useVersionsQuery<T>(path: string | null, decoder: Decoder<T>) {
  const isEnabled = path !== null;
  const query = useQuery({
    queryKey: [...versionsKey, path],
    queryFn: ({ signal }) => request(path ?? "", decoder, { signal }),
    enabled: isEnabled,
    placeholderData: keepPreviousData,
  });
  return useRenewed(query, useMetricsRevision(), isEnabled);
}

const runPath = (run: string) => `/api/v1/training-runs/${encodeURIComponent(run)}`;
const pinPath = (robot: string) => `/api/v1/robots/${encodeURIComponent(robot)}/pin`;
const versionPath = (id: string) => `/api/v1/policy-versions/${encodeURIComponent(id)}`;

export const useVersionRuns = () => useVersionsQuery("/api/v1/training-runs", runs);
export const useLineage = (run: string) =>
  useVersionsQuery(`${runPath(run)}/lineage`, record({ versions: list(version) }));
export const useRelease = (run: string | null) => useVersionsQuery(run === null ? null : `${runPath(run)}/release`, release);
export const useReport = (id: string) => useVersionsQuery(`${versionPath(id)}/report`, report);
export const useComparison = (id: string, other: string | null) =>
  useVersionsQuery(other === null ? null : `${versionPath(id)}/compare/${encodeURIComponent(other)}`, comparison);
export const downloadPath = (id: string): string => `${versionPath(id)}/download`;

/** One change of what robots drive with. `over`: the revision that was read, of what is changed. */
export type Action =
  | { readonly kind: "strategy"; readonly run: string; readonly over: number; readonly strategy: string; readonly canary?: Readonly<Record<string, number | string>> }
  | { readonly kind: "roll-back-run"; readonly run: string; readonly version: string | null; readonly reason: string }
  | { readonly kind: "stage"; readonly version: string; readonly strategy: string; readonly settings?: Readonly<Record<string, number | string>> }
  | { readonly kind: "decide"; readonly rollout: string; readonly action: string; readonly reason: string }
  | { readonly kind: "pin"; readonly robot: string; readonly over: number; readonly version: string; readonly reason: string }
  | { readonly kind: "unpin"; readonly robot: string; readonly over: number }
  | { readonly kind: "notes"; readonly version: string; readonly over: number; readonly notes: string };

function send(action: Action): Promise<unknown> {
  const any = (value: unknown) => value;
  const ifMatch = "over" in action ? { ifMatch: `"${action.over}"` } : {};
  switch (action.kind) {
    case "strategy": {
      const { strategy, canary } = action;
      const body = { strategy, ...(canary ? { canary } : {}) };
      return request(`${runPath(action.run)}/release`, any, { method: "PUT", body, ...ifMatch });
    }
    case "roll-back-run": {
      const { version: id, reason } = action;
      return request(`${runPath(action.run)}/roll-back`, any, { method: "POST", body: { version: id, reason } });
    }
    case "stage": {
      const { strategy, settings } = action;
      const body = { strategy, ...(settings ? { settings } : {}) };
      return request(`${versionPath(action.version)}/stage`, any, { method: "POST", body });
    }
    case "decide": {
      const path = `/api/v1/rollouts/${encodeURIComponent(action.rollout)}/${action.action}`;
      return request(path, any, { method: "POST", body: { reason: action.reason } });
    }
    case "pin": {
      const { version: id, reason } = action;
      return request(pinPath(action.robot), nothing, { method: "PUT", body: { version: id, reason }, ...ifMatch });
    }
    case "unpin":
      return request(pinPath(action.robot), nothing, { method: "DELETE", ...ifMatch });
    case "notes":
      return request(`${versionPath(action.version)}/notes`, any, { method: "PUT", body: { notes: action.notes }, ...ifMatch });
  }
}

export function useAct() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: send,
    // Also when it failed: somebody else's decision may be why.
    onSettled: () => client.invalidateQueries({ queryKey: versionsKey }),
  });
}
