import { describe, expect, it } from "vitest";

import { checksOf, type CheckInput, isReady } from "@/features/teleop/checks";
import { FrameLedger, quantile } from "@/features/teleop/latency";
import { StatsReader } from "@/features/teleop/stats";
import { emptyTimeline, follow } from "@/features/teleop/timeline";
import { VideoWatch } from "@/features/teleop/video-watch";
import { robot } from "@/testing/fleet-fixtures";
import { feedback } from "@/testing/teleop-fixtures";

describe("VideoWatch", () => {
  it("knows the age of the newest frame, the rate and each freeze once", () => {
    const watch = new VideoWatch();
    expect(watch.ageMs(0)).toBe(Number.POSITIVE_INFINITY);
    for (let at = 0; at <= 2000; at += 50) watch.frame(at);
    expect(watch.ageMs(2040)).toBe(40);
    expect(watch.fps(2000)).toBe(20);
    expect(watch.freezes(2299)).toBe(0);
    expect(watch.freezes(2301)).toBe(1);
    expect(watch.freezes(2600)).toBe(1);
    watch.frame(2700);
    watch.frame(3100); // and one that nobody looked at meanwhile
    expect(watch.freezes(3100)).toBe(2);
  });
});

describe("FrameLedger", () => {
  const times = { type: "frame_times", view: "main", rtp: 90_000, captured_ms: 1000, encoded_ms: 1012, size_bytes: 900, is_key: false } as const;
  const seen = { rtpTimestamp: 90_000, receiveTime: 520, presentationTime: 535, processingDuration: 0.004 };
  const expected = { encode: 12, network: 8, jitterBuffer: 11, decode: 4 };

  it.each(["robot first", "browser first"])("joins both halves of a frame by its RTP timestamp, %s", (order) => {
    const ledger = new FrameLedger();
    ledger.offsetMs = -500; // robot 1012 is browser 512
    if (order === "robot first") ledger.sent(times);
    ledger.seen(seen);
    if (order === "browser first") ledger.sent(times);
    expect(ledger.latency()).toEqual({ stages: expected, totalMs: 35, p95Ms: 35, n: 1 });
  });

  it("says nothing without the clocks' offset, and forgets what found no partner", () => {
    const ledger = new FrameLedger();
    ledger.sent(times);
    ledger.seen(seen);
    expect(ledger.latency()).toBeNull();
    ledger.offsetMs = -500;
    for (let rtp = 0; rtp < 500; rtp += 1) ledger.sent({ ...times, rtp });
    ledger.seen({ ...seen, rtpTimestamp: 0 });
    expect(ledger.latency()).toBeNull();
    ledger.seen({ ...seen, rtpTimestamp: 499 });
    expect(ledger.latency()?.n).toBe(1);
  });

  it("takes quantiles of few values", () => {
    expect([quantile([3, 1, 2], 0.5), quantile([1, 2], 0.95), quantile([], 0.5)]).toEqual([2, 2, 0]);
  });
});

describe("StatsReader", () => {
  const video = (lost: number, received: number, bytes: number) => ({
    type: "inbound-rtp", kind: "video", packetsLost: lost, packetsReceived: received, bytesReceived: bytes, codecId: "c", id: "v",
  });
  const rest = [
    { type: "codec", id: "c", mimeType: "video/H264" },
    { type: "candidate-pair", id: "p", nominated: true, state: "succeeded", localCandidateId: "l", currentRoundTripTime: 0.012 },
    { type: "local-candidate", id: "l", candidateType: "relay" },
  ];

  it("takes loss and bit rate since the last look", () => {
    const reader = new StatsReader();
    expect(reader.read([video(5, 100, 1000), ...rest], 0)).toEqual({ loss: null, kbitPerS: 0, codec: "H264", way: "relay", rttMs: 12 });
    expect(reader.read([video(15, 190, 126_000), ...rest], 1000)).toMatchObject({ loss: 0.1, kbitPerS: 1000 });
    expect(reader.read([video(15, 190, 126_000)], 2000)).toMatchObject({ loss: null, kbitPerS: 0, way: "", rttMs: null });
  });
});

describe("timeline", () => {
  it("cuts the episode where the driver changes", () => {
    const words = [
      feedback({ step: 0 }),
      feedback({ step: 40 }),
      feedback({ step: 41, mode: "handover", source: "person", operator: "mara" }),
      feedback({ step: 45, mode: "teleop", source: "person", operator: "mara" }),
      feedback({ step: 44, mode: "autonomous" }), // overtaken on its way
      feedback({ step: 90, mode: "teleop", source: "person", operator: "mara" }),
      feedback({ step: 91 }),
    ];
    const timeline = words.reduce(follow, emptyTimeline);
    expect(timeline.segments.map(({ driver, name, fromStep, toStep }) => [driver, name, fromStep, toStep])).toEqual([
      ["policy", "", 0, 40],
      ["nobody", "", 40, 41],
      ["person", "mara", 41, 90],
      ["policy", "", 90, 91],
    ]);
  });

  it("starts anew with each episode, and is the same object while nothing changes", () => {
    const first = follow(emptyTimeline, feedback({ step: 5 }));
    expect(follow(first, feedback({ step: 5 }))).toBe(first);
    expect(follow(first, feedback({ episode_id: "e2", step: 0 })).segments).toEqual([{ driver: "policy", name: "", fromStep: 0, toStep: 0 }]);
    expect(follow(first, feedback({ episode_id: null }))).toBe(emptyTimeline);
  });
});

describe("checks before takeover", () => {
  const good: CheckInput = {
    card: robot(),
    recordName: "arm-1",
    isPeerConnected: true,
    peerReason: "",
    peerEpisodeId: "e1",
    videoAgeMs: 40,
    canSeeFrames: true,
    rttMs: 30,
    isAtRest: true,
    isStopped: false,
  };

  it("hold when all is well", () => {
    expect(checksOf(good).every(({ isOk }) => isOk)).toBe(true);
    expect(isReady(checksOf(good))).toBe(true);
  });

  it.each<[Partial<CheckInput>, string, string]>([
    [{ card: null }, "robot", "does not know"],
    [{ recordName: "arm-2" }, "robot", "arm-2"],
    [{ peerEpisodeId: "e9" }, "robot", "different episodes"],
    [{ card: robot({ is_online: false }) }, "online", "not connected"],
    [{ isStopped: true }, "stop", "then clear it"],
    [{ isPeerConnected: false, peerReason: "No way was found." }, "link", "No way was found."],
    [{ videoAgeMs: 1500 }, "video", "1.5\u00a0s"],
    [{ videoAgeMs: Number.POSITIVE_INFINITY }, "video", "No picture"],
    [{ canSeeFrames: false }, "video", "cannot tell"],
    [{ rttMs: null }, "rtt", "not measured"],
    [{ rttMs: 412 }, "rtt", "412\u00a0ms"],
    [{ isAtRest: false }, "input", "Let go"],
  ])("%o fails %s in words", (change, key, word) => {
    const checks = checksOf({ ...good, ...change });
    const failed = checks.filter(({ isOk }) => !isOk);
    expect(failed.map((check) => check.key)).toContain(key);
    expect(failed.find((check) => check.key === key)?.detail).toContain(word);
    expect(isReady(checks)).toBe(key === "stop"); // whoever takes a stopped robot may clear it
  });
});
