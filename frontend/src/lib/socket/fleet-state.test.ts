import { describe, expect, it } from "vitest";

import { applyMessage, emptyFleet } from "@/lib/socket/fleet-state";
import { robot, run, snapshot } from "@/testing/fleet-fixtures";

describe("applyMessage", () => {
  const two = applyMessage(emptyFleet, snapshot({ robots: [robot(), robot({ robot_id: "r2", name: "arm-2" })], run: run() }), 999_000);

  it("takes the whole state from a snapshot and drops robots that are not in it", () => {
    expect([...two.robots.keys()]).toEqual(["r1", "r2"]);
    const after = applyMessage(two, snapshot({ robots: [robot({ robot_id: "r3" })] }), 999_000);
    expect([...after.robots.keys()]).toEqual(["r3"]);
    expect(after.run).toBeNull();
  });

  it("replaces the cards that changed and keeps the others as they are", () => {
    const change = { type: "robots_changed", server_ms: 1_000_500, robots: [robot({ step: 121 })] } as const;
    const after = applyMessage(two, change, 999_500);
    expect(after.robots.get("r1")?.step).toBe(121);
    expect(after.robots.get("r2")).toBe(two.robots.get("r2"));
    expect(two.robots.get("r1")?.step).toBe(120);
  });

  it("takes the least delayed message for the server's clock", () => {
    expect(two.clockOffset).toBe(1000);
    const late = applyMessage(two, { type: "robots_changed", server_ms: 1_001_000, robots: [] }, 1_000_300);
    expect(late.clockOffset).toBe(1000);
    const prompt = applyMessage(two, { type: "robots_changed", server_ms: 1_001_000, robots: [] }, 999_900);
    expect(prompt.clockOffset).toBe(1100);
  });

  it("removes a robot, replaces the run, and counts changes of the metrics", () => {
    const removed = applyMessage(two, { type: "robot_removed", robot_id: "r1" }, 0);
    expect([...removed.robots.keys()]).toEqual(["r2"]);
    const trained = applyMessage(two, { type: "run_changed", server_ms: 0, run: run({ step: 1275 }) }, 0);
    expect(trained.run?.step).toBe(1275);
    const measured = applyMessage(two, { type: "metrics_changed", server_ms: 0 }, 0);
    expect(measured.metricsRevision).toBe(two.metricsRevision + 1);
    expect(measured.robots).toBe(two.robots);
  });
});
