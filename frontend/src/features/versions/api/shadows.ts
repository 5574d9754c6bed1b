/** Shadows: a version that proposes on robots and is never executed. docs/rollout.md, "Shadows", defines the distance. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { useVersionsQuery, versionsKey } from "@/features/versions/api/versions";
import { request } from "@/lib/api/client";
import { boolean, list, nullable, number, record, text } from "@/lib/api/decode";

/** A mean with its 95 % interval. */
export interface Mean {
  readonly value: number | null;
  readonly low: number | null;
  readonly high: number | null;
}

/** Distances in [0, 2]. `closer`: own less human, above 0 where the candidate lay closer to the human. */
export interface Figures {
  readonly episodes: number;
  readonly human_episodes: number;
  readonly asked: number;
  readonly answered: number;
  readonly policy_n: number;
  readonly human_n: number;
  readonly policy: Mean;
  readonly human: Mean;
  readonly own: Mean;
  readonly closer: Mean;
}

export interface ShadowRobot {
  readonly robot: string;
  readonly robot_name: string;
  readonly state: string;
  readonly code: string;
  readonly text: string;
  readonly episodes: number;
}

export interface ShadowPoint {
  readonly began_at: string;
  readonly until: string;
  readonly figures: Figures;
}

export interface Shadow {
  readonly id: string;
  readonly version: string;
  readonly number: number;
  readonly share: number;
  readonly max_episodes: number;
  readonly tag: string;
  readonly began_at: string;
  readonly ends_at: string;
  readonly ended_at: string | null;
  readonly reason: string;
  readonly by_name: string;
  readonly sentence: string;
  readonly total: Figures;
  readonly robots: readonly ShadowRobot[];
  readonly points: readonly ShadowPoint[];
  readonly tasks: readonly { readonly task: string; readonly figures: Figures }[];
  readonly is_cut: boolean;
}

/** One episode of a shadow; `policy_total / policy_n` is its mean distance. */
export interface ShadowEpisode {
  readonly episode: string;
  readonly robot_name: string;
  readonly task: string;
  readonly started_at: string;
  readonly driving_number: number | null;
  readonly asked: number;
  readonly answered: number;
  readonly policy_n: number;
  readonly policy_total: number;
  readonly human_n: number;
  readonly human_total: number;
  readonly own_total: number;
}

const mean = record<Mean>({ value: nullable(number), low: nullable(number), high: nullable(number) });
const figures = record<Figures>({
  episodes: number,
  human_episodes: number,
  asked: number,
  answered: number,
  policy_n: number,
  human_n: number,
  policy: mean,
  human: mean,
  own: mean,
  closer: mean,
});
const shadow = record<Shadow>({
  id: text,
  version: text,
  number,
  share: number,
  max_episodes: number,
  tag: text,
  began_at: text,
  ends_at: text,
  ended_at: nullable(text),
  reason: text,
  by_name: text,
  sentence: text,
  total: figures,
  robots: list(record<ShadowRobot>({ robot: text, robot_name: text, state: text, code: text, text, episodes: number })),
  points: list(record<ShadowPoint>({ began_at: text, until: text, figures })),
  tasks: list(record({ task: text, figures })),
  is_cut: boolean,
});
const shadows = record({ shadows: list(shadow) });
const episodes = record({
  results: list(
    record<ShadowEpisode>({
      episode: text,
      robot_name: text,
      task: text,
      started_at: text,
      driving_number: nullable(number),
      asked: number,
      answered: number,
      policy_n: number,
      policy_total: number,
      human_n: number,
      human_total: number,
      own_total: number,
    }),
  ),
});
const robotNames = record({ results: list(record({ id: text, name: text, retired_at: nullable(text) })) });

const ofVersion = (version: string) => `/api/v1/policy-versions/${encodeURIComponent(version)}/shadows`;
const one = (id: string) => `/api/v1/shadows/${encodeURIComponent(id)}`;

export const useVersionShadows = (version: string) => useVersionsQuery(ofVersion(version), shadows);
export const useRunShadows = (run: string) => useVersionsQuery(`/api/v1/training-runs/${encodeURIComponent(run)}/shadows`, shadows);
export const useShadowEpisodes = (id: string) => useVersionsQuery(`${one(id)}/episodes?page_size=50`, episodes);

/** Robots to choose from, by name. A larger fleet is chosen by tag or share. */
export const useRobotNames = () =>
  useQuery({
    queryKey: [...versionsKey, "robots"],
    queryFn: ({ signal }) => request("/api/v1/robots?page_size=200", robotNames, { signal }),
    select: ({ results }) => results.filter(({ retired_at }) => retired_at === null),
  });

/** What a person wishes; one of robots, tag and robot_share. */
export interface Wish {
  readonly robots?: readonly string[];
  readonly tag?: string;
  readonly robot_share?: number;
  readonly share: number;
  readonly duration_s: number;
  readonly max_episodes: number;
}

export function useBeginShadow(version: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (wish: Wish) => request(ofVersion(version), shadow, { method: "POST", body: wish }),
    onSettled: () => client.invalidateQueries({ queryKey: versionsKey }),
  });
}

export function useEndShadow() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (id: string) => request(`${one(id)}/end`, shadow, { method: "POST", body: {} }),
    onSettled: () => client.invalidateQueries({ queryKey: versionsKey }),
  });
}
