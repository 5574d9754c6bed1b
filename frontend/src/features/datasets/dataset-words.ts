/** How datasets are spoken of: splits as people type them, sizes, groups. Pure. */

import type { Group } from "@/features/datasets/api/versions";

const NAME = /^[a-z][a-z0-9_-]{0,31}$/;
const MAX_SPLITS = 10;

export interface SplitDraft {
  readonly name: string;
  /** In per cent, as typed. */
  readonly percent: string;
}

export const SPLIT_PRESETS = [
  { value: "train:100", label: "Train alone" },
  { value: "train:90,val:10", label: "Train 90 %, val 10 %" },
  { value: "train:80,val:20", label: "Train 80 %, val 20 %" },
  { value: "train:80,val:10,test:10", label: "Train 80 %, val 10 %, test 10 %" },
] as const;

/** "train:80,val:20", as the URL carries it. */
export const splitsText = (splits: readonly SplitDraft[]): string => splits.map(({ name, percent }) => `${name}:${percent}`).join(",");

export const splitsOf = (text: string): readonly SplitDraft[] =>
  text
    .split(",")
    .slice(0, MAX_SPLITS)
    .map((each) => {
      const [name = "", percent = ""] = each.split(":");
      return { name, percent };
    });

/** What is wrong with the splits, or null. */
export function splitsProblem(splits: readonly SplitDraft[]): string | null {
  const names = splits.map(({ name }) => name);
  if (names.some((name) => !NAME.test(name))) return "A split's name has lower-case letters, digits, - and _.";
  if (new Set(names).size < names.length) return "Two splits have the same name.";
  const shares = splits.map(({ percent }) => Number(percent));
  if (shares.some((share) => !(share > 0 && share <= 100))) return "Each share lies above 0 % and not above 100 %.";
  const total = shares.reduce((sum, share) => sum + share, 0);
  return Math.abs(total - 100) > 1e-4 ? `The shares sum to ${Number(total.toFixed(4))} %, not to 100 %.` : null;
}

export const sharesOf = (splits: readonly SplitDraft[]): Readonly<Record<string, number>> =>
  Object.fromEntries(splits.map(({ name, percent }) => [name, Number(percent) / 100]));

export const groupName = (group: Group): string => (group.number === null ? group.name : `v${group.number} of ${group.name}`);
