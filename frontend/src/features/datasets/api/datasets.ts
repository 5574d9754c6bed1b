/** Datasets: the list, one, what is collected for it. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { request } from "@/lib/api/client";
import { boolean, list, nullable, number, record, text } from "@/lib/api/decode";

const COLLECT_LIMIT_MS = 60_000;

/** Times are ISO 8601. `newest_*`: of the newest version, null before the first. `revision` is the ETag. */
export interface Dataset {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly licence: string;
  readonly is_archived: boolean;
  readonly revision: number;
  readonly created_at: string;
  readonly created_by_name: string;
  readonly newest_version: number | null;
  readonly newest_episodes: number | null;
  readonly newest_frames: number | null;
  readonly newest_at: string | null;
  readonly collected: number;
  /** Of these, how many the newest version does not hold; null in the list. */
  readonly collected_new: number | null;
}

export interface DatasetWish {
  readonly name: string;
  readonly description?: string;
  readonly licence?: string;
}

export type DatasetChange = Partial<DatasetWish> & { readonly is_archived?: boolean };

/** Which episodes: those with these ids, or all that a filter finds. */
export type Chosen = { readonly ids: readonly string[] } | { readonly filter: Readonly<Record<string, unknown>> };

const dataset = record<Dataset>({
  id: text,
  name: text,
  description: text,
  licence: text,
  is_archived: boolean,
  revision: number,
  created_at: text,
  created_by_name: text,
  newest_version: nullable(number),
  newest_episodes: nullable(number),
  newest_frames: nullable(number),
  newest_at: nullable(text),
  collected: number,
  collected_new: nullable(number),
});
const page = record({ results: list(dataset) });
const collected = record({ changed: number, collected: number });

const path = "/api/v1/datasets";
export const datasetPath = (id: string): string => `${path}/${encodeURIComponent(id)}`;
export const datasetsKey = ["datasets"] as const;

/** The newest 200; whoever has more looks by name. `archived`: "no", "only" or "any". */
export const useDatasets = (archived: string, search = "") =>
  useQuery({
    queryKey: [...datasetsKey, "list", archived, search],
    queryFn: ({ signal }) =>
      request(`${path}?${new URLSearchParams({ archived, text: search, page_size: "200" })}`, page, { signal }),
    select: ({ results }) => results,
  });

export const useDataset = (id: string) =>
  useQuery({
    queryKey: [...datasetsKey, "one", id],
    queryFn: ({ signal }) => request(datasetPath(id), dataset, { signal }),
  });

export function useCreateDataset() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: DatasetWish) => request(path, dataset, { method: "POST", body }),
    onSuccess: () => client.invalidateQueries({ queryKey: datasetsKey }),
  });
}

/** Over the revision that was read. */
export function useChangeDataset({ id, revision }: Pick<Dataset, "id" | "revision">) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: DatasetChange) => request(datasetPath(id), dataset, { method: "PATCH", body, ifMatch: `"${revision}"` }),
    onSettled: () => client.invalidateQueries({ queryKey: datasetsKey }),
  });
}

export function useCollect() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ id, chosen }: { readonly id: string; readonly chosen: Chosen }) =>
      request(`${datasetPath(id)}/collected`, collected, { method: "POST", body: chosen, limitMs: COLLECT_LIMIT_MS }),
    onSuccess: () => client.invalidateQueries({ queryKey: datasetsKey }),
  });
}

export function useUncollect(id: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: { readonly ids: readonly string[] } | { readonly all: true }) =>
      request(`${datasetPath(id)}/collected/remove`, collected, { method: "POST", body, limitMs: COLLECT_LIMIT_MS }),
    onSuccess: () => client.invalidateQueries({ queryKey: datasetsKey }),
  });
}
