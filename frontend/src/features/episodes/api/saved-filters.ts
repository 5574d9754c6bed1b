/** The filters that this user keeps: GET and POST /api/v1/saved-filters, DELETE of one. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { request } from "@/lib/api/client";
import { list, nothing, object, record, text } from "@/lib/api/decode";

/** `query`: fields of the list's URL, decoded. */
export interface SavedFilter {
  readonly id: string;
  readonly name: string;
  readonly query: Readonly<Record<string, unknown>>;
}

const one = record<SavedFilter>({ id: text, name: text, query: object });
const all = record({ results: list(one) });
const path = "/api/v1/saved-filters";
const key = ["saved-filters"] as const;

export const useSavedFilters = () =>
  useQuery({
    queryKey: key,
    queryFn: ({ signal }) => request(path, all, { signal }),
    select: ({ results }) => results,
    staleTime: 60_000,
  });

export function useSaveFilter() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: Omit<SavedFilter, "id">) => request(path, one, { method: "POST", body }),
    onSuccess: () => client.invalidateQueries({ queryKey: key }),
  });
}

export function useRemoveFilter() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (id: string) => request(`${path}/${encodeURIComponent(id)}`, nothing, { method: "DELETE" }),
    onSettled: () => client.invalidateQueries({ queryKey: key }),
  });
}
