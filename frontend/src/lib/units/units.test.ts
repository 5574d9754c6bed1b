import { describe, expect, it } from "vitest";

import { formatAge, formatCount, formatDay, formatDuration, formatMoment, formatNoun, formatPercent, formatRate } from "@/lib/units/format";
import { formatInterval, formatProportion } from "@/lib/units/interval";
import { elapsed, fraction, milliseconds, seconds, toMilliseconds, toSeconds, unixMilliseconds } from "@/lib/units/quantity";

/** Hard spaces as plain ones, so that expectations can be read. */
const plain = (text: string) => text.replaceAll("\u00a0", " ");

describe("quantities", () => {
  it("converts between seconds and milliseconds", () => {
    expect(toSeconds(milliseconds(2500))).toBe(2.5);
    expect(toMilliseconds(seconds(0.25))).toBe(250);
    expect(elapsed(unixMilliseconds(1000), unixMilliseconds(1600))).toBe(600);
  });
});

describe("formats", () => {
  it("joins numbers and units by a space that does not break", () => {
    expect(formatRate(10, "Hz")).toBe("10.0\u00a0Hz");
  });

  it.each([
    [0, "0 s"],
    [59.4, "59 s"],
    [60, "1 min"],
    [3599, "59 min"],
    [3600, "1 h"],
    [47 * 3600, "47 h"],
    [48 * 3600, "2 d"],
    [-3, "0 s"],
  ])("writes a duration of %d s as %s", (value, text) => {
    expect(plain(formatDuration(seconds(value)))).toBe(text);
  });

  it("gives the year of a day of another year", () => {
    const thisYear = new Date().getFullYear();
    const at = (year: number) => new Date(year, 10, 23, 14, 3, 22).getTime();
    expect([formatDay(at(thisYear)), formatDay(at(2023))]).toEqual(["23 Nov, 14:03", "23 Nov 2023, 14:03"]);
    expect([formatMoment(at(thisYear)), formatMoment(at(2023))]).toEqual(["23 Nov, 14:03:22", "23 Nov 2023, 14:03:22"]);
  });

  it("does not flicker between zero and one second", () => {
    expect(formatAge(milliseconds(0))).toBe("just now");
    expect(formatAge(milliseconds(2999))).toBe("just now");
    expect(plain(formatAge(milliseconds(3000)))).toBe("3 s ago");
    expect(formatAge(milliseconds(-200))).toBe("just now");
  });

  it("groups digits and picks the noun's form", () => {
    expect(formatCount(1234567)).toBe("1,234,567");
    expect(plain(formatNoun(1, "overrun"))).toBe("1 overrun");
    expect(plain(formatNoun(0, "overrun"))).toBe("0 overruns");
  });
});

describe("proportions", () => {
  const value = { successes: 28, n: 45, rate: fraction(28 / 45), low: fraction(0.4763), high: fraction(0.7487) };

  it("shows rate, interval and n together", () => {
    expect(plain(formatPercent(value.rate))).toBe("62 %");
    expect(plain(formatInterval(value))).toBe("48–75 %");
    expect(plain(formatProportion(value))).toBe("62 % (95 % interval 48–75 %, n = 45)");
  });

  it("claims nothing without episodes", () => {
    expect(formatProportion({ ...value, successes: 0, n: 0 })).toBe("no episodes yet");
  });
});
