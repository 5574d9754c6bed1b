import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import type { ConsoleEvent } from "@/lib/socket/console-events";
import type { Question } from "@/lib/socket/requests";
import { CockpitSession } from "@/features/teleop/cockpit-session";
import { FakePeerConnection } from "@/testing/fake-peer";

const record = { id: "r1", name: "arm-1", actionNames: ["dx"], keptAxes: [], controlRateHz: 10, views: [{ name: "main", width: 64, height: 48 }] };

describe("CockpitSession", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("offers a working video anew once the robot has its server again, and not before", async () => {
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
    const offers = () => asked.filter(({ type }) => type === "peer_offer").length;
    const pass = () => vi.advanceTimersByTimeAsync(0);
    const end = session.start();
    session.noteOnline(true);
    await pass();
    connections.at(-1)?.gathered();
    await pass();
    const offer = asked.find((question) => question.type === "peer_offer");
    tell({ type: "peer_answer", peer_id: offer?.type === "peer_offer" ? offer.peer_id : "", sdp: "answer" });
    await pass();
    connections.at(-1)?.openAll();
    await pass();
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
});
