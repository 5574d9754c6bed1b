import { describe, expect, it } from "vitest";

import { spanOver } from "@/components/plot/plot-parts";

describe("the range of a horizontal axis", () => {
  const at = 1_795_000_000;
  it("is a minute for a lone point, which uPlot gives years", () => {
    expect(spanOver(60)({ data: [[at]] }, at, at + 86_400_000)).toEqual([at - 60, at]);
    expect(spanOver(0)({ data: [[at]] }, at, at + 86_400_000)).toEqual([at - 60, at]);
  });
  it("is what several points span, and at least a minute where that is asked for", () => {
    expect(spanOver(60)({ data: [[at, at + 300]] }, at, at + 300)).toEqual([at, at + 300]);
    expect(spanOver(60)({ data: [[at, at + 9]] }, at, at + 9)).toEqual([at - 51, at + 9]);
    expect(spanOver(0)({ data: [[at, at + 9]] }, at, at + 9)).toEqual([at, at + 9]);
  });
  it("is left to uPlot where there is no point", () => {
    expect(spanOver(0)({ data: [[]] }, null, null)).toEqual([null, null]);
  });
});
