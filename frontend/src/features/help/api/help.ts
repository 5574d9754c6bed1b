/** What the live queue does not carry: past requests, how long people took, and the choice of the rule. */

import { keepPreviousData, useMutation, useQuery } from "@tanstack/react-query";

import type { HelpRanking } from "@/protocol/generated";
import { useRenewed } from "@/hooks/use-renewed";
import { request } from "@/lib/api/client";
import { list, nullable, number, record, text } from "@/lib/api/decode";
import { useHelpQueue } from "@/lib/socket/help-store";

/** Times are ISO 8601. `ending`: empty until the request is closed. */
export interface PastRequest {
  readonly id: string;
  readonly robot_name: string;
  readonly reason: string;
  readonly ending: string;
  readonly opened_at: string;
  readonly claimed_at: string | null;
  readonly closed_at: string | null;
  readonly operator: string;
  readonly task: string | null;
}

/** Of n durations; null where n is 0. */
export interface Spread {
  readonly n: number;
  readonly p50_s: number | null;
  readonly p90_s: number | null;
}

export interface OperatorFigures {
  readonly operator: string;
  readonly takeovers: number;
  readonly switches: number;
  readonly dwell: Spread;
}

export interface HelpFigures {
  readonly answered: number;
  readonly unanswered: number;
  readonly waiting: Spread;
  readonly service: Spread;
  readonly blocked_s: number;
  readonly operators: readonly OperatorFigures[];
}

const spread = record<Spread>({ n: number, p50_s: nullable(number), p90_s: nullable(number) });
const past = record<PastRequest>({
  id: text,
  robot_name: text,
  reason: text,
  ending: text,
  opened_at: text,
  claimed_at: nullable(text),
  closed_at: nullable(text),
  operator: text,
  task: nullable(text),
});
const page = record({ results: list(past) });
const figures = record<HelpFigures>({
  answered: number,
  unanswered: number,
  waiting: spread,
  service: spread,
  blocked_s: number,
  operators: list(record<OperatorFigures>({ operator: text, takeovers: number, switches: number, dwell: spread })),
});

/** A number that changes when the queue did. */
const useRevision = (): number => useHelpQueue()?.server_ms ?? 0;

export function usePastRequests() {
  const query = useQuery({
    queryKey: ["help-history"],
    queryFn: ({ signal }) => request("/api/v1/help/history?page_size=20", page, { signal }),
    select: (data) => data.results,
  });
  return useRenewed(query, useRevision());
}

export function useHelpFigures(windowS: number) {
  const query = useQuery({
    queryKey: ["help-figures", windowS],
    queryFn: ({ signal }) => request(`/api/v1/help/figures?window_s=${windowS}`, figures, { signal }),
    placeholderData: keepPreviousData,
  });
  return useRenewed(query, useRevision());
}

/** Choose the rule for everyone; the live queue then says so itself. */
export const useChooseRanking = () =>
  useMutation({
    mutationFn: ({ ranking, over }: { readonly ranking: HelpRanking; readonly over: HelpRanking }) =>
      request("/api/v1/help/ranking", (value) => value, { method: "PUT", body: { ranking }, ifMatch: `"${over}"` }),
  });
