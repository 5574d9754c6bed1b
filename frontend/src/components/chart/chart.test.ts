import { describe, expect, it } from "vitest";

import { runsOf } from "@/components/chart/line-chart";
import { spread, timeShape, valueTicks } from "@/components/chart/scale";
import { csvRow } from "@/lib/save-file";

describe("ticks", () => {
  it.each([
    [1, [0, 0.25, 0.5, 0.75, 1]],
    [0.07, [0, 0.02, 0.04, 0.06, 0.08]],
    [130, [0, 50, 100, 150]],
    [0, [0, 1]],
    [Number.NaN, [0, 1]],
  ])("up to %d are round and reach over it", (high, ticks) => {
    expect(valueTicks(high)).toEqual(ticks);
  });

  it("spreads labels evenly", () => {
    expect(spread(10, 4)).toEqual([0, 3, 6, 9]);
    expect([spread(0, 4), spread(2, 4)]).toEqual([[], [0, 1]]);
  });

  it("names times by how long the range is", () => {
    const hour = 3_600_000;
    expect([24, 24 * 7, 24 * 90, 24 * 900].map((hours) => timeShape([0, hours * hour]))).toEqual(["time", "moment", "day", "month"]);
  });
});

it("a line never crosses a bucket without a value", () => {
  expect(runsOf([0, 1, 4, 5, 6, 9])).toEqual([[0, 1], [4, 5, 6], [9]]);
});

it("cells with commas, quotes and line ends are quoted", () => {
  expect(csvRow(["a,b", 'say "x"', null, 0.5, "two\nlines"])).toBe('"a,b","say ""x""",,0.5,"two\nlines"');
});
