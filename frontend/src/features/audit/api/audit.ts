/** The audit log: GET /api/v1/audit, page by page. */

import { useInfiniteQuery, useQuery } from "@tanstack/react-query";

import { request } from "@/lib/api/client";
import { list, nullable, number, object, record, text } from "@/lib/api/decode";

export interface AuditEntry {
  readonly id: number;
  readonly at: string;
  readonly actor_kind: string;
  readonly actor_name: string;
  readonly action: string;
  readonly object_kind: string;
  readonly object_id: string;
  readonly object_name: string;
  readonly before: Readonly<Record<string, unknown>> | null;
  readonly after: Readonly<Record<string, unknown>> | null;
  readonly address: string | null;
  readonly request_id: string;
}

export interface AuditFacets {
  readonly actors: readonly string[];
  readonly actions: readonly string[];
}

interface AuditPage {
  readonly next: string | null;
  readonly results: readonly AuditEntry[];
}

const entry = record<AuditEntry>({
  id: number,
  at: text,
  actor_kind: text,
  actor_name: text,
  action: text,
  object_kind: text,
  object_id: text,
  object_name: text,
  before: nullable(object),
  after: nullable(object),
  address: nullable(text),
  request_id: text,
});
const page = record<AuditPage>({ next: nullable(text), results: list(entry) });
const facets = record<AuditFacets>({ actors: list(text), actions: list(text) });
const path = "/api/v1/audit";

export const csvUrl = (query: string) => `${path}/csv${query === "" ? "" : `?${query}`}`;

export const useAudit = (query: string) =>
  useInfiniteQuery({
    queryKey: ["audit", query],
    queryFn: ({ pageParam, signal }) => request(pageParam, page, { signal }),
    initialPageParam: `${path}${query === "" ? "" : `?${query}`}`,
    getNextPageParam: (last) => (last.next === null ? null : localPath(last.next)),
  });

export const useAuditFacets = () =>
  useQuery({ queryKey: ["audit", "facets"], queryFn: ({ signal }) => request(`${path}/facets`, facets, { signal }) });

/** The server names itself by its own host; the console asks where it came from. */
function localPath(url: string): string {
  const parts = new URL(url, window.location.origin);
  return parts.pathname + parts.search;
}
