import { describe, expect, it } from "vitest";

import { dayEnd, dayStart, formatInZone } from "@/lib/time-zone";

const iso = (time: number | null) => (time === null ? null : new Date(time).toISOString().slice(0, 16));

describe("days of a zone", () => {
  it.each([
    ["2026-03-28", "Europe/Berlin", "2026-03-27T23:00", "2026-03-28T23:00"],
    ["2026-03-29", "Europe/Berlin", "2026-03-28T23:00", "2026-03-29T22:00"],
    ["2026-10-25", "Europe/Berlin", "2026-10-24T22:00", "2026-10-25T23:00"],
    ["2026-01-01", "Asia/Kathmandu", "2025-12-31T18:15", "2026-01-01T18:15"],
    ["2026-04-05", "Australia/Lord_Howe", "2026-04-04T13:00", "2026-04-05T13:30"],
    ["2026-09-06", "America/Santiago", "2026-09-06T04:00", "2026-09-07T03:00"],
  ])("%s in %s begins at %s and ends at %s", (day, zone, start, end) => {
    expect([iso(dayStart(day, zone)), iso(dayEnd(day, zone))]).toEqual([start, end]);
  });

  it("knows what is no day", () => {
    for (const text of ["", "29.3.2026", "2026-13-40"]) expect([dayStart(text, "UTC"), dayEnd(text, "UTC")]).toEqual([null, null]);
  });

  it("writes times as the zone does", () => {
    expect(formatInZone(Date.parse("2026-03-29T10:00Z"), "Asia/Kathmandu", "time")).toBe("15:45");
  });
});
