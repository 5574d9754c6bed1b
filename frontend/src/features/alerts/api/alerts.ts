/** Alerts as the server raises them: /api/v1/alerts. */

import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { useRenewed } from "@/hooks/use-renewed";
import { request } from "@/lib/api/client";
import { type Decoder, list, nullable, number, record, text } from "@/lib/api/decode";
import { useAlertsRevision } from "@/lib/socket/fleet-store";

export type Severity = "info" | "warning" | "critical";

/** Times are ISO 8601; `value`, `low` and `high` are in `unit`. `told_at` null: the rule is silent. */
export interface Alert {
  readonly id: string;
  readonly rule_name: string;
  readonly kind: string;
  readonly severity: Severity;
  readonly subject_kind: string;
  readonly subject_id: string;
  readonly subject_name: string;
  readonly opened_at: string;
  readonly resolved_at: string | null;
  readonly text: string;
  readonly resolved_text: string;
  readonly told_at: string | null;
  readonly acknowledged_at: string | null;
  readonly acknowledged_by_name: string;
  readonly note: string;
}

export interface OpenAlerts {
  readonly results: readonly Alert[];
  readonly total: number;
  readonly unacknowledged: number;
}

const severity: Decoder<Severity> = (value, path) => {
  const word = text(value, path);
  return word === "critical" || word === "info" ? word : "warning";
};
const alert = record<Alert>({
  id: text,
  rule_name: text,
  kind: text,
  severity,
  subject_kind: text,
  subject_id: text,
  subject_name: text,
  opened_at: text,
  resolved_at: nullable(text),
  text,
  resolved_text: text,
  told_at: nullable(text),
  acknowledged_at: nullable(text),
  acknowledged_by_name: text,
  note: text,
});
const open = record<OpenAlerts>({ results: list(alert), total: number, unacknowledged: number });
const page = record({ results: list(alert), next: nullable(text) });

const path = "/api/v1/alerts";
const alertsKey = ["alerts"] as const;
/** The socket says when something changed; this is for what it lost. */
const EVERY_MS = 60_000;

/** `isAsked` false: only what somebody else on the page asked for. */
export function useOpenAlerts(isAsked = true) {
  const query = useQuery({
    queryKey: [...alertsKey, "open"],
    queryFn: ({ signal }) => request(`${path}/open`, open, { signal }),
    enabled: isAsked,
    refetchInterval: EVERY_MS,
  });
  return useRenewed(query, useAlertsRevision(), isAsked);
}

export function usePastAlerts() {
  const query = useInfiniteQuery({
    queryKey: [...alertsKey, "past"],
    queryFn: ({ pageParam, signal }) => request(pageParam, page, { signal }),
    initialPageParam: `${path}?state=resolved&page_size=50`,
    getNextPageParam: ({ next }) => (next === null ? undefined : next.slice(next.indexOf("/api/"))),
    select: ({ pages }) => pages.flatMap(({ results }) => results),
  });
  return useRenewed(query, useAlertsRevision());
}

export function useAcknowledge() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ id, note }: { readonly id: string; readonly note: string }) =>
      request(`${path}/${encodeURIComponent(id)}/acknowledge`, alert, { method: "POST", body: { note } }),
    onSettled: () => client.invalidateQueries({ queryKey: alertsKey }),
  });
}
