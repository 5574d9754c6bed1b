/**
 * Where the time between the camera and the screen goes, frame by frame.
 *
 * The robot says when a frame was filmed and encoded (FrameTimes, its clock); the browser when its last packet came,
 * when it was decoded and shown (requestVideoFrameCallback). The RTP timestamp joins the two, the offset that the robot
 * measured (Feedback.offset_ms) their clocks; its error is at most half the round trip, and it is in "network" alone.
 */

import type { FrameTimes } from "@/protocol/generated";

const KEPT = 60;
const WAITING = 120;

/** Milliseconds of each stage, in the order of the way. */
export interface Stages {
  /** From the shutter until the encoder was done. */
  readonly encode: number;
  readonly network: number;
  readonly jitterBuffer: number;
  readonly decode: number;
}

export interface Latency {
  readonly stages: Stages;
  readonly totalMs: number;
  readonly p95Ms: number;
  readonly n: number;
}

/** What requestVideoFrameCallback knows of a frame. */
export type SeenFrame = Pick<VideoFrameCallbackMetadata, "presentationTime" | "receiveTime" | "processingDuration" | "rtpTimestamp">;

export class FrameLedger {
  readonly #sent = new Map<number, FrameTimes>();
  readonly #seen = new Map<number, SeenFrame>();
  #recent: Stages[] = [];
  /** Browser clock minus robot clock, ms. */
  offsetMs: number | null = null;

  sent(times: FrameTimes): void {
    const seen = this.#seen.get(times.rtp);
    if (seen === undefined) keep(this.#sent, times.rtp, times);
    else this.#join(times, seen);
    this.#seen.delete(times.rtp);
  }

  seen(frame: SeenFrame): void {
    if (frame.rtpTimestamp === undefined) return;
    const times = this.#sent.get(frame.rtpTimestamp);
    if (times === undefined) keep(this.#seen, frame.rtpTimestamp, frame);
    else this.#join(times, frame);
    this.#sent.delete(frame.rtpTimestamp);
  }

  /** Medians of the last frames; null until there is one. */
  latency(): Latency | null {
    if (this.#recent.length === 0) return null;
    const of = (pick: (stages: Stages) => number, share: number) => quantile(this.#recent.map(pick), share);
    const stages: Stages = {
      encode: of((each) => each.encode, 0.5),
      network: of((each) => each.network, 0.5),
      jitterBuffer: of((each) => each.jitterBuffer, 0.5),
      decode: of((each) => each.decode, 0.5),
    };
    return { stages, totalMs: of(total, 0.5), p95Ms: of(total, 0.95), n: this.#recent.length };
  }

  #join(times: FrameTimes, seen: SeenFrame): void {
    if (this.offsetMs === null || seen.receiveTime === undefined) return;
    const inBrowser = Math.max(0, seen.presentationTime - seen.receiveTime);
    const decode = Math.min(inBrowser, (seen.processingDuration ?? 0) * 1000);
    const stages: Stages = {
      encode: Math.max(0, times.encoded_ms - times.captured_ms),
      network: Math.max(0, seen.receiveTime - (times.encoded_ms + this.offsetMs)),
      jitterBuffer: inBrowser - decode,
      decode,
    };
    this.#recent = [...this.#recent.slice(1 - KEPT), stages];
  }
}

const total = (stages: Stages): number => stages.encode + stages.network + stages.jitterBuffer + stages.decode;

function keep<T>(map: Map<number, T>, key: number, value: T): void {
  map.set(key, value);
  const oldest = map.keys().next();
  if (map.size > WAITING && !oldest.done) map.delete(oldest.value);
}

/** The value below which `share` of the values lie; they are few. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}
