/** Episodes: the library's list and counts, one episode, its steps for plots. */

import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";

import { useRenewed } from "@/hooks/use-renewed";
import { request } from "@/lib/api/client";
import { boolean, list, nullable, number, record, text } from "@/lib/api/decode";
import { useMetricsRevision } from "@/lib/socket/fleet-store";

const PAGE_SIZE = 100;

/** Times are ISO 8601. `environment_outcome`: what the environment had said where a person's outcome counts. */
export interface EpisodeRow {
  readonly id: string;
  readonly origin: string;
  readonly outcome: string;
  readonly outcome_source: string;
  readonly outcome_reason: string;
  readonly environment_outcome: string;
  readonly robot_name: string | null;
  readonly task: string;
  readonly policy_number: number | null;
  readonly run: string | null;
  readonly run_name: string | null;
  readonly instruction: string;
  readonly steps: number;
  readonly human_steps: number;
  readonly human_share: number;
  readonly control_rate_hz: number;
  readonly operators: readonly string[];
  readonly tags: readonly string[];
  readonly comment: string;
  readonly is_archived: boolean;
  readonly label_revision: number;
  readonly ended_at: string;
  readonly size_bytes: number;
  /** What the last verification of the store missed of its objects, "" if nothing. */
  readonly damage: string;
}

/** Steps [start, end) with one driver. */
export interface Segment {
  readonly start: number;
  readonly end: number;
  readonly mode: string;
  readonly source: string;
  readonly operator: string;
  readonly reason: string;
}

export interface Camera {
  readonly name: string;
  readonly width: number;
  readonly height: number;
  readonly url: string;
}

export interface RecordedFile {
  readonly name: string;
  readonly size: number;
  readonly url: string;
}

export interface Recording {
  readonly driver: string;
  readonly outcome: string;
  readonly action_names: readonly string[];
  readonly cameras: readonly Camera[];
  readonly files: readonly RecordedFile[];
  /** What the robot was calibrated to, as its driver said: a JSON object as text. */
  readonly calibration: { readonly document: string; readonly sha256: string } | null;
}

export interface EpisodeDetail extends EpisodeRow {
  readonly segments: readonly Segment[];
  readonly recording: Recording | null;
  readonly recording_problem: { readonly code: string; readonly detail: string } | null;
  /** The run that drove it has derived something of its frames: see useDerived. */
  readonly has_sidecar: boolean;
}

export interface FacetValue {
  readonly value: string;
  readonly label: string;
  readonly count: number;
}

export const FACETS = ["task", "robot", "policy_version", "outcome", "outcome_source", "origin", "source", "operator", "tag"] as const;
export type Facet = (typeof FACETS)[number];

export interface Counts {
  readonly total: number;
  readonly facets: Readonly<Record<Facet, readonly FacetValue[]>>;
}

/** Vectors are lists [axis][point]; points are the frames in `frame`, `stride` apart. */
export interface Steps {
  readonly stride: number;
  readonly frame: readonly number[];
  readonly asked: readonly (readonly number[])[];
  readonly applied: readonly (readonly number[])[];
  readonly proposed: readonly (readonly (number | null)[])[];
  readonly reward: readonly number[];
  /** The driver's success signal at these frames. */
  readonly success: readonly boolean[];
}

const row = {
  id: text,
  origin: text,
  outcome: text,
  outcome_source: text,
  outcome_reason: text,
  environment_outcome: text,
  robot_name: nullable(text),
  task: text,
  policy_number: nullable(number),
  run: nullable(text),
  run_name: nullable(text),
  instruction: text,
  steps: number,
  human_steps: number,
  human_share: number,
  control_rate_hz: number,
  operators: list(text),
  tags: list(text),
  comment: text,
  is_archived: boolean,
  label_revision: number,
  ended_at: text,
  size_bytes: number,
  damage: text,
};
const page = record({ next: nullable(text), results: list(record<EpisodeRow>(row)) });
const facet = list(record<FacetValue>({ value: text, label: text, count: number }));
const counts = record<Counts>({
  total: number,
  facets: record({
    task: facet,
    robot: facet,
    policy_version: facet,
    outcome: facet,
    outcome_source: facet,
    origin: facet,
    source: facet,
    operator: facet,
    tag: facet,
  }),
});
const detail = record<EpisodeDetail>({
  ...row,
  segments: list(record<Segment>({ start: number, end: number, mode: text, source: text, operator: text, reason: text })),
  recording: nullable(
    record<Recording>({
      driver: text,
      outcome: text,
      action_names: list(text),
      cameras: list(record<Camera>({ name: text, width: number, height: number, url: text })),
      files: list(record<RecordedFile>({ name: text, size: number, url: text })),
      calibration: nullable(record({ document: text, sha256: text })),
    }),
  ),
  recording_problem: nullable(record({ code: text, detail: text })),
  has_sidecar: boolean,
});
const vectors = list(list(number));
const steps = record<Steps>({
  stride: number,
  frame: list(number),
  asked: vectors,
  applied: vectors,
  proposed: list(list(nullable(number))),
  reward: list(number),
  success: list(boolean),
});

export const episodesKey = ["episodes"] as const;
export const episodePath = (id: string): string => `/api/v1/episodes/${encodeURIComponent(id)}`;

/** `query`: the filter and `sort`, as the library's URL carries them. One page at a time, by cursor. */
export const useEpisodes = (query: string) =>
  useInfiniteQuery({
    queryKey: [...episodesKey, "list", query],
    queryFn: ({ signal, pageParam }) => {
      const parameters = new URLSearchParams(query);
      parameters.set("page_size", `${PAGE_SIZE}`);
      if (pageParam !== null) parameters.set("cursor", pageParam);
      return request(`/api/v1/episodes?${parameters}`, page, { signal });
    },
    initialPageParam: null as string | null,
    getNextPageParam: ({ next }) => (next === null ? null : new URL(next, location.origin).searchParams.get("cursor")),
    select: ({ pages }) => pages.flatMap(({ results }) => results),
    placeholderData: keepPreviousData,
  });

/** Counted again as episodes arrive. */
export function useEpisodeCounts(query: string) {
  const found = useQuery({
    queryKey: [...episodesKey, "counts", query],
    queryFn: ({ signal }) => request(`/api/v1/episodes/counts?${query}`, counts, { signal }),
    placeholderData: keepPreviousData,
  });
  return useRenewed(found, useMetricsRevision());
}

export const useEpisode = (id: string) =>
  useQuery({
    queryKey: [...episodesKey, "one", id],
    queryFn: ({ signal }) => request(episodePath(id), detail, { signal }),
  });

/** What was recorded never changes. */
export const useEpisodeSteps = (id: string) =>
  useQuery({
    queryKey: ["episode-steps", id],
    queryFn: ({ signal }) => request(`${episodePath(id)}/steps`, steps, { signal, limitMs: 30_000 }),
    staleTime: Infinity,
  });
