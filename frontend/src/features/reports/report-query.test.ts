import { describe, expect, it } from "vitest";

import { changed } from "@/features/reports/hooks/use-report-filter";
import { apiQuery, episodesUrl, filterOf, problemOf } from "@/features/reports/report-query";
import { formatEnds, formatEstimate, formatValue } from "@/features/reports/words";

const plain = (text: string) => text.replaceAll("\u00a0", " ");
const of = (search: string) => filterOf(new URLSearchParams(search));

describe("filter in the URL", () => {
  it("asks for days of the zone, both included", () => {
    const filter = of("range=custom&from=2026-03-29&until=2026-03-29&tz=Europe/Berlin&task=box-close&task=lid&robot=r1");
    expect(Object.fromEntries(new URLSearchParams(apiQuery(filter)))).toMatchObject({
      since: "2026-03-28T23:00:00.000Z",
      until: "2026-03-29T22:00:00.000Z",
      tz: "Europe/Berlin",
      robot: "r1",
    });
    expect(new URLSearchParams(apiQuery(filter)).getAll("task")).toEqual(["box-close", "lid"]);
  });

  it("falls back from what it does not know", () => {
    const filter = of("range=forever&tz=Mars/Olympus");
    expect([filter.range, filter.zone, problemOf(filter)]).toEqual(["24h", "UTC", null]);
  });

  it("says what is wrong with a range", () => {
    expect(problemOf(of("range=custom&tz=UTC"))).toBe("Choose the first and the last day.");
    expect(problemOf(of("range=custom&from=2026-03-30&until=2026-03-29&tz=UTC"))).toBe("The first day lies after the last one.");
  });

  it("leads to the episodes that were counted, archived ones too", () => {
    const url = episodesUrl(of("task=box-close&version=v1"), { since_ms: 0, until_ms: 900_000 }, { robot: "r2" });
    expect(Object.fromEntries(new URL(url, "http://x").searchParams)).toEqual({
      origin: "online",
      archived: "any",
      ended_from: "1970-01-01T00:00:00.000Z",
      ended_until: "1970-01-01T00:15:00.000Z",
      task: "box-close",
      robot: "r2",
      policy_version: "v1",
    });
  });

  it("keeps the rest when one thing changes", () => {
    expect(`${changed(new URLSearchParams("tz=UTC&task=a&task=b"), { task: ["c"], view: "versions" })}`).toBe("tz=UTC&task=c&view=versions");
    expect(`${changed(new URLSearchParams("tz=UTC&view=loop"), { view: "", task: [] })}`).toBe("tz=UTC");
  });
});

describe("numbers", () => {
  it.each([
    [0.624, "share", "62 %"],
    [0.0612, "share", "6.1 %"],
    [41.26, "per_hour", "41.3 / h"],
    [0, "per_hour", "0 / h"],
    [3.27, "s", "3.3 s"],
    [73.4, "s", "73 s"],
    [270, "s", "4.5 min"],
    [9000, "s", "2.5 h"],
    [200, "steps", "200 steps"],
  ])("%d in %s is %s", (value, unit, text) => {
    expect(plain(formatValue(value, unit))).toBe(text);
  });

  it("writes the unit of an interval once", () => {
    expect([plain(formatEnds(0.48, 0.74, "share")), plain(formatEnds(50, 126, "s"))]).toEqual(["48–74 %", "50 s–2.1 min"]);
  });

  it("says how much a value rests on", () => {
    const estimate = { value: 12, low: 8, high: 17, n: 24, events: 24, exposure: 2 };
    expect(plain(formatEstimate(estimate, { unit: "per_hour" }))).toBe("12.0 / h (8.00–17.0 / h, n = 24 in 2 h)");
    expect(plain(formatEstimate({ ...estimate, exposure: 0.0195 }, { unit: "per_hour" }))).toContain("n = 24 in 70 s");
    expect(plain(formatEstimate({ ...estimate, value: null, n: 0 }, { unit: "share" }))).toBe("– (n = 0)");
  });
});
