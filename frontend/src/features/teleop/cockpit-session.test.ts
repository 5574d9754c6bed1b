import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import type { Feedback } from "@/protocol/generated";
import type { ConsoleEvent } from "@/lib/socket/console-events";
import type { Question } from "@/lib/socket/requests";
import { CockpitSession } from "@/features/teleop/cockpit-session";
import { FakePeerConnection } from "@/testing/fake-peer";
import { feedback } from "@/testing/teleop-fixtures";

const record = { id: "r1", name: "arm-1", actionNames: ["dx"], keptAxes: [], controlRateHz: 10, views: [{ name: "main", width: 64, height: 48 }] };

/** A session whose robot and server are the test. */
function open() {
  const asked: Question[] = [];
  const connections: FakePeerConnection[] = [];
  let tell: (event: ConsoleEvent) => void = () => undefined;
  const session = new CockpitSession(record, {
    ask: (question) => {
      asked.push(question);
      return Promise.resolve({ type: "reply", request_id: "q" });
    },
    onEvent: (listener) => {
      tell = listener;
      return () => undefined;
    },
    onReconnect: () => () => undefined,
    serverNow: () => Date.now(),
    iceServers: () => Promise.resolve([]),
    createConnection: () => {
      const connection = new FakePeerConnection();
      connections.push(connection);
      return connection as unknown as RTCPeerConnection;
    },
    gamepad: () => null,
    startTicking: () => () => undefined,
    now: () => performance.now(),
  });
  const pass = () => vi.advanceTimersByTimeAsync(0);
  /** Play the robot until the channels are open. */
  const connect = async () => {
    await pass();
    connections.at(-1)?.gathered();
    await pass();
    const offer = asked.find((question) => question.type === "peer_offer");
    tell({ type: "peer_answer", peer_id: offer?.type === "peer_offer" ? offer.peer_id : "", sdp: "answer" });
    await pass();
    connections.at(-1)?.openAll();
    await pass();
  };
  return { session, asked, connections, connect };
}

describe("CockpitSession", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("offers a working video anew once the robot has its server again, and not before", async () => {
    const { session, asked, connections, connect } = open();
    const offers = () => asked.filter(({ type }) => type === "peer_offer").length;
    const pass = () => vi.advanceTimersByTimeAsync(0);
    const end = session.start();
    session.noteOnline(true);
    await connect();
    expect(session.view.peer.phase).toBe("connected");
    session.noteOnline(true);
    session.noteOnline(false);
    await pass();
    expect(connections).toHaveLength(offers());
    const before = offers();
    session.noteOnline(true);
    await pass();
    connections.at(-1)?.gathered();
    await pass();
    expect(offers()).toBe(before + 1);
    expect(session.view.peer.phase).toBe("connected");
    end();
  });

  it("says nothing of its stop any more once somebody cleared it", async () => {
    const { session, connections, connect } = open();
    const end = session.start();
    await connect();
    void session.stop("smoke");
    const robotSays = (change: Partial<Feedback>) => connections.at(-1)?.channel("drive").deliver(feedback(change));
    robotSays({ step_ms: 1000 });
    await vi.advanceTimersByTimeAsync(200);
    expect(session.view.stop.phase).toBe("sent");
    robotSays({ step_ms: 1100, mode: "stopped", stop: { stop_id: "s", by: "ana", at_ns: 0 } });
    await vi.advanceTimersByTimeAsync(200);
    expect(session.view.stop.phase).toBe("sent");
    robotSays({ step_ms: 1200, mode: "paused", stop: null });
    await vi.advanceTimersByTimeAsync(200);
    expect(session.view.stop.phase).toBe("none");
    end();
  });
});
