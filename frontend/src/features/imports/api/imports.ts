/** Datasets on their way into the library: /api/v1/imports. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { request } from "@/lib/api/client";
import { boolean, type Decoder, list, nullable, number, object, record, text } from "@/lib/api/decode";

export const STATES = ["created", "checking", "checked", "running", "done", "failed", "cancelled"] as const;
export type State = (typeof STATES)[number];

/** Times are ISO 8601. `progress` of `progress_total` (0: not known): bytes while unpacking and hashing, else episodes. */
export interface Import {
  readonly id: string;
  readonly name: string;
  readonly folder: string;
  readonly archive_bytes: number;
  readonly state: State;
  readonly phase: string;
  readonly progress: number;
  readonly progress_total: number;
  readonly left_out: number;
  readonly registered: number | null;
  readonly known: number;
  readonly tag: string;
  readonly mapping_revision: number;
  readonly error_code: string;
  readonly error_message: string;
  readonly requested_by_name: string;
  readonly created_at: string;
}

export interface Example {
  readonly episode: number | null;
  readonly frame: number | null;
  readonly detail: string;
}

/** `feature`: the one it is about, "" for the dataset itself. */
export interface Problem {
  readonly code: string;
  readonly message: string;
  readonly feature: string;
  readonly count: number;
  readonly examples: readonly Example[];
}

export interface Camera {
  readonly feature: string;
  readonly width: number;
  readonly height: number;
  readonly codec: string;
  readonly copied: number;
  readonly encoded: number;
}

export interface Feature {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
}

/** `tasks`: instruction -> episodes. `sound`: episodes without a problem. */
export interface Report {
  readonly version: string;
  readonly fps: number;
  readonly episodes: number;
  readonly frames: number;
  readonly sound: number;
  readonly tasks: Readonly<Record<string, number>>;
  readonly cameras: readonly Camera[];
  readonly features: readonly Feature[];
  readonly problems: readonly Problem[];
  readonly is_own: boolean;
  readonly outcome_columns: readonly string[];
}

export interface ImportDetail extends Import {
  readonly report: Report | null;
}

export interface CameraTarget {
  readonly name: string;
  readonly width: number;
  readonly height: number;
}

export type OutcomeSource = "episode" | "frames" | "same";

export interface Mapping {
  readonly state: readonly string[];
  readonly action: string;
  readonly cameras: Readonly<Record<string, CameraTarget>>;
  readonly tasks: Readonly<Record<string, string>>;
  readonly outcome: { readonly source: OutcomeSource; readonly column: string; readonly same: string };
  readonly intervention: string;
  readonly reward: string;
  readonly keep_every: number;
  readonly is_own: boolean;
  readonly leave_out_broken: boolean;
}

/** `field`: "state", "cameras.<feature>", "tasks.<instruction>" and so on. */
export interface Misfit {
  readonly field: string;
  readonly message: string;
}

export interface Mapped {
  readonly revision: number;
  readonly mapping: Mapping;
  readonly misfits: readonly Misfit[];
}

export interface ImportOptions {
  readonly roots: readonly string[];
  readonly archive_bytes: number;
}

export interface Upload {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface Wish {
  readonly name: string;
  readonly folder?: string;
  readonly archive?: { readonly size: number; readonly sha256: string };
}

const oneOf =
  <T extends string>(known: readonly T[], otherwise: T): Decoder<T> =>
  (value) =>
    known.find((each) => each === value) ?? otherwise;
const dictionary =
  <T>(decoder: Decoder<T>): Decoder<Readonly<Record<string, T>>> =>
  (value, path) =>
    Object.fromEntries(Object.entries(object(value, path)).map(([key, each]) => [key, decoder(each, `${path}.${key}`)]));

const fields = {
  id: text,
  name: text,
  folder: text,
  archive_bytes: number,
  state: oneOf(STATES, "created"),
  phase: text,
  progress: number,
  progress_total: number,
  left_out: number,
  registered: nullable(number),
  known: number,
  tag: text,
  mapping_revision: number,
  error_code: text,
  error_message: text,
  requested_by_name: text,
  created_at: text,
};
const problem = record<Problem>({
  code: text,
  message: text,
  feature: text,
  count: number,
  examples: list(record<Example>({ episode: nullable(number), frame: nullable(number), detail: text })),
});
const report = record<Report>({
  version: text,
  fps: number,
  episodes: number,
  frames: number,
  sound: number,
  tasks: dictionary(number),
  cameras: list(record<Camera>({ feature: text, width: number, height: number, codec: text, copied: number, encoded: number })),
  features: list(record<Feature>({ name: text, dtype: text, shape: list(number) })),
  problems: list(problem),
  is_own: boolean,
  outcome_columns: list(text),
});
const mapping = record<Mapping>({
  state: list(text),
  action: text,
  cameras: dictionary(record<CameraTarget>({ name: text, width: number, height: number })),
  tasks: dictionary(text),
  outcome: record({ source: oneOf<OutcomeSource>(["episode", "frames", "same"], "same"), column: text, same: text }),
  intervention: text,
  reward: text,
  keep_every: number,
  is_own: boolean,
  leave_out_broken: boolean,
});
const misfits = list(record<Misfit>({ field: text, message: text }));
const detail = record<ImportDetail>({ ...fields, report: nullable(report) });
const page = record<{ results: readonly Import[] }>({ results: list(record<Import>(fields)) });
const created = record<{ id: string; upload: Upload | null }>({
  id: text,
  upload: nullable(record<Upload>({ url: text, headers: dictionary(text) })),
});
const mapped = record<Mapped>({ revision: number, mapping, misfits });

const base = "/api/v1/imports";
const key = ["imports"] as const;
const pathOf = (id: string) => `${base}/${encodeURIComponent(id)}`;
const ACTIVE_MS = 1500;
const QUIET_MS = 15_000;
const isActive = (each: Import) => each.state === "checking" || each.state === "running";

/** The newest 50, read again while one is under way. */
export const useImports = () =>
  useQuery({
    queryKey: [...key, "list"],
    queryFn: ({ signal }) => request(base, page, { signal }),
    refetchInterval: ({ state }) => (state.data?.results.some(isActive) === true ? 2 * ACTIVE_MS : QUIET_MS),
  });

export const useImport = (id: string) =>
  useQuery({
    queryKey: [...key, id],
    queryFn: ({ signal }) => request(pathOf(id), detail, { signal }),
    refetchInterval: ({ state }) => (state.data !== undefined && isActive(state.data) ? ACTIVE_MS : QUIET_MS),
  });

export const useImportOptions = () =>
  useQuery({
    queryKey: [...key, "options"],
    queryFn: ({ signal }) => request(`${base}/options`, record<ImportOptions>({ roots: list(text), archive_bytes: number }), { signal }),
  });

/** `revision`: of the import's mapping as its row says, so that a newer one is read. */
export const useMapping = (id: string, revision: number) =>
  useQuery({
    queryKey: [...key, id, "mapping", revision],
    queryFn: ({ signal }) => request(`${pathOf(id)}/mapping`, mapped, { signal }),
    refetchOnWindowFocus: false,
  });

/** What does not fit of a mapping that is being edited. */
export const useMisfits = (id: string, edited: Mapping) =>
  useQuery({
    queryKey: [...key, id, "misfits", edited],
    queryFn: ({ signal }) =>
      request(`${pathOf(id)}/mapping/check`, record({ misfits }), { method: "POST", body: edited, signal }),
    placeholderData: (before) => before,
    gcTime: 30_000,
  });

export const createImport = (wish: Wish) => request(base, created, { method: "POST", body: wish });
export const checkImport = (id: string) => request(`${pathOf(id)}/check`, detail, { method: "POST" });
export const cancelImport = (id: string) => request(`${pathOf(id)}/cancel`, detail, { method: "POST" });

/** A step of one import that answers with it anew. */
function useStep<Body>(id: string, send: (body: Body) => Promise<ImportDetail>) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: send,
    onSuccess: (row) => client.setQueryData([...key, id], row),
    onError: () => void client.invalidateQueries({ queryKey: [...key, id] }),
  });
}

export const useCheck = (id: string) => useStep<undefined>(id, () => checkImport(id));
export const useCancel = (id: string) => useStep<undefined>(id, () => cancelImport(id));

/** Keep the mapping over the revision that was read, then run by it. */
export const useRun = (id: string) =>
  useStep<Mapped>(id, async ({ mapping: body, revision }) => {
    const kept = await request(`${pathOf(id)}/mapping`, mapped, { method: "PUT", body, ifMatch: `"${revision}"` });
    return request(`${pathOf(id)}/run`, detail, { method: "POST", body: { revision: kept.revision } });
  });

/** Read the lists anew once something was created. */
export function useImportsChanged() {
  const client = useQueryClient();
  return () => client.invalidateQueries({ queryKey: [...key, "list"] });
}
