import { describe, expect, it } from "vitest";

import { countFleet, type FleetView, visibleRobots } from "@/features/fleet/fleet-view";
import { leaseText, modeText, policyText, stalenessText, stopText } from "@/features/fleet/format-robot";
import { statusOf } from "@/features/fleet/robot-status";
import { robot } from "@/testing/fleet-fixtures";

const view: FleetView = { search: "", status: "all", sort: "name", layout: "cards" };

describe("statusOf", () => {
  it.each([
    [{}, "Working", "neutral"],
    [{ activity: "resetting" }, "Resetting", "neutral"],
    [{ activity: "waiting_policy" }, "Waiting for policy", "neutral"],
    [{ activity: "idle" }, "Idle", "neutral"],
    [{ activity: "spool_full" }, "Spool full", "caution"],
    [{ activity: "error" }, "Fault", "fault"],
    [{ mode: "stopped" }, "Stopped", "fault"],
    [{ mode: "paused", is_paused: true }, "Paused", "neutral"],
    [{ mode: "paused" }, "Needs help", "caution"],
    [{ mode: "teleop", source: "scripted" }, "Under control by scripted supervisor", "assist"],
    [{ mode: "teleop", source: "person", operator: "Mara" }, "Under control by Mara", "assist"],
    [{ mode: "handover", source: "person", operator: "Mara" }, "Handing over to Mara", "assist"],
    [{ is_online: false, mode: "stopped" }, "Offline", "caution"],
  ] as const)("reads %o as %s", (change, text, tone) => {
    expect(statusOf(robot(change))).toMatchObject({ text, tone });
  });
});

describe("stalenessText", () => {
  const plain = (change: Parameters<typeof robot>[0]) => stalenessText(robot(change)).replaceAll("\u00a0", " ");

  it("says how far behind, in versions and time", () => {
    expect(plain({})).toBe("2 behind, 31 s");
    expect(plain({ versions_behind: 0 })).toBe("newest");
    expect(plain({ seconds_behind: null })).toBe("2 behind");
    expect(plain({ policy_number: null, versions_behind: null })).toBe("");
  });

  it("tells a version that is released from one that waits to be fetched", () => {
    expect(plain({ policy_stage: "current", policy_wanted: 12 })).toBe("as released, 2 behind");
    expect(plain({ policy_stage: "current", policy_wanted: 13 })).toBe("2 behind, 31 s");
    expect(plain({ policy_stage: "current", policy_wanted: 12, versions_behind: 0 })).toBe("newest");
  });

  it("names the run of a version that another run than today's made", () => {
    expect(policyText(robot())).toBe("v12");
    expect(policyText(robot({ policy_run: "shelf", policy_number: 4, policy_stage: "pinned", versions_behind: null }))).toBe("v4 of shelf");
    expect(policyText(robot({ policy_number: null }))).toBe("none");
  });
});

describe("visibleRobots", () => {
  const fleet = [
    robot({ robot_id: "a", name: "arm-10" }),
    robot({ robot_id: "b", name: "arm-2", is_online: false }),
    robot({ robot_id: "c", name: "arm-1", mode: "stopped", task: "box-close" }),
  ];
  const names = (change: Partial<FleetView>) => visibleRobots(fleet, { ...view, ...change }).map(({ robot: { name } }) => name);

  it("counts as people do when sorting by name", () => {
    expect(names({})).toEqual(["arm-1", "arm-2", "arm-10"]);
  });

  it("puts what needs somebody first when sorting by status", () => {
    expect(names({ sort: "status" })).toEqual(["arm-1", "arm-2", "arm-10"]);
    expect(names({ sort: "status", status: "attention" })).toEqual(["arm-1", "arm-2"]);
  });

  it("finds every word somewhere: name, task, status", () => {
    expect(names({ search: "box STOPPED" })).toEqual(["arm-1"]);
    expect(names({ search: "box offline" })).toEqual([]);
    expect(names({ status: "working" })).toEqual(["arm-10"]);
  });

  it("counts the fleet", () => {
    expect(countFleet(fleet)).toEqual({ total: 3, working: 1, assisted: 0, attention: 2, pendingEpisodes: 0 });
  });
});

describe("lease and stop on a card", () => {
  it("shows a stop before the robot has confirmed it, whatever its mode", () => {
    const stop = { stop_id: "s", by: "mara", reason: "hand in the way", at_ms: 1, is_confirmed: false };
    const card = robot({ stop });
    expect(statusOf(card).key).toBe("stopped");
    expect(stopText(card)).toBe("Stopped by mara: hand in the way (not confirmed by the robot yet)");
  });

  it("says that the mode of a robot out of reach is an old one", () => {
    expect(modeText(robot({ mode: "teleop" }))).toBe("teleoperated");
    expect(modeText(robot({ mode: "teleop", is_online: false }))).toBe("teleoperated, when last seen");
  });

  it("names who gets the robot from the lease on", () => {
    const lease = { epoch: 3, source: "person", operator: "mara", expires_ms: 9 } as const;
    expect(statusOf(robot({ lease })).text).toBe("Handing over to mara");
    expect(leaseText(robot({ lease }))).toBe("mara");
    expect(leaseText(robot({ lease: { ...lease, source: "scripted" } }))).toBe("scripted supervisor");
    expect(leaseText(robot({ mode: "teleop", source: "scripted", lease: null }))).toBe("scripted supervisor");
    expect(leaseText(robot())).toBe("nobody");
  });
});
