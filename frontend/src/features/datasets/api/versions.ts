/** Versions of a dataset: counting and freezing one, reading it, its episodes, and what differs from another. */

import { keepPreviousData, useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { datasetPath, datasetsKey } from "@/features/datasets/api/datasets";
import { request } from "@/lib/api/client";
import { boolean, type Decoder, list, nullable, number, object, record, text } from "@/lib/api/decode";

const FREEZE_LIMIT_MS = 120_000;
const COUNT_LIMIT_MS = 30_000;
const LOOK_AGAIN_MS = 2000;

/** Successes of n episodes with the 95 % Wilson interval; rates in [0, 1]. */
export interface Rate {
  readonly successes: number;
  readonly n: number;
  readonly rate: number;
  readonly low: number;
  readonly high: number;
}

export interface Split {
  readonly name: string;
  readonly share: number;
  readonly episodes: number;
}

/** Times are ISO 8601. `state`: "describing" until the steps are read, then "ready". */
export interface Version {
  readonly id: string;
  readonly number: number;
  readonly state: string;
  readonly digest: string;
  readonly seed: number;
  readonly splits: readonly Split[];
  readonly is_stratified: boolean;
  readonly notes: string;
  readonly episodes: number;
  readonly frames: number;
  readonly human_frames: number;
  readonly success: Rate | null;
  readonly size_bytes: number;
  readonly archived_left_out: number;
  readonly frozen_at: string;
  readonly frozen_by_name: string;
}

/** `number`: of a policy version, whose `name` is its run's. */
export interface Group {
  readonly name: string;
  readonly number: number | null;
  readonly episodes: number;
  readonly frames: number;
  readonly successes: number | null;
}

/** Statistics of a column over all frames, a number an axis. */
export interface Feature {
  readonly name: string;
  readonly axes: readonly string[];
  readonly episodes: number;
  readonly frames: number;
  readonly min: readonly number[];
  readonly max: readonly number[];
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

export interface Statistics {
  readonly recorded_from: string;
  readonly recorded_until: string;
  readonly episodes_with_takeover: number;
  readonly tasks: readonly Group[];
  readonly outcomes: readonly Group[];
  readonly robots: readonly Group[];
  readonly policy_versions: readonly Group[];
  readonly operators: readonly Group[];
  readonly steps_read: { readonly episodes: number; readonly unreadable: number };
  readonly features: readonly Feature[];
}

export interface VersionDetail extends Version {
  readonly query: Readonly<Record<string, unknown>>;
  readonly notes_revision: number;
  readonly statistics: Statistics;
  readonly card: string;
}

export interface Counted {
  readonly name: string;
  readonly episodes: number;
}

/** `fingerprint` goes with the freeze, which is refused if something else would be frozen. */
export interface Preview {
  readonly episodes: number;
  readonly frames: number;
  readonly human_frames: number;
  readonly successes: number;
  readonly terminated: number;
  readonly size_bytes: number;
  readonly archived_left_out: number;
  readonly fingerprint: string;
  readonly splits: readonly Counted[];
  readonly tasks: readonly Counted[];
}

/** What to freeze, and how to split it. */
export interface Plan {
  readonly filter?: Readonly<Record<string, unknown>>;
  readonly collected?: true;
  readonly splits: Readonly<Record<string, number>>;
  readonly is_stratified: boolean;
}

export interface Freeze extends Plan {
  readonly seed: number;
  readonly notes: string;
  readonly expected: string;
}

export interface HeldEpisode {
  readonly position: number;
  readonly episode: string;
  readonly split: string;
  readonly outcome: string;
  readonly tags: readonly string[];
  readonly task: string;
  readonly steps: number;
  readonly human_steps: number;
  readonly ended_at: string;
}

export interface Difference {
  readonly count: number;
  readonly episodes: readonly { readonly episode: string }[];
}

/** From the older version to the newer one. */
export interface Compared {
  readonly added: Difference;
  readonly removed: Difference;
  readonly relabelled: Difference;
  readonly moved: Difference;
}

const fields = {
  id: text,
  number,
  state: text,
  digest: text,
  seed: number,
  splits: list(record<Split>({ name: text, share: number, episodes: number })),
  is_stratified: boolean,
  notes: text,
  episodes: number,
  frames: number,
  human_frames: number,
  success: nullable(record<Rate>({ successes: number, n: number, rate: number, low: number, high: number })),
  size_bytes: number,
  archived_left_out: number,
  frozen_at: text,
  frozen_by_name: text,
};
const groups: Decoder<readonly Group[]> = list(
  record<Group>({ name: text, number: nullable(number), episodes: number, frames: number, successes: nullable(number) }),
);
const numbers = list(number);
const statistics = record<Statistics>({
  recorded_from: text,
  recorded_until: text,
  episodes_with_takeover: number,
  tasks: groups,
  outcomes: groups,
  robots: groups,
  policy_versions: groups,
  operators: groups,
  steps_read: record({ episodes: number, unreadable: number }),
  features: list(
    record<Feature>({
      name: text,
      axes: list(text),
      episodes: number,
      frames: number,
      min: numbers,
      max: numbers,
      mean: numbers,
      std: numbers,
    }),
  ),
});
const versions = record({ results: list(record<Version>(fields)) });
const detail = record<VersionDetail>({ ...fields, query: object, notes_revision: number, statistics, card: text });
const counted = list(record<Counted>({ name: text, episodes: number }));
const preview = record<Preview>({
  episodes: number,
  frames: number,
  human_frames: number,
  successes: number,
  terminated: number,
  size_bytes: number,
  archived_left_out: number,
  fingerprint: text,
  splits: counted,
  tasks: counted,
});
const held = record({
  next: nullable(text),
  results: list(
    record<HeldEpisode>({
      position: number,
      episode: text,
      split: text,
      outcome: text,
      tags: list(text),
      task: text,
      steps: number,
      human_steps: number,
      ended_at: text,
    }),
  ),
});
const difference = record<Difference>({ count: number, episodes: list(record({ episode: text })) });
const compared = record<Compared>({ added: difference, removed: difference, relabelled: difference, moved: difference });

const versionPath = (id: string, version: number) => `${datasetPath(id)}/versions/${version}`;

/** The newest 200. */
export const useVersions = (id: string) =>
  useQuery({
    queryKey: [...datasetsKey, "versions", id],
    queryFn: ({ signal }) => request(`${datasetPath(id)}/versions?page_size=200`, versions, { signal }),
    select: ({ results }) => results,
  });

/** Looked at again while its steps are being read. */
export const useVersion = (id: string, version: number) =>
  useQuery({
    queryKey: [...datasetsKey, "version", id, version],
    queryFn: ({ signal }) => request(versionPath(id, version), detail, { signal }),
    refetchInterval: ({ state }) => (state.data?.state === "describing" ? LOOK_AGAIN_MS : false),
  });

/** Counts what `plan` would freeze now; null asks nothing. */
export const usePreview = (id: string, plan: Plan | null) =>
  useQuery({
    queryKey: [...datasetsKey, "preview", id, plan],
    queryFn: ({ signal }) =>
      request(`${datasetPath(id)}/preview`, preview, { method: "POST", body: plan, signal, limitMs: COUNT_LIMIT_MS }),
    enabled: plan !== null,
    placeholderData: keepPreviousData,
    staleTime: 0,
    gcTime: 10_000,
    retry: false,
  });

/** Counts again in any case: it is refused if something else than the preview would be frozen. */
export function useFreeze(id: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: Freeze) =>
      request(`${datasetPath(id)}/versions`, detail, { method: "POST", body, limitMs: FREEZE_LIMIT_MS }),
    onSettled: () => client.invalidateQueries({ queryKey: datasetsKey }),
  });
}

export function useAnnotate(id: string, version: VersionDetail) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (notes: string) =>
      request(versionPath(id, version.number), detail, {
        method: "PATCH",
        body: { notes },
        ifMatch: `"${version.notes_revision}"`,
      }),
    onSettled: () => client.invalidateQueries({ queryKey: datasetsKey }),
  });
}

/** `split`: empty for all. One page at a time, in the order of export. */
export const useHeldEpisodes = (id: string, version: number, split: string) =>
  useInfiniteQuery({
    queryKey: [...datasetsKey, "episodes", id, version, split],
    queryFn: ({ signal, pageParam }) => {
      const parameters = new URLSearchParams({ page_size: "100" });
      if (split !== "") parameters.set("split", split);
      if (pageParam !== null) parameters.set("cursor", pageParam);
      return request(`${versionPath(id, version)}/episodes?${parameters}`, held, { signal });
    },
    initialPageParam: null as string | null,
    getNextPageParam: ({ next }) => (next === null ? null : new URL(next, location.origin).searchParams.get("cursor")),
    select: ({ pages }) => pages.flatMap(({ results }) => results),
    staleTime: Infinity,
  });

/** Null `older` asks nothing. */
export const useCompared = (id: string, older: number | null, newer: number) =>
  useQuery({
    queryKey: [...datasetsKey, "compared", id, older, newer],
    queryFn: ({ signal }) => request(`${versionPath(id, older ?? 0)}/compare/${newer}`, compared, { signal, limitMs: COUNT_LIMIT_MS }),
    enabled: older !== null,
    staleTime: Infinity,
  });
