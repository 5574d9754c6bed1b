/** Labels: one over its revision (ETag), many at once, and taking changes back. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { episodePath, episodesKey } from "@/features/episodes/api/episodes";
import { request } from "@/lib/api/client";
import { boolean, list, nullable, number, record, text } from "@/lib/api/decode";

const BULK_LIMIT_MS = 60_000;

/** What is left out stays. `outcome` null: what was recorded counts again. */
export interface LabelChange {
  readonly outcome?: string | null;
  readonly outcome_reason?: string;
  readonly tags?: readonly string[];
  readonly add_tags?: readonly string[];
  readonly remove_tags?: readonly string[];
  readonly comment?: string;
  readonly is_archived?: boolean;
}

/** Revision 0 is what was recorded. `undoes`: the revision that this one took back. */
export interface Revision {
  readonly revision: number;
  readonly outcome: string;
  readonly outcome_source: string;
  readonly outcome_reason: string;
  readonly tags: readonly string[];
  readonly comment: string;
  readonly is_archived: boolean;
  readonly at: string;
  readonly by_name: string;
  readonly undoes: number | null;
}

interface BulkDone {
  readonly batch: string;
  readonly changed: number;
  readonly unchanged: number;
}

/** Which episodes: those with these ids, or all that a filter finds. */
export type Chosen = { readonly ids: readonly string[] } | { readonly filter: Readonly<Record<string, unknown>> };

const label = record({ revision: number });
const done = record<BulkDone>({ batch: text, changed: number, unchanged: number });
const history = record({
  revisions: list(
    record<Revision>({
      revision: number,
      outcome: text,
      outcome_source: text,
      outcome_reason: text,
      tags: list(text),
      comment: text,
      is_archived: boolean,
      at: text,
      by_name: text,
      undoes: nullable(number),
    }),
  ),
});

function useForgetEpisodes() {
  const client = useQueryClient();
  return () => client.invalidateQueries({ queryKey: episodesKey });
}

export function useLabel(id: string) {
  const forget = useForgetEpisodes();
  return useMutation({
    mutationFn: ({ change, revision }: { readonly change: LabelChange; readonly revision: number }) =>
      request(`${episodePath(id)}/label`, label, { method: "PATCH", body: change, ifMatch: `"${revision}"` }),
    // Also when it failed: somebody else's label may be why.
    onSettled: forget,
  });
}

export function useUndoLabel(id: string) {
  const forget = useForgetEpisodes();
  return useMutation({
    mutationFn: (revision: number) =>
      request(`${episodePath(id)}/label/undo`, label, { method: "POST", ifMatch: `"${revision}"` }),
    onSettled: forget,
  });
}

/** The newest first; none while nobody labelled the episode. */
export const useLabelHistory = (id: string) =>
  useQuery({
    queryKey: [...episodesKey, "history", id],
    queryFn: ({ signal }) => request(`${episodePath(id)}/label/history`, history, { signal }),
    select: ({ revisions }) => revisions,
  });

export function useBulkLabel() {
  const forget = useForgetEpisodes();
  return useMutation({
    mutationFn: ({ chosen, change }: { readonly chosen: Chosen; readonly change: LabelChange }) =>
      request("/api/v1/episodes/labels", done, { method: "POST", body: { ...chosen, change }, limitMs: BULK_LIMIT_MS }),
    onSettled: forget,
  });
}

export function useUndoBulk() {
  const forget = useForgetEpisodes();
  return useMutation({
    mutationFn: (batch: string) =>
      request(`/api/v1/episodes/labels/${encodeURIComponent(batch)}/undo`, done, { method: "POST", limitMs: BULK_LIMIT_MS }),
    onSettled: forget,
  });
}
