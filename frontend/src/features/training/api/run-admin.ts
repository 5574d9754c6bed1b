/** Administering runs: what may be set, starting one, pausing, resuming and stopping it, and comparing some. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { type Rate, rate } from "@/features/training/api/runs";
import type { Algorithm, Setting, Settings, Value } from "@/features/training/settings";
import { request } from "@/lib/api/client";
import { boolean, type Decoder, list, nullable, number, record, text } from "@/lib/api/decode";

const START_LIMIT_MS = 60_000; // the weights of version 0 are stored meanwhile
const path = "/api/v1/training-runs";

const value: Decoder<Value> = (given, at) => (typeof given === "number" ? number(given, at) : typeof given === "boolean" ? given : nullable(text)(given, at));
const setting = record<Setting>({
  path: text,
  group: text,
  label: text,
  kind: text,
  choices: nullable(list(text)),
  is_optional: boolean,
  default: value,
  unit: text,
  low: nullable(number),
  high: nullable(number),
  above: nullable(number),
  below: nullable(number),
  pattern: nullable(text),
  help: text,
});
const algorithm = record<Algorithm>({ name: text, title: text, help: text, fields: list(setting) });
const settings = record<Settings>({ algorithms: list(algorithm), fields: list(setting) });

/** It changes only with the learner's code. */
export const useTrainingSettings = () =>
  useQuery({
    queryKey: ["training-settings"],
    queryFn: ({ signal }) => request("/api/v1/training-settings", settings, { signal }),
    staleTime: Infinity,
  });

export interface Option {
  readonly value: string;
  readonly label: string;
}

const policies = record({ results: list(record({ id: text, run: text, number })) });
const named = record({ results: list(record({ id: text, name: text })) });

/** The newest 100 policy versions under the names of their runs, and `wanted` whatever its age. */
export const useBases = (wanted: string) =>
  useQuery({
    queryKey: ["run-bases", wanted],
    queryFn: async ({ signal }) => {
      const [versions, runs, one] = await Promise.all([
        request("/api/v1/policy-versions?page_size=100", policies, { signal }),
        request(`${path}?page_size=200`, named, { signal }),
        wanted === "" ? null : request(`/api/v1/policy-versions/${encodeURIComponent(wanted)}`, record({ id: text, run: text, number }), { signal }),
      ]);
      const names = new Map(runs.results.map((run) => [run.id, run.name]));
      const rest = versions.results.filter(({ id }) => id !== one?.id);
      return [...(one === null ? [] : [one]), ...rest].map((each): Option => ({ value: each.id, label: `v${each.number} of ${names.get(each.run) ?? "another run"}` }));
    },
  });

const datasets = record({ results: list(record({ id: text, name: text, newest_version: nullable(number) })) });

/** The newest frozen version of each dataset. */
export const useFrozen = () =>
  useQuery({
    queryKey: ["run-datasets"],
    queryFn: ({ signal }) => request("/api/v1/datasets?page_size=200", datasets, { signal }),
    select: ({ results }) =>
      results.flatMap(({ id, name, newest_version }): Option[] =>
        newest_version === null ? [] : [{ value: `${id}/${newest_version}`, label: `${name} v${newest_version}` }],
      ),
  });

export interface RunWish {
  readonly name: string;
  readonly base: string;
  readonly algorithm: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly seed: number;
  readonly tasks: readonly string[];
  readonly dataset: { readonly id: string; readonly version: number; readonly split: string } | null;
  readonly takes_online: boolean;
  readonly target_steps: number | null;
  readonly copied_from: string | null;
}

export function useStartRun() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: RunWish) => request(path, record({ id: text, name: text }), { method: "POST", body, limitMs: START_LIMIT_MS }),
    onSuccess: () => client.invalidateQueries({ queryKey: ["runs"] }),
  });
}

export type Act = "pause" | "resume" | "stop";

/** Over the revision that was read: 412 if somebody was quicker. */
export function useRunAct(id: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ act, revision }: { readonly act: Act; readonly revision: number }) =>
      request(`${path}/${encodeURIComponent(id)}/${act}`, record({ state: text, asked: text }), { method: "POST", ifMatch: `"${revision}"` }),
    // Also when it failed: somebody else's act may be why.
    onSettled: () => Promise.all([client.invalidateQueries({ queryKey: ["run", id] }), client.invalidateQueries({ queryKey: ["runs"] })]),
  });
}

/** Mean of the newest n reports with its 95 % interval, null for a single one. */
export interface MeanLoss {
  readonly mean: number;
  readonly low: number | null;
  readonly high: number | null;
  readonly n: number;
}

export interface ComparedRun {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly step: number;
  readonly versions: number;
  readonly steps_per_s: number;
  readonly loss: MeanLoss | null;
  readonly ingested: number;
  readonly autonomous: Rate | null;
  readonly interventions: Rate | null;
  readonly success: readonly Rate[];
}

export interface SettingRow {
  readonly path: string;
  readonly label: string;
  readonly group: string;
  readonly unit: string;
  readonly values: readonly Value[];
  readonly differs: boolean;
}

const compared = record({
  runs: list(
    record<ComparedRun>({
      id: text,
      name: text,
      state: text,
      step: number,
      versions: number,
      steps_per_s: number,
      loss: nullable(record<MeanLoss>({ mean: number, low: nullable(number), high: nullable(number), n: number })),
      ingested: number,
      autonomous: nullable(rate),
      interventions: nullable(rate),
      success: list(rate),
    }),
  ),
  settings: list(record<SettingRow>({ path: text, label: text, group: text, unit: text, values: list(value), differs: boolean })),
});

/** Two to four runs; nothing is asked for fewer. */
export const useRunComparison = (ids: readonly string[]) =>
  useQuery({
    queryKey: ["run-compare", ...ids],
    queryFn: ({ signal }) => request(`${path}/compare?${new URLSearchParams(ids.map((id) => ["run", id])).toString()}`, compared, { signal }),
    enabled: ids.length >= 2,
  });
