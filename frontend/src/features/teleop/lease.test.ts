import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import type { ConsoleLease, ConsoleReply } from "@/protocol/generated";
import { type Question, RefusedError } from "@/lib/socket/requests";
import { LeaseKeeper } from "@/features/teleop/lease";
import { stopRobot, type StopState } from "@/features/teleop/stop";

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

function open() {
  const asked: Question[] = [];
  const world = { error: null as Error | null, epoch: 3 };
  const granted = (): ConsoleLease => ({ robot_id: "r1", epoch: world.epoch, expires_ms: Date.now() + 6000, renew_s: 2 });
  const ask = (question: Question): Promise<ConsoleReply> => {
    asked.push(question);
    if (world.error !== null) return Promise.reject(world.error);
    const hasLease = question.type === "acquire" || question.type === "take" || question.type === "renew";
    return Promise.resolve({ type: "reply", request_id: "x", lease: hasLease ? granted() : null });
  };
  const keeper = new LeaseKeeper({ robotId: "r1", ask, serverNow: () => Date.now(), onState: () => undefined });
  return { keeper, asked, world, ask };
}

describe("LeaseKeeper", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("acquires, renews in time and releases", async () => {
    const { keeper, asked } = open();
    expect(keeper.epoch).toBeNull();
    await keeper.acquire("");
    expect(keeper.epoch).toBe(3);
    await pass(6000);
    expect(asked.map(({ type }) => type)).toEqual(["acquire", "renew", "renew", "renew"]);
    await keeper.release("handed back");
    expect(keeper.epoch).toBeNull();
    expect(keeper.state.lostBecause).toBe("");
    await pass(60_000);
    expect(asked).toHaveLength(5);
  });

  it("keeps the old state when a takeover is refused", async () => {
    const { keeper, world } = open();
    world.error = new RefusedError("lease_held", "Mara drives.");
    await expect(keeper.acquire("")).rejects.toThrow("Mara drives.");
    expect(keeper.state).toMatchObject({ lease: null, isAsking: false });
  });

  it("is lost at once when the server refuses a renewal, with the reason", async () => {
    const { keeper, world } = open();
    await keeper.acquire("");
    world.error = new RefusedError("lease_fenced", "A newer lease was seen.");
    await pass(2000);
    expect(keeper.epoch).toBeNull();
    expect(keeper.state.lostBecause).toBe("A newer lease was seen.");
  });

  it("outlives a server that is away for less than its time, and no longer", async () => {
    const { keeper, world, asked } = open();
    await keeper.acquire("");
    world.error = new RefusedError("not_connected", "There is no link to the server.");
    await pass(3000);
    expect(keeper.epoch).toBe(3);
    world.error = null;
    keeper.renewNow();
    await pass(0);
    expect(asked.at(-1)?.type).toBe("renew");
    world.error = new RefusedError("link_lost", "Lost.");
    await pass(8500);
    expect(keeper.epoch).toBeNull();
    expect(keeper.state.lostBecause).toBe("Your control ran out while the server was out of reach.");
  });

  it("gives no epoch once its time is up, even before it knows why", async () => {
    const { keeper, world } = open();
    await keeper.acquire("");
    world.error = new RefusedError("timed_out", "Late.");
    vi.setSystemTime(Date.now() + 6000);
    expect(keeper.epoch).toBeNull();
  });

  it("says who took it, and only listens to events of its own lease", async () => {
    const { keeper } = open();
    await keeper.acquire("");
    keeper.hear({ type: "lease_lost", robot_id: "r1", epoch: 2, taken_by: "old" });
    keeper.hear({ type: "lease_lost", robot_id: "r2", epoch: 3, taken_by: "other" });
    expect(keeper.epoch).toBe(3);
    keeper.hear({ type: "lease_asked", robot_id: "r1", epoch: 3, by: "jan" });
    expect(keeper.state.askedBy).toBe("jan");
    keeper.hear({ type: "lease_lost", robot_id: "r1", epoch: 3, taken_by: "jan" });
    expect(keeper.state).toMatchObject({ lease: null, lostBecause: "jan took over.", askedBy: null });
  });

  it("takes only what was shown, asks and offers", async () => {
    const { keeper, asked } = open();
    keeper.hear({ type: "lease_offered", robot_id: "r1", epoch: 8, by: "mara" });
    expect(keeper.state.offered).toEqual({ epoch: 8, by: "mara" });
    await keeper.askHolder(8);
    await keeper.take(8, "offered");
    expect(keeper.state.offered).toBeNull();
    await keeper.transfer("jan");
    expect(asked).toEqual([
      { type: "ask", robot_id: "r1", epoch: 8 },
      { type: "take", robot_id: "r1", from_epoch: 8, reason: "offered" },
      { type: "transfer", robot_id: "r1", epoch: 3, to_user: "jan" },
    ]);
    keeper.abandon();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("stopRobot", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  function stop(hasPeer: boolean, ask: (question: Question) => Promise<ConsoleReply>) {
    const states: StopState[] = [];
    const peer: string[] = [];
    const stopPeer = ({ stop_id }: { readonly stop_id: string }) => {
      peer.push(stop_id);
      return hasPeer;
    };
    const done = stopRobot({ robotId: "r1", ask, stopPeer, onState: (state) => states.push(state) }, "test");
    return { states, peer, done };
  }

  it("uses one number on every way", async () => {
    const { ask, asked } = open();
    const { states, peer, done } = stop(true, ask);
    await done;
    expect(asked).toEqual([{ type: "stop", robot_id: "r1", stop_id: peer[0], reason: "test" }]);
    expect(states.map(({ phase }) => phase)).toEqual(["sending", "sent"]);
  });

  it("insists with the server for three seconds, then says what is left", async () => {
    const { ask, asked, world } = open();
    world.error = new RefusedError("not_connected", "There is no link to the server.");
    const { states, done } = stop(false, ask);
    await pass(3000);
    await done;
    expect(asked).toHaveLength(6);
    expect(new Set(asked.map((question) => (question.type === "stop" ? question.stop_id : ""))).size).toBe(1);
    expect(states.at(-1)).toMatchObject({ phase: "failed", detail: "Not sent. There is no link to the server. Use the robot's own stop." });
  });

  it("counts as sent when only the channel took it", async () => {
    const { ask, world } = open();
    world.error = new RefusedError("link_lost", "Lost.");
    const { states, done } = stop(true, ask);
    await pass(3000);
    await done;
    expect(states.at(-1)).toMatchObject({ phase: "sent", detail: "Sent over the control channel only. Lost." });
  });
});
