/** What this person opened from the palette lately, the newest first. Kept in this browser, apart for each person. */

import type { PaletteEntry } from "@/features/palette/entries";

const AT_MOST = 8;

interface Kept {
  readonly id: string;
  readonly label: string;
  readonly kind: string;
  readonly to: string;
}

const keyOf = (person: string) => `sop.recent.${person}`;

function isKept(value: unknown): value is Kept {
  if (typeof value !== "object" || value === null) return false;
  const { id, label, kind, to } = value as Partial<Record<keyof Kept, unknown>>;
  return [id, label, kind, to].every((each) => typeof each === "string") && (to as string).startsWith("/");
}

export function recentEntries(person: string): readonly PaletteEntry[] {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(keyOf(person)) ?? "[]");
    return Array.isArray(value) ? value.filter(isKept).slice(0, AT_MOST) : [];
  } catch {
    return []; // storage may be forbidden, or hold something else
  }
}

/** Actions that lead nowhere are not kept: they are few, and listed anyway. */
export function rememberEntry(person: string, { id, label, kind, to }: PaletteEntry): void {
  if (to === undefined) return;
  const others = recentEntries(person).filter((each) => each.id !== id);
  try {
    localStorage.setItem(keyOf(person), JSON.stringify([{ id, label, kind, to }, ...others].slice(0, AT_MOST)));
  } catch {
    // Then nothing is recent.
  }
}
