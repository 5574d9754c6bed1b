/** The golden files that Python writes and reads: what the server says must arrive here, what this says must be theirs. */

import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";

import { describe, expect, it } from "vitest";

import type { Connection } from "@/lib/socket/connection";
import { ConsoleLink } from "@/lib/socket/console-link";
import type { ServerMessage } from "@/lib/socket/fleet-state";
import { applyMessage, emptyFleet } from "@/lib/socket/fleet-state";
import type { ConsoleClientFrame, ConsoleServerFrame } from "@/protocol/generated";
import { FakeSocket } from "@/testing/fake-socket";

// Tests run in frontend/, and jsdom gives import.meta.url no file: scheme.
const folder = resolve("../tests/fleet/protocol/golden");
const files = (prefix: string) => readdirSync(folder).filter((name) => name.startsWith(prefix));
const read = (name: string) => readFileSync(resolve(folder, name), "utf8");

function receive(text: string): { messages: ServerMessage[]; connections: Connection[]; socket: FakeSocket } {
  const socket = new FakeSocket();
  const messages: ServerMessage[] = [];
  const connections: Connection[] = [];
  const link = new ConsoleLink({
    open: () => socket,
    onMessage: (message) => messages.push(message),
    onConnection: (connection) => connections.push(connection),
  });
  link.start();
  socket.deliverText(text);
  link.stop();
  return { messages, connections, socket };
}

describe("golden frames of the server", () => {
  it.each(files("console_server-"))("%s is understood", (name) => {
    const text = read(name);
    const [, body] = JSON.parse(text) as ConsoleServerFrame;
    const { messages, connections } = receive(text);
    expect(messages).toEqual([body]);
    expect(connections.map(({ phase }) => phase)).toEqual(body.type === "snapshot" ? ["connected"] : []);
  });

  it("fill the page", () => {
    const [, snapshot] = JSON.parse(read("console_server-ConsoleSnapshot.json")) as ConsoleServerFrame;
    const fleet = applyMessage(emptyFleet, snapshot, 0);
    expect(fleet.robots.size).toBeGreaterThan(0);
    expect([...fleet.robots.values()].every(({ name }) => name.length > 0)).toBe(true);
  });
});

describe("golden frames of the console", () => {
  it.each(files("console_client-"))("%s has the fields that the types name", (name) => {
    const [seq, body] = JSON.parse(read(name)) as ConsoleClientFrame;
    const asked = ["request_id", "robot_id", "type"];
    const fields: Record<ConsoleClientFrame[1]["type"], string[]> = {
      ping: ["clock_ms", "type"],
      resync: ["last_seq", "type"],
      watch_run: ["run_id", "type"],
      acquire: [...asked, "reason"],
      take: [...asked, "from_epoch", "reason"],
      renew: [...asked, "epoch"],
      release: [...asked, "epoch", "reason"],
      ask: [...asked, "epoch"],
      transfer: [...asked, "epoch", "to_user"],
      stop: [...asked, "reason", "stop_id"],
      clear: [...asked, "stop_id"],
      peer_offer: [...asked, "peer_id", "sdp", "views"],
      peer_close: [...asked, "peer_id"],
      order: [...asked, "episode_id", "epoch", "kind", "reason"],
    };
    expect(Number.isInteger(seq)).toBe(true);
    expect(Object.keys(body).sort()).toEqual(fields[body.type].sort());
  });
});
