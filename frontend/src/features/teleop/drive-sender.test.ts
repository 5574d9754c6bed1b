import { afterEach, describe, expect, it, vi } from "vitest";

import type { Drive } from "@/protocol/generated";
import { DriveSender } from "@/features/teleop/drive-sender";
import { startTicking } from "@/features/teleop/ticker";

function sender() {
  const sent: Drive[] = [];
  const world = { now: 0, epoch: 7 as number | null, axes: [0.123456, 0], age: 40, canSend: true };
  const made = new DriveSender({
    now: () => world.now,
    epoch: () => world.epoch,
    read: () => world.axes,
    videoAgeMs: () => world.age,
    send: (text) => {
      if (world.canSend) sent.push(JSON.parse(text) as Drive);
      return world.canSend;
    },
  });
  const tick = (afterMs = 25) => {
    world.now += afterMs;
    made.tick();
  };
  return { made, world, sent, tick };
}

describe("DriveSender", () => {
  it("sends at rest too, numbered from 1, with the time at which the input was read", () => {
    const { sent, tick, world } = sender();
    tick();
    world.axes = [0, 0];
    tick();
    expect(sent).toEqual([
      { type: "drive", epoch: 7, seq: 1, sent_ms: 25, axes: [0.1235, 0], video_age_ms: 40 },
      { type: "drive", epoch: 7, seq: 2, sent_ms: 50, axes: [0, 0], video_age_ms: 40 },
    ]);
  });

  it("is silent without the lease, and counts on afterwards", () => {
    const { sent, tick, world } = sender();
    tick();
    world.epoch = null;
    tick();
    tick();
    world.epoch = 8;
    tick();
    expect(sent.map(({ epoch, seq }) => [epoch, seq])).toEqual([
      [7, 1],
      [8, 2],
    ]);
  });

  it("sends one command for the ticks that a hang piled up, and none before the keys of the meantime were heard", () => {
    const { sent, tick } = sender();
    tick();
    tick(800);
    for (let index = 0; index < 30; index += 1) tick(0.1);
    expect(sent).toHaveLength(1);
    tick(25);
    expect(sent).toHaveLength(2);
  });

  it("drops what the channel does not take, and never repeats its number", () => {
    const { made, sent, tick, world } = sender();
    world.canSend = false;
    tick();
    world.canSend = true;
    tick();
    expect(sent.map(({ seq }) => seq)).toEqual([2]);
    expect([made.sent, made.dropped]).toEqual([1, 1]);
  });

  it("always sends a number for the picture's age", () => {
    const { sent, tick, world } = sender();
    for (const age of [Number.POSITIVE_INFINITY, Number.NaN, -3]) {
      world.age = age;
      tick();
    }
    expect(sent.map(({ video_age_ms }) => video_age_ms)).toEqual([60_000, 60_000, 0]);
  });
});

describe("startTicking", () => {
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it("ticks 40 times a second without workers, until stopped", () => {
    vi.useFakeTimers();
    const tick = vi.fn();
    const stop = startTicking(tick);
    vi.advanceTimersByTime(1000);
    expect(tick).toHaveBeenCalledTimes(40);
    stop();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("leaves the pace to a worker where there is one", () => {
    const made: { onmessage: (() => void) | null; terminate: () => void }[] = [];
    vi.stubGlobal("Worker", class {
      onmessage: (() => void) | null = null;
      terminate = vi.fn();
      constructor() {
        made.push(this);
      }
    });
    const tick = vi.fn();
    const stop = startTicking(tick);
    made[0]?.onmessage?.();
    expect(tick).toHaveBeenCalledTimes(1);
    stop();
    expect(made[0]?.terminate).toHaveBeenCalledTimes(1);
  });
});
