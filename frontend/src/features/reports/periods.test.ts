import { describe, expect, it } from "vitest";

import { endsOf, periodOf } from "@/features/reports/periods";

const NOW = Date.parse("2026-03-31T23:30:00Z");
const none = new URLSearchParams();

describe("periods", () => {
  it("are the last seven days and the seven before, in the reader's zone", () => {
    expect(periodOf(none, "first", "UTC", NOW)).toEqual({ from: "2026-03-25", until: "2026-03-31" });
    expect(periodOf(none, "second", "UTC", NOW)).toEqual({ from: "2026-03-18", until: "2026-03-24" });
    expect(periodOf(none, "first", "Asia/Tokyo", NOW).until).toBe("2026-04-01");
  });

  it("include both days, a short one too", () => {
    // Clocks go forward in Berlin on 29 March: that day has 23 hours.
    expect(endsOf({ from: "2026-03-29", until: "2026-03-29" }, "Europe/Berlin")).toEqual({
      since_ms: Date.parse("2026-03-28T23:00:00Z"),
      until_ms: Date.parse("2026-03-29T22:00:00Z"),
    });
  });

  it("say why they cannot be compared", () => {
    expect(endsOf({ from: "", until: "2026-03-29" }, "UTC")).toBe("Choose the first and the last day of both periods.");
    expect(endsOf({ from: "2026-03-30", until: "2026-03-28" }, "UTC")).toBe("A period's first day lies after its last one.");
  });
});
