import { describe, expect, it } from "vitest";

import { fuzzyScore } from "@/features/palette/fuzzy";

const best = (typed: string, names: readonly string[]) =>
  names
    .map((name) => ({ name, score: fuzzyScore(typed, name) }))
    .filter(({ score }) => score !== null)
    .toSorted((a, b) => (b.score ?? 0) - (a.score ?? 0))
    .map(({ name }) => name);

describe("fuzzyScore", () => {
  it("takes letters in order and refuses others", () => {
    expect(best("shpl", ["shelf-place", "place-shelf", "box-close"])).toEqual(["shelf-place"]);
    expect(fuzzyScore("zz", "box-close")).toBeNull();
  });

  it("prefers a beginning, then a word's beginning, then a row of letters", () => {
    expect(best("ex", ["text", "Data exports", "Exports"])).toEqual(["Exports", "Data exports", "text"]);
    expect(best("arm 1", ["arm-11", "arm-1"])).toEqual(["arm-1", "arm-11"]);
  });

  it("takes everything while nothing is typed", () => {
    expect(fuzzyScore("  ", "Fleet")).toBe(0);
  });
});
