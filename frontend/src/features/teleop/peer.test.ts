import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { RefusedError } from "@/lib/socket/requests";
import { MOST_ATTEMPTS, type PeerState, RobotPeer } from "@/features/teleop/peer";
import type { PeerRobotMessage } from "@/features/teleop/peer-link";
import { FakePeerConnection } from "@/testing/fake-peer";
import { feedback } from "@/testing/teleop-fixtures";

const last = <T>(items: readonly T[]): T => {
  const item = items.at(-1);
  if (item === undefined) throw new Error("nothing there");
  return item;
};

/** Timers, and the promises between them. */
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

function open() {
  const connections: FakePeerConnection[] = [];
  const states: PeerState[] = [];
  const messages: PeerRobotMessage[] = [];
  const tracks: string[] = [];
  const offers: string[] = [];
  const world = { refusal: null as RefusedError | null, closes: 0 };
  const peer = new RobotPeer({
    peerId: "p1",
    views: ["main", "wrist"],
    createConnection: () => {
      const connection = new FakePeerConnection();
      connections.push(connection);
      return connection as unknown as RTCPeerConnection;
    },
    iceServers: () => Promise.resolve([{ urls: ["stun:x"] }]),
    sendOffer: (sdp) => {
      offers.push(sdp);
      return world.refusal === null ? Promise.resolve() : Promise.reject(world.refusal);
    },
    sendClose: () => (world.closes += 1),
    now: () => performance.now(),
    random: () => 0,
    onState: (state) => states.push(state),
    onMessage: (message) => messages.push(message),
    onTrack: (view) => tracks.push(view),
  });
  /** Play the robot until the channels are open. */
  const connect = async () => {
    await pass(0);
    last(connections).gathered();
    await pass(0);
    peer.answer({ type: "peer_answer", peer_id: "p1", sdp: "answer" });
    await pass(0);
    last(connections).openAll();
    await pass(0);
  };
  return { peer, connections, states, messages, tracks, offers, world, connect };
}

describe("RobotPeer", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("offers two channels and its views for receiving only, and is connected when both channels are open", async () => {
    const { peer, connections, tracks, states, offers, connect } = open();
    peer.start();
    await connect();
    const connection = last(connections);
    expect(connection.channels.map(({ label, options }) => [label, options])).toEqual([
      ["drive", { ordered: false, maxRetransmits: 0 }],
      ["control", {}],
    ]);
    expect(connection.transceivers.map(({ direction, receiver }) => [direction, receiver.jitterBufferTarget])).toEqual([
      ["recvonly", 0],
      ["recvonly", 0],
    ]);
    expect(offers).toEqual(["offer"]);
    expect(connection.remoteSdp).toBe("answer");
    expect(tracks).toEqual(["main", "wrist"]);
    expect(last(states)).toEqual({ phase: "connected", reason: "Live video and control.", attempts: 0 });
    peer.stop();
  });

  it("gathers for 1.5 s at most", async () => {
    const { peer, offers } = open();
    peer.start();
    await pass(1499);
    expect(offers).toEqual([]);
    await pass(1);
    expect(offers).toHaveLength(1);
    peer.stop();
  });

  it("answers a clock probe at once on the channel that asked, and ignores rubbish", async () => {
    const { peer, connections, messages, connect } = open();
    peer.start();
    await connect();
    const drive = last(connections).channel("drive");
    await pass(123);
    drive.deliver({ type: "clock_probe", probe: 4 });
    drive.deliver("no json");
    drive.deliver('{"type": "surprise"}');
    expect(drive.sent).toEqual([{ type: "clock_echo", probe: 4, clock_ms: performance.now() }]);
    expect(messages.map(({ type }) => type)).toEqual(["clock_probe"]);
    peer.stop();
  });

  it("drops a command rather than queueing it, and sends a stop on both channels", async () => {
    const { peer, connections, connect } = open();
    peer.start();
    expect(peer.send("{}")).toBe(false);
    await connect();
    const [drive, control] = [last(connections).channel("drive"), last(connections).channel("control")];
    expect(peer.send("{}")).toBe(true);
    drive.bufferedAmount = 5000;
    expect(peer.send("{}")).toBe(false);
    const stop = { type: "stop", stop_id: "s", reason: "" } as const;
    expect(peer.stopRobot(stop)).toBe(true);
    expect(drive.sent.at(-1)).toEqual(stop);
    expect(control.sent).toEqual([stop]);
    peer.stop();
  });

  it.each(["failed", "closed"] as const)("offers again when the connection is %s, keeping the old picture until then", async (state) => {
    const { peer, connections, states, offers, connect } = open();
    peer.start();
    await connect();
    const first = last(connections);
    first.turn(state);
    await pass(0);
    expect(last(states).phase).toBe("redialling");
    expect(first.isClosed).toBe(false);
    await connect();
    expect(offers).toHaveLength(2);
    expect(first.isClosed).toBe(true);
    expect(last(states).phase).toBe("connected");
    peer.stop();
  });

  it("lets a disconnected path mend itself for a second", async () => {
    const { peer, connections, connect } = open();
    peer.start();
    await connect();
    const first = last(connections);
    first.turn("disconnected");
    await pass(900);
    first.turn("connected");
    first.channel("drive").deliver(feedback());
    await pass(500);
    expect(connections).toHaveLength(1);
    first.turn("disconnected");
    first.channel("drive").deliver(feedback());
    await pass(1000);
    expect(connections).toHaveLength(2);
    peer.stop();
  });

  it("offers again when the robot falls silent, whatever the browser says", async () => {
    const { peer, connections, connect } = open();
    peer.start();
    await connect();
    for (let second = 0; second < 5; second += 1) {
      last(connections).channel("drive").deliver(feedback());
      await pass(1000);
    }
    expect(connections).toHaveLength(1);
    await pass(2000);
    expect(connections).toHaveLength(2);
    peer.stop();
  });

  it("leaves a working connection alone when the network changed, and makes itself known to a new server", async () => {
    const { peer, connections, connect, world, states } = open();
    peer.start();
    await connect();
    last(connections).channel("drive").deliver(feedback());
    peer.nudge("The network changed.");
    await pass(0);
    expect(connections).toHaveLength(1);
    await pass(1500);
    peer.nudge("The network changed.");
    await connect();
    expect(connections).toHaveLength(2);
    last(connections).channel("drive").deliver(feedback());
    world.refusal = new RefusedError("robot_offline", "This robot is not connected.");
    peer.renew("The server is back.");
    await pass(1500); // of gathering; then the robot is not there yet, and two more tries
    connections[1]?.channel("drive").deliver(feedback());
    await pass(1500);
    expect(connections.length).toBeGreaterThan(3);
    expect(connections[1]?.isClosed).toBe(false);
    expect(last(states)).toMatchObject({ phase: "connected", reason: "Live video and control." });
    world.refusal = null;
    connections[1]?.channel("drive").deliver(feedback());
    await pass(500);
    await connect();
    expect(connections[1]?.isClosed).toBe(true);
    expect(last(states)).toMatchObject({ phase: "connected", attempts: 0 });
    peer.stop();
  });

  it("tries again with growing waits, never more than 2.5 s, and gives up in the end", async () => {
    const { peer, connections, world, states } = open();
    world.refusal = new RefusedError("not_connected", "There is no link to the server.");
    peer.start();
    await pass(2000); // 1.5 s of gathering, then 250 ms of waiting
    expect(connections).toHaveLength(2);
    await pass(MOST_ATTEMPTS * 4000);
    expect(connections).toHaveLength(MOST_ATTEMPTS);
    expect(last(states)).toMatchObject({ phase: "refused", reason: "There is no link to the server." });
    expect(connections.every(({ isClosed }) => isClosed)).toBe(true);
    world.refusal = null;
    peer.nudge("The server is back.");
    await pass(0);
    expect(connections).toHaveLength(MOST_ATTEMPTS + 1);
    peer.stop();
  });

  it("shows the robot's refusal in words and does not insist", async () => {
    const { peer, connections, states } = open();
    peer.start();
    await pass(1500);
    peer.answer({ type: "peer_answer", peer_id: "p1", code: "unknown_view", message: "there is no view 'wrist'" });
    await pass(60_000);
    expect(last(states)).toMatchObject({ phase: "refused", reason: "There is no view 'wrist'." });
    expect(connections).toHaveLength(1);
    peer.stop();
  });

  it("ignores answers to other peers, and survives one that does not parse or never comes", async () => {
    const { peer, connections, states } = open();
    peer.start();
    await pass(1500);
    peer.answer({ type: "peer_answer", peer_id: "p2", sdp: "answer" });
    await pass(0);
    expect(last(connections).remoteSdp).toBeNull();
    peer.answer({ type: "peer_answer", peer_id: "p1", sdp: "bad" });
    await pass(0);
    expect(last(states)).toMatchObject({ phase: "redialling", attempts: 1 });
    await pass(250 + 1500 + 12_000);
    expect(last(states)).toMatchObject({ attempts: 2, reason: "The robot did not answer the offer of video." });
    peer.stop();
  });

  it("tells the robot when it leaves, and leaves nothing running", async () => {
    const { peer, connections, world, states, connect } = open();
    peer.start();
    await connect();
    peer.stop();
    await pass(12_000);
    expect(world.closes).toBe(1);
    expect(last(connections).isClosed).toBe(true);
    expect(last(states).phase).toBe("closed");
    expect(vi.getTimerCount()).toBe(0);
  });
});
