/** How storage and its rules are put into words. */

import type { RuleWish } from "@/features/storage/api/storage";
import { formatAge, formatBytes, formatNoun } from "@/lib/units/format";
import { milliseconds } from "@/lib/units/quantity";

export const kinds: readonly { readonly value: string; readonly label: string }[] = [
  { value: "failures", label: "Failures and timeouts" },
  { value: "aborted", label: "Aborted" },
  { value: "evaluation", label: "Evaluations" },
  { value: "archived", label: "Archived" },
  { value: "autonomous", label: "Online, nobody took over" },
];

export const kindLabels = (values: readonly string[]): string =>
  kinds
    .filter((kind) => values.includes(kind.value))
    .map((kind) => kind.label)
    .join(", ");

export function keptText(rule: Pick<RuleWish, "keep_days" | "keep_bytes">): string {
  const days = rule.keep_days === null ? [] : [formatNoun(rule.keep_days, "day")];
  const bytes = rule.keep_bytes === null ? [] : [`up to ${formatBytes(rule.keep_bytes)} a task`];
  return [...days, ...bytes].join(", ");
}

export const agoText = (time: string | null, now: number): string =>
  time === null ? "never" : formatAge(milliseconds(Math.max(now - Date.parse(time), 0)));
