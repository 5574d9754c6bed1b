import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import type { ConsoleReply } from "@/protocol/generated";
import { onConsoleEvent, passOn } from "@/lib/socket/console-events";
import { ConsoleLink, HURRIED_WAIT_MS } from "@/lib/socket/console-link";
import { type ConsoleRequest, RefusedError } from "@/lib/socket/requests";
import { claim } from "@/lib/socket/tab-id";
import { FakeSocket } from "@/testing/fake-socket";
import { snapshot } from "@/testing/fleet-fixtures";

const renew = { type: "renew", robot_id: "r1", epoch: 3 } as const;

function open() {
  const sockets: FakeSocket[] = [];
  const link = new ConsoleLink({
    open: () => {
      const socket = new FakeSocket();
      sockets.push(socket);
      return socket;
    },
    onMessage: () => undefined,
    onConnection: () => undefined,
    random: () => 0.99,
  });
  link.start();
  const socket = sockets[0];
  if (socket === undefined) throw new Error("no socket");
  return { link, socket, sockets };
}

const asked = (socket: FakeSocket): ConsoleRequest => (socket.sent.at(-1) as [number, ConsoleRequest])[1];
const reply = (request: ConsoleRequest, change: Partial<ConsoleReply> = {}): ConsoleReply => ({
  type: "reply",
  request_id: request.request_id,
  ...change,
});

describe("requests over the live link", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("matches replies by their number, in any order", async () => {
    const { link, socket } = open();
    socket.deliver(1, snapshot());
    const first = link.request(renew);
    const firstAsked = asked(socket);
    const second = link.request({ ...renew, epoch: 4 });
    socket.deliver(2, reply(asked(socket), { lease: { robot_id: "r1", epoch: 4, expires_ms: 9, renew_s: 2 } }));
    socket.deliver(3, reply(firstAsked, { lease: { robot_id: "r1", epoch: 3, expires_ms: 9, renew_s: 2 } }));
    expect((await second).lease?.epoch).toBe(4);
    expect((await first).lease?.epoch).toBe(3);
    expect(firstAsked).toMatchObject({ ...renew, request_id: expect.stringMatching(/^[0-9a-f-]{36}$/) as string });
    link.stop();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("turns a code into an error with the server's words as a sentence", async () => {
    const { link, socket } = open();
    socket.deliver(1, snapshot());
    const answer = link.request(renew);
    socket.deliver(2, reply(asked(socket), { code: "lease_fenced", message: "a newer lease was seen" }));
    await expect(answer).rejects.toMatchObject({ code: "lease_fenced", message: "A newer lease was seen." });
    link.stop();
  });

  it("asks nothing before the snapshot, and keeps nothing for later", async () => {
    const { link, socket } = open();
    await expect(link.request(renew)).rejects.toMatchObject({ code: "not_connected" });
    socket.deliver(1, snapshot());
    expect(socket.sent).toEqual([]);
    link.stop();
  });

  it("ends open questions when the link is lost or the server is silent", async () => {
    const { link, socket } = open();
    socket.deliver(1, snapshot());
    const lost = link.request(renew);
    const late = link.request(renew, 100);
    const outcome = Promise.all([expect(lost).rejects.toMatchObject({ code: "link_lost" }), expect(late).rejects.toBeInstanceOf(RefusedError)]);
    vi.advanceTimersByTime(100);
    socket.shut(1012);
    await outcome;
    await expect(late).rejects.toMatchObject({ code: "timed_out" });
    link.stop();
  });

  it("bounds how many are open", async () => {
    const { link, socket } = open();
    socket.deliver(1, snapshot());
    const open64 = Array.from({ length: 64 }, () => link.request(renew).catch(() => null));
    await expect(link.request(renew)).rejects.toMatchObject({ code: "busy" });
    link.stop();
    await Promise.all(open64);
  });

  it("comes back quickly, however often it failed, while a robot is watched", () => {
    const { link, sockets } = open();
    link.hurry(true);
    for (let attempt = 0; attempt < 8; attempt += 1) {
      sockets.at(-1)?.shut(1006);
      vi.advanceTimersByTime(HURRIED_WAIT_MS);
      expect(sockets).toHaveLength(attempt + 2);
    }
    link.stop();
  });
});

describe("console events", () => {
  it("reach every listener until it leaves", () => {
    const heard: string[] = [];
    const leave = onConsoleEvent((event) => heard.push(event.type));
    expect(passOn({ type: "lease_lost", robot_id: "r1", epoch: 1, taken_by: "mara" })).toBe(true);
    expect(passOn({ type: "robot_removed", robot_id: "r1" })).toBe(false);
    leave();
    passOn({ type: "lease_asked", robot_id: "r1", epoch: 1, by: "mara" });
    expect(heard).toEqual(["lease_lost"]);
  });
});

describe("tab id", () => {
  beforeEach(() => sessionStorage.clear());

  it("is kept over a reload", () => {
    const before = claim();
    window.dispatchEvent(new Event("pagehide"));
    expect(claim()).toBe(before);
  });

  it("is not shared with a duplicated tab, whose storage says that the tab is open", () => {
    const before = claim();
    expect(claim()).not.toBe(before);
    expect(before).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$/);
  });
});
