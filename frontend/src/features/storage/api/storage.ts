/** The object store: usage, reports, a collection of garbage, retention rules: /api/v1/storage. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { request } from "@/lib/api/client";
import { boolean, type Decoder, list, nothing, nullable, number, record, text } from "@/lib/api/decode";

export interface TaskUsage {
  readonly task: string;
  readonly episodes: number;
  readonly bytes: number;
}

/** `orphans`: named by no row and old enough to go. */
export interface StoredKind {
  readonly kind: string;
  readonly objects: number;
  readonly bytes: number;
  readonly orphans: number;
  readonly orphan_bytes: number;
  readonly young: number;
  readonly removed: number;
}

export interface GcReport {
  readonly is_dry: boolean;
  readonly kinds: readonly StoredKind[];
  readonly incoming: number;
  readonly incoming_bytes: number;
}

export interface VerifyReport {
  readonly scope: string;
  readonly episodes: number;
  readonly objects: number;
  readonly bytes: number;
  readonly damaged: number;
  readonly problems: readonly string[];
}

/** Times are ISO 8601. */
export interface Storage {
  readonly by_task: readonly TaskUsage[];
  readonly gc_at: string | null;
  readonly gc: GcReport | null;
  readonly verify_at: string | null;
  readonly verify: VerifyReport | null;
}

/** `task` null: all tasks without a rule of their own. */
export interface RuleWish {
  readonly task: string | null;
  readonly kinds: readonly string[];
  readonly keep_days: number | null;
  readonly keep_bytes: number | null;
  readonly takes_interventions: boolean;
}

export interface Rule extends RuleWish {
  readonly id: string;
  /** Of what it says; a change names the one that was read. */
  readonly version: string;
  readonly task_slug: string | null;
  readonly is_active: boolean;
  readonly last_run_at: string | null;
  readonly removed: number;
  readonly removed_bytes: number;
}

export interface Preview {
  readonly episodes: number;
  readonly bytes: number;
  readonly by_task: readonly TaskUsage[];
  readonly examples: readonly string[];
  readonly protected: Readonly<Record<string, number>>;
}

const usage = record<TaskUsage>({ task: text, episodes: number, bytes: number });
const kind = record<StoredKind>({
  kind: text,
  objects: number,
  bytes: number,
  orphans: number,
  orphan_bytes: number,
  young: number,
  removed: number,
});
const storage = record<Storage>({
  by_task: list(usage),
  gc_at: nullable(text),
  gc: nullable(record<GcReport>({ is_dry: boolean, kinds: list(kind), incoming: number, incoming_bytes: number })),
  verify_at: nullable(text),
  verify: nullable(
    record<VerifyReport>({ scope: text, episodes: number, objects: number, bytes: number, damaged: number, problems: list(text) }),
  ),
});
const rule = record<Rule>({
  id: text,
  version: text,
  task: nullable(text),
  task_slug: nullable(text),
  kinds: list(text),
  keep_days: nullable(number),
  keep_bytes: nullable(number),
  takes_interventions: boolean,
  is_active: boolean,
  last_run_at: nullable(text),
  removed: number,
  removed_bytes: number,
});
const rules = record({ results: list(rule) });
const counts: Decoder<Readonly<Record<string, number>>> = (value, path) =>
  Object.fromEntries(Object.entries(value ?? {}).map(([key, count]) => [key, number(count, `${path}.${key}`)]));
const preview = record<Preview>({ episodes: number, bytes: number, by_task: list(usage), examples: list(text), protected: counts });
const tasks = record({ results: list(record({ id: text, slug: text })) });

const path = "/api/v1/storage";
const rulesPath = `${path}/retention-rules`;
const key = ["storage"] as const;
const rulesKey = ["retention-rules"] as const;

/** `isWaiting`: for the report of a collection that was asked for. */
export const useStorage = (isWaiting: boolean) =>
  useQuery({
    queryKey: key,
    queryFn: ({ signal }) => request(path, storage, { signal }),
    refetchInterval: isWaiting ? 1500 : 30_000,
  });

export const useCollect = () =>
  useMutation({ mutationFn: (isDelete: boolean) => request(`${path}/collect`, () => null, { method: "POST", body: { delete: isDelete } }) });

export const useRules = () =>
  useQuery({ queryKey: rulesKey, queryFn: ({ signal }) => request(rulesPath, rules, { signal }), select: (data) => data.results });

export const useTasks = () =>
  useQuery({
    queryKey: ["storage-tasks"],
    queryFn: ({ signal }) => request("/api/v1/tasks?page_size=200", tasks, { signal }),
    select: (data) => data.results,
  });

export const usePreview = () =>
  useMutation({ mutationFn: (body: RuleWish) => request(`${rulesPath}/preview`, preview, { method: "POST", body, limitMs: 60_000 }) });

function useRuleChange<Wish>(send: (wish: Wish) => Promise<unknown>) {
  const client = useQueryClient();
  return useMutation({ mutationFn: send, onSettled: () => client.invalidateQueries({ queryKey: rulesKey }) });
}

const one = (id: string) => `${rulesPath}/${encodeURIComponent(id)}`;

export const useCreateRule = () => useRuleChange((body: RuleWish) => request(rulesPath, rule, { method: "POST", body }));

export const useChangeRule = () =>
  useRuleChange(({ rule: { id, version }, ...body }: Partial<RuleWish> & { readonly rule: Rule; readonly is_active?: boolean }) =>
    request(one(id), rule, { method: "PATCH", body, ifMatch: `"${version}"` }),
  );

export const useForgetRule = () => 
  useRuleChange(({ id, version }: Rule) => request(one(id), nothing, { method: "DELETE", ifMatch: `"${version}"` }));
