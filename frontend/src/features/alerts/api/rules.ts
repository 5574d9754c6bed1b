/** Alert rules: /api/v1/alert-rules, and what the editor offers to choose from. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import type { Severity } from "@/features/alerts/api/alerts";
import { request } from "@/lib/api/client";
import { boolean, type Decoder, list, nothing, nullable, number, object, record, text } from "@/lib/api/decode";

export type Kind = "rate" | "offline" | "backlog" | "stall" | "staleness" | "refusals";
export type Params = Readonly<Record<string, unknown>>;

/** Weekly: `days` (Monday is 0) from "HH:MM" until "HH:MM". Once: from "YYYY-MM-DDTHH:MM" until the same. */
export interface Silence {
  readonly kind: "weekly" | "once";
  readonly days?: readonly number[];
  readonly from: string;
  readonly until: string;
}

/** `tasks`, `robots`: ids, none means all. `clear_after_s`: seconds without the condition until it resolves. */
export interface RuleWish {
  readonly name: string;
  readonly kind: Kind;
  readonly params: Params;
  readonly tasks: readonly string[];
  readonly robots: readonly string[];
  readonly severity: Severity;
  readonly is_enabled: boolean;
  readonly clear_after_s: number;
  readonly silences: readonly Silence[];
  readonly time_zone: string;
  readonly channels: readonly string[];
  readonly mail_to: readonly string[];
}

export interface Rule extends RuleWish {
  readonly id: string;
  readonly evaluated_at: string | null;
  readonly revision: number;
}

export interface Reading {
  readonly subject_name: string;
  readonly finding: string;
  readonly text: string;
}

const oneOf =
  <Word extends string>(...words: readonly [Word, ...Word[]]): Decoder<Word> =>
  (value, at) => {
    const found = text(value, at);
    return words.find((word) => word === found) ?? words[0];
  };
const silence: Decoder<Silence> = (value, at) => {
  const source = object(value, at);
  const times = { from: text(source.from, `${at}.from`), until: text(source.until, `${at}.until`) };
  if (source.kind === "once") return { kind: "once", ...times };
  return { kind: "weekly", days: list(number)(source.days, `${at}.days`), ...times };
};
const rule = record<Rule>({
  id: text,
  name: text,
  kind: oneOf<Kind>("rate", "offline", "backlog", "stall", "staleness", "refusals"),
  params: object,
  tasks: list(text),
  robots: list(text),
  severity: oneOf<Severity>("warning", "info", "critical"),
  is_enabled: boolean,
  clear_after_s: number,
  silences: list(silence),
  time_zone: text,
  channels: list(text),
  mail_to: list(text),
  evaluated_at: nullable(text),
  revision: number,
});
const rules = record({ results: list(rule), is_mail_set_up: boolean });
const preview = record({ results: list(record<Reading>({ subject_name: text, finding: text, text })) });
const tasks = record({ results: list(record({ id: text, slug: text, is_active: boolean })) });
const robots = record({ results: list(record({ id: text, name: text, retired_at: nullable(text) })) });

const path = "/api/v1/alert-rules";
const key = ["alert-rules"] as const;

export const useRules = () => useQuery({ queryKey: key, queryFn: ({ signal }) => request(path, rules, { signal }) });

export const useTaskOptions = () =>
  useQuery({
    queryKey: ["alert-tasks"],
    queryFn: ({ signal }) => request("/api/v1/tasks?page_size=200", tasks, { signal }),
    select: ({ results }) => results.filter((each) => each.is_active).map((each) => ({ value: each.id, label: each.slug })),
  });

export const useRobotOptions = () =>
  useQuery({
    queryKey: ["alert-robots"],
    queryFn: ({ signal }) => request("/api/v1/robots?page_size=200", robots, { signal }),
    select: ({ results }) => results.filter((each) => each.retired_at === null).map((each) => ({ value: each.id, label: each.name })),
  });

export type PreviewWish = Pick<RuleWish, "kind" | "params" | "tasks" | "robots">;

export const usePreview = () =>
  useMutation({
    mutationFn: (body: PreviewWish) => request(`${path}/preview`, preview, { method: "POST", body, limitMs: 30_000 }),
  });

function useRuleChange<Wish>(send: (wish: Wish) => Promise<unknown>) {
  const client = useQueryClient();
  // Also when it failed: somebody else's change may be why.
  return useMutation({ mutationFn: send, onSettled: () => client.invalidateQueries({ queryKey: key }) });
}

const one = (id: string) => `${path}/${encodeURIComponent(id)}`;

export const useCreateRule = () => useRuleChange((body: RuleWish) => request(path, rule, { method: "POST", body }));

export const useChangeRule = () =>
  useRuleChange(({ rule: { id, revision }, change }: { readonly rule: Rule; readonly change: Partial<Omit<RuleWish, "kind">> }) =>
    request(one(id), rule, { method: "PATCH", body: change, ifMatch: `"${revision}"` }),
  );

export const useRemoveRule = () => useRuleChange((id: string) => request(one(id), nothing, { method: "DELETE" }));
