/**
 * How well what was typed fits a name: every letter must occur in order. Letters in a row and at the start of a word
 * count more, so that "ex" finds "Exports" before "Webhooks". Pure.
 */

const WORD_START = /[\s\-_/.:]/;

/** The higher the better; null if it does not fit. Case and spaces of `typed` count nothing; empty fits everything. */
export function fuzzyScore(typed: string, name: string): number | null {
  const letters = typed.toLowerCase().replaceAll(/\s+/g, "");
  const text = name.toLowerCase();
  const whole = text.indexOf(typed.trim().toLowerCase());
  if (letters === "") return 0;
  let score = whole === 0 ? 20 : whole > 0 ? 10 : 0;
  let at = -1;
  for (const letter of letters) {
    const next = text.indexOf(letter, at + 1);
    if (next === -1) return null;
    if (next === at + 1) score += 2;
    if (next === 0 || WORD_START.test(text.charAt(next - 1))) score += 3;
    at = next;
  }
  return score - name.length / 100;
}
