import { describe, expect, it } from "vitest";

import type { SuccessPoint, SuccessSeries } from "@/features/training/api/success";
import { successCsv } from "@/features/training/success-csv";
import { thinned, versionAt } from "@/features/training/success-points";

const point = (at: number): SuccessPoint => ({ at_ms: at, successes: 1, n: 2, rate: 0.5, low: 0.09, high: 0.91 });

describe("successCsv", () => {
  it("carries the definition, and leaves unknown rates empty", () => {
    const series: SuccessSeries = {
      definition: "Success,\nwithout help.",
      confidence: 0.95,
      window_s: 300,
      points: [point(1_700_000_000_000), { ...point(1_700_000_060_000), successes: 0, n: 0, rate: null, low: null, high: null }],
      versions: [],
    };
    expect(successCsv(series, "box-close").split("\n")).toEqual([
      "# Success, without help.",
      "# task: box-close; sliding window: 300 s; Wilson interval at 0.95",
      "time,successes,n,rate,low,high",
      "2023-11-14T22:13:20.000Z,1,2,0.5,0.09,0.91",
      "2023-11-14T22:14:20.000Z,0,0,,,",
      "",
    ]);
  });
});

describe("versionAt", () => {
  const versions = [
    { number: 2, published_ms: 200 },
    { number: 1, published_ms: 100 },
  ];

  it("is the newest one published by then", () => {
    expect(versionAt(versions, 99)).toBeNull();
    expect(versionAt(versions, 100)?.number).toBe(1);
    expect(versionAt(versions, 5000)?.number).toBe(2);
  });
});

describe("thinned", () => {
  it("keeps the last point and about as many as asked for", () => {
    const points = Array.from({ length: 101 }, (_, index) => point(index));
    const kept = thinned(points, 10);
    expect(kept).toHaveLength(10);
    expect(kept.at(-1)?.at_ms).toBe(100);
    expect(thinned(points.slice(0, 3), 10)).toHaveLength(3);
  });
});
