/** Figures of the connection from getStats: loss, bit rate, codec, way and round trip. Differences between two looks. */

export interface ConnectionFigures {
  /** Share of video packets lost since the last look, in [0, 1]; null without packets. */
  readonly loss: number | null;
  readonly kbitPerS: number;
  readonly codec: string;
  /** "host", "srflx" or "relay" of the pair in use. */
  readonly way: string;
  /** Of the connection itself, by STUN; null if the browser has not measured it. */
  readonly rttMs: number | null;
}

interface Totals {
  readonly atMs: number;
  readonly lost: number;
  readonly received: number;
  readonly bytes: number;
}

type Report = Readonly<Record<string, unknown>>;
const numberOf = (value: unknown): number => (typeof value === "number" && Number.isFinite(value) ? value : 0);

export class StatsReader {
  #before: Totals | null = null;

  read(reports: Iterable<Report>, nowMs: number): ConnectionFigures {
    const all = [...reports];
    const videos = all.filter((report) => report.type === "inbound-rtp" && report.kind === "video");
    const sum = (field: string) => videos.reduce((total, report) => total + numberOf(report[field]), 0);
    const now: Totals = { atMs: nowMs, lost: sum("packetsLost"), received: sum("packetsReceived"), bytes: sum("bytesReceived") };
    const before = this.#before ?? now;
    this.#before = now;
    const lost = Math.max(0, now.lost - before.lost);
    const packets = lost + Math.max(0, now.received - before.received);
    const pair = all.find((report) => report.type === "candidate-pair" && report.nominated === true && report.state === "succeeded");
    const codec = all.find((report) => report.id === videos[0]?.codecId);
    const local = all.find((report) => report.id === pair?.localCandidateId);
    const seconds = (now.atMs - before.atMs) / 1000;
    return {
      loss: packets === 0 ? null : lost / packets,
      kbitPerS: seconds > 0 ? (Math.max(0, now.bytes - before.bytes) * 8) / 1000 / seconds : 0,
      codec: typeof codec?.mimeType === "string" ? codec.mimeType.replace("video/", "") : "",
      way: typeof local?.candidateType === "string" ? local.candidateType : "",
      rttMs: typeof pair?.currentRoundTripTime === "number" ? pair.currentRoundTripTime * 1000 : null,
    };
  }
}
