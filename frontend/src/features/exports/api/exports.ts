/** Exports: the list with live progress, what there is to choose, a look before asking, asking and ending. */

import { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { request } from "@/lib/api/client";
import { boolean, list, nothing, nullable, number, object, record, text } from "@/lib/api/decode";

const path = "/api/v1/exports";
export const exportsKey = ["exports"] as const;
/** While one waits or runs, and else: others ask for exports too. */
const LIVE_MS = 1500;
const IDLE_MS = 15_000;
const CHECK_LIMIT_MS = 60_000;

export const ACTIVE: readonly string[] = ["queued", "running"];

export interface ExportSource {
  readonly name: string;
  readonly dataset: string | null;
  readonly version: number | null;
}

export interface ExportFailure {
  readonly code: string;
  readonly message: string;
}

/** Times are ISO 8601. `eta_s`: null while the rate is not known. `sha256`: of SHA256SUMS. */
export interface ExportRow {
  readonly id: string;
  readonly source: ExportSource;
  readonly format: string;
  readonly destination: string;
  readonly folder: string;
  readonly state: string;
  readonly is_cancelling: boolean;
  readonly episodes: number;
  readonly frames: number;
  readonly frames_total: number;
  readonly bytes_read: number;
  readonly bytes_total: number;
  readonly file: string;
  readonly bytes_per_s: number;
  readonly eta_s: number | null;
  readonly files: number | null;
  readonly size_bytes: number | null;
  readonly sha256: string;
  readonly resumed_files: number;
  readonly error: ExportFailure | null;
  readonly requested_by_name: string;
  readonly created_at: string;
  readonly expires_at: string | null;
}

const row = record<ExportRow>({
  id: text,
  source: record<ExportSource>({ name: text, dataset: nullable(text), version: nullable(number) }),
  format: text,
  destination: text,
  folder: text,
  state: text,
  is_cancelling: boolean,
  episodes: number,
  frames: number,
  frames_total: number,
  bytes_read: number,
  bytes_total: number,
  file: text,
  bytes_per_s: number,
  eta_s: nullable(number),
  files: nullable(number),
  size_bytes: nullable(number),
  sha256: text,
  resumed_files: number,
  error: nullable(record<ExportFailure>({ code: text, message: text })),
  requested_by_name: text,
  created_at: text,
  expires_at: nullable(text),
});

export interface ExportOption {
  readonly name: string;
  readonly title: string;
  readonly unit: string;
  readonly default: number;
  readonly least: number;
  readonly most: number;
}

export interface ExportFormat {
  readonly name: string;
  readonly title: string;
  readonly options: readonly ExportOption[];
}

export interface ExportChoices {
  readonly formats: readonly ExportFormat[];
  readonly destinations: readonly string[];
  readonly keep_days: number;
}

const option = record<ExportOption>({ name: text, title: text, unit: text, default: number, least: number, most: number });
const choices = record<ExportChoices>({
  formats: list(record<ExportFormat>({ name: text, title: text, options: list(option) })),
  destinations: list(text),
  keep_days: number,
});

/** What an export would hold. `checked`: episodes that were read for `problems`. */
export interface ExportCheck {
  readonly source: string;
  readonly problems: readonly string[];
  readonly episodes: number;
  readonly frames: number;
  readonly size_bytes: number;
  readonly checked: number;
}

const check = record<ExportCheck>({
  source: text,
  problems: list(text),
  episodes: number,
  frames: number,
  size_bytes: number,
  checked: number,
});

/** Exactly one of the three. */
export interface ExportOf {
  readonly dataset_version?: string;
  readonly filter?: Readonly<Record<string, unknown>>;
  readonly ids?: readonly string[];
}

export interface ExportAsked extends ExportOf {
  readonly name?: string;
  readonly format: string;
  readonly options: Readonly<Record<string, number>>;
  readonly destination: string;
}

const page = record({ next: nullable(text), results: list(row) });

/** The newest exports, read again and again: often while one is under way, seldom else. */
export const useExports = () =>
  useQuery({
    queryKey: [...exportsKey, "list"],
    queryFn: ({ signal }) => request(`${path}?page_size=100`, page, { signal }),
    select: ({ next, results }) => ({ rows: results, hasMore: next !== null }),
    refetchInterval: ({ state }) => (state.data?.results.some(({ state: each }) => ACTIVE.includes(each)) ? LIVE_MS : IDLE_MS),
  });

export const useExportChoices = () =>
  useQuery({
    queryKey: [...exportsKey, "choices"],
    queryFn: ({ signal }) => request(`${path}/formats`, choices, { signal }),
    staleTime: 5 * 60_000,
  });

/** Asked anew whenever something else is chosen; the server reads episodes for it, which takes a moment. */
export const useExportCheck = (asked: ExportAsked) =>
  useQuery({
    queryKey: [...exportsKey, "check", asked],
    queryFn: ({ signal }) => request(`${path}/check`, check, { method: "POST", body: asked, signal, limitMs: CHECK_LIMIT_MS }),
    placeholderData: keepPreviousData,
    retry: false,
    staleTime: 30_000,
    gcTime: 60_000,
  });

function useChange<Given, Found>(change: (given: Given) => Promise<Found>) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: change,
    onSettled: () => client.invalidateQueries({ queryKey: [...exportsKey, "list"] }),
  });
}

const one = (id: string) => `${path}/${encodeURIComponent(id)}`;

export const useRequestExport = () =>
  useChange((body: ExportAsked) => request(path, row, { method: "POST", body, limitMs: CHECK_LIMIT_MS }));
export const useCancelExport = () => useChange((id: string) => request(`${one(id)}/cancel`, row, { method: "POST" }));
export const useRetryExport = () => useChange((id: string) => request(`${one(id)}/retry`, row, { method: "POST" }));
export const useDeleteExport = () => useChange((id: string) => request(one(id), nothing, { method: "DELETE" }));

export const downloadPath = (id: string): string => `${one(id)}/download`;

/** What the page's address says is to be exported: `?version=`, `?filter=` as JSON. Null if nothing, or nonsense. */
export function exportOfUrl(parameters: URLSearchParams): ExportOf | null {
  const version = parameters.get("version");
  if (version !== null) return { dataset_version: version };
  const filter = parameters.get("filter");
  if (filter === null) return null;
  try {
    return { filter: object(JSON.parse(filter), "filter") };
  } catch {
    return null;
  }
}
