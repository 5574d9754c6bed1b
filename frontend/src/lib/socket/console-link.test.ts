import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { backoff } from "@/lib/socket/backoff";
import type { Connection } from "@/lib/socket/connection";
import { ConsoleLink, PING_EVERY_MS, PROBE_AFTER_MS, SILENT_AFTER_MS } from "@/lib/socket/console-link";
import { emptyFleet, applyMessage } from "@/lib/socket/fleet-state";
import { FakeSocket } from "@/testing/fake-socket";
import { robot, snapshot } from "@/testing/fleet-fixtures";

function open() {
  const sockets: FakeSocket[] = [];
  const connections: Connection[] = [];
  const seen = { fleet: emptyFleet };
  const link = new ConsoleLink({
    open: () => {
      const socket = new FakeSocket();
      sockets.push(socket);
      return socket;
    },
    onMessage: (message, now) => (seen.fleet = applyMessage(seen.fleet, message, now)),
    onConnection: (connection) => connections.push(connection),
    random: () => 0,
  });
  link.start();
  return { link, sockets, connections, seen };
}

const last = <T>(items: readonly T[]): T => {
  const item = items.at(-1);
  if (item === undefined) throw new Error("nothing there");
  return item;
};

const changed = (step: number) => ({ type: "robots_changed", server_ms: 0, robots: [robot({ step })] }) as const;

describe("ConsoleLink", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("is connected from the first snapshot on", () => {
    const { sockets, connections, seen, link } = open();
    expect(connections).toEqual([]);
    last(sockets).deliver(1, snapshot({ robots: [robot()] }));
    expect(last(connections).phase).toBe("connected");
    expect(seen.fleet.robots.size).toBe(1);
    link.stop();
  });

  it("asks for a snapshot once when a number is missing, and goes on from its number", () => {
    const { sockets, seen, link } = open();
    const socket = last(sockets);
    socket.deliver(1, snapshot({ robots: [robot()] }));
    socket.deliver(2, changed(130));
    socket.deliver(5, changed(140));
    socket.deliver(8, changed(150));
    expect(socket.sent).toEqual([[1, { type: "resync", last_seq: 2 }]]);
    expect(seen.fleet.robots.get("r1")?.step).toBe(150);
    socket.deliver(9, snapshot({ robots: [robot({ robot_id: "r9" })] }));
    socket.deliver(10, { type: "robot_removed", robot_id: "r9" });
    expect(socket.sent).toHaveLength(1);
    expect(seen.fleet.robots.size).toBe(0);
    link.stop();
  });

  it("reconnects after a loss, and the new snapshot replaces everything", () => {
    const { sockets, connections, seen, link } = open();
    last(sockets).deliver(1, snapshot({ robots: [robot(), robot({ robot_id: "r2" })] }));
    last(sockets).shut(1012);
    expect(last(connections)).toMatchObject({ phase: "reconnecting", reason: "The server is restarting." });
    expect(last(connections).lastHeardMs).toBe(Date.now());
    expect(sockets).toHaveLength(1);
    vi.advanceTimersByTime(250);
    expect(sockets).toHaveLength(2);
    last(sockets).deliver(1, snapshot({ robots: [robot({ robot_id: "r2" })] }));
    expect([...seen.fleet.robots.keys()]).toEqual(["r2"]);
    expect(last(connections).phase).toBe("connected");
    link.stop();
  });

  it("waits longer from try to try, then says offline, and starts afresh after a success", () => {
    const { sockets, connections, link } = open();
    for (const wait of [250, 500, 1000, 2000]) {
      last(sockets).shut(1006);
      expect(last(connections).phase).toBe("reconnecting");
      const before = sockets.length;
      vi.advanceTimersByTime(wait - 1);
      expect(sockets).toHaveLength(before);
      vi.advanceTimersByTime(1);
      expect(sockets).toHaveLength(before + 1);
    }
    last(sockets).shut(1006);
    expect(last(connections)).toMatchObject({ phase: "offline", reason: "The server cannot be reached." });
    link.retryNow();
    last(sockets).deliver(1, snapshot());
    last(sockets).shut(1006);
    expect(last(connections).phase).toBe("reconnecting");
    link.stop();
  });

  it("stops trying when signed out", () => {
    const { sockets, connections, link } = open();
    last(sockets).shut(4401);
    expect(last(connections).phase).toBe("signed-out");
    vi.advanceTimersByTime(120_000);
    expect(sockets).toHaveLength(1);
    link.stop();
  });

  it("asks to be loaded again when the server speaks another version", () => {
    const { sockets, connections, seen, link } = open();
    last(sockets).deliver(1, snapshot({ protocol: 99, robots: [robot()] }));
    expect(last(connections).phase).toBe("outdated");
    expect(seen.fleet.isKnown).toBe(false);
    link.retryNow();
    vi.advanceTimersByTime(120_000);
    expect(sockets).toHaveLength(1);
    link.stop();
  });

  it("pings now and then while frames arrive", () => {
    const { sockets, link } = open();
    const socket = last(sockets);
    socket.deliver(1, snapshot());
    for (let at = 1; at * 1000 <= PING_EVERY_MS; at += 1) {
      vi.advanceTimersByTime(1000);
      socket.deliver(at + 1, { type: "metrics_changed", server_ms: 0 });
    }
    expect(socket.sent).toEqual([[1, { type: "ping", clock_ms: Date.now() }]]);
    link.stop();
  });

  it("probes a silent link and gives up on it when nothing comes back", () => {
    const { sockets, connections, link } = open();
    const socket = last(sockets);
    socket.deliver(1, snapshot());
    vi.advanceTimersByTime(PROBE_AFTER_MS + 1000);
    expect(socket.sent).toEqual([[1, { type: "resync", last_seq: 1 }]]);
    vi.advanceTimersByTime(SILENT_AFTER_MS - PROBE_AFTER_MS + 500);
    expect(socket.isClosed).toBe(true);
    expect(connections.map(({ phase, reason }) => `${phase}: ${reason}`)).toContain("reconnecting: The server has fallen silent.");
    expect(sockets).toHaveLength(2);
    link.stop();
  });

  it.each(["no json", "[1]", '[1, {"type": "surprise"}]', '["1", {"type": "snapshot"}]'])("drops a link that sends %s", (data) => {
    const { sockets, connections, link } = open();
    last(sockets).deliverText(data);
    expect(last(sockets).isClosed).toBe(true);
    expect(last(connections).reason).toBe("The server sent something that is not understood.");
    link.stop();
  });

  it("leaves nothing running when stopped", () => {
    const { sockets, link } = open();
    last(sockets).shut(1006);
    link.stop();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("backoff", () => {
  it("doubles up to a cap and scatters over the upper half", () => {
    expect([0, 1, 2, 3, 20].map((attempt) => backoff(attempt, 0))).toEqual([250, 500, 1000, 2000, 7500]);
    expect(backoff(20, 0.999)).toBeLessThanOrEqual(15_000);
  });

  it("asks for the watched run's rows once connected, and again on each new connection", () => {
    const { link, sockets } = open();
    link.watchRun("run1");
    expect(last(sockets).sent).toEqual([]);
    last(sockets).deliver(1, snapshot());
    expect(last(sockets).sent).toEqual([[1, { type: "watch_run", run_id: "run1" }]]);
    last(sockets).deliver(2, snapshot());
    expect(last(sockets).sent).toHaveLength(1);
    link.watchRun(null);
    expect(last(last(sockets).sent)).toEqual([2, { type: "watch_run", run_id: null }]);
    link.watchRun("run2");
    last(sockets).shut(1012);
    link.retryNow();
    last(sockets).deliver(1, snapshot());
    expect(last(sockets).sent).toEqual([[1, { type: "watch_run", run_id: "run2" }]]);
    link.stop();
  });
});
