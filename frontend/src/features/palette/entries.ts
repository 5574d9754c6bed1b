/** What the palette offers, and in which order. Pure. */

import { fuzzyScore } from "@/features/palette/fuzzy";

/** `kind` is said beside the label: "Page", "Robot", "Action". Either `to` is opened or `run` is called. */
export interface PaletteEntry {
  readonly id: string;
  readonly label: string;
  readonly kind: string;
  /** More words by which it is found. */
  readonly words?: string;
  readonly to?: string;
  readonly run?: () => void;
}

const SHOWN = 30;
/** An entry that was opened lately comes before others that fit as well. */
const RECENT_BONUS = 5;

/** Those that fit, the best first, each once; while nothing is typed the recent ones, then the rest as given. */
export function ranked(typed: string, entries: readonly PaletteEntry[], recent: readonly PaletteEntry[]): readonly PaletteEntry[] {
  const isRecent = new Set(recent.map(({ id }) => id));
  const unique = new Map([...recent, ...entries].map((entry) => [entry.id, entry]));
  if (typed.trim() === "") return [...unique.values()].slice(0, SHOWN);
  return [...unique.values()]
    .flatMap((entry) => {
      const byName = fuzzyScore(typed, entry.label);
      const byWords = entry.words === undefined ? null : fuzzyScore(typed, entry.words);
      const score = Math.max(byName ?? -Infinity, (byWords ?? -Infinity) - 1);
      return score === -Infinity ? [] : [{ entry, score: score + (isRecent.has(entry.id) ? RECENT_BONUS : 0) }];
    })
    .toSorted((a, b) => b.score - a.score)
    .slice(0, SHOWN)
    .map(({ entry }) => entry);
}
