/**
 * The websocket behind the console: opens, watches, reopens. One instance lives as long as someone is signed in.
 *
 * Everything is passed in (socket, clock, randomness, timers come from the global scope so that tests fake them), and
 * everything it learns leaves through `onMessage` and `onConnection`. Each connection starts with a snapshot; a gap in
 * the sequence asks for a new one. The protocol has no answer to a ping, so a silent link is probed with Resync, whose
 * answer is a snapshot.
 */

import { PROTOCOL_VERSION, type ConsoleClientFrame, type ConsoleReply, type ConsoleServerFrame } from "@/protocol/generated";
import { backoff } from "@/lib/socket/backoff";
import { type Connection, closeReason, initialConnection, type Phase } from "@/lib/socket/connection";
import type { ServerMessage } from "@/lib/socket/fleet-state";
import { type Question, RefusedError, Requests } from "@/lib/socket/requests";

export const PING_EVERY_MS = 15_000;
export const PROBE_AFTER_MS = 10_000;
export const SILENT_AFTER_MS = 20_000;
const WATCH_EVERY_MS = 1000;
const OPEN_LIMIT_MS = 10_000;
const OFFLINE_AFTER_ATTEMPTS = 4;
/** Longest wait between tries while somebody watches or drives a robot: a lease is kept by coming back in time. */
export const HURRIED_WAIT_MS = 1500;
const REPLY_LIMIT_MS = 5000;

/** The part of WebSocket that is used. */
export type Socket = Pick<WebSocket, "send" | "close" | "readyState" | "onopen" | "onmessage" | "onclose">;

export interface ConsoleLinkOptions {
  readonly open: () => Socket;
  readonly onMessage: (message: ServerMessage, nowMs: number) => void;
  readonly onConnection: (connection: Connection) => void;
  readonly now?: () => number;
  readonly random?: () => number;
}

export class ConsoleLink {
  readonly #options: Required<ConsoleLinkOptions>;
  #socket: Socket | null = null;
  #connection: Connection = initialConnection;
  #attempt = 0;
  #sent = 0;
  #lastSeq: number | null = null;
  #isResyncing = false;
  #heardMs = 0;
  #pingedMs = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #watch: ReturnType<typeof setInterval> | undefined;
  #watchedRun: string | null = null;
  #isHurried = false;
  readonly #requests = new Requests();

  constructor(options: ConsoleLinkOptions) {
    this.#options = { now: Date.now, random: Math.random, ...options };
  }

  /** Open the link and keep it open until `stop`. */
  start(): void {
    this.#watch = setInterval(() => this.check(), WATCH_EVERY_MS);
    this.#connect();
  }

  stop(): void {
    clearInterval(this.#watch);
    clearTimeout(this.#retry);
    this.#drop();
  }

  /** Ask for the new rows of this run, and of no other; null: of none. Asked again on each new connection. */
  watchRun(runId: string | null): void {
    this.#watchedRun = runId;
    if (this.#lastSeq !== null) this.#send({ type: "watch_run", run_id: runId });
  }

  /** Send a question and wait for its reply. Rejects with RefusedError, at once while the link is down. */
  request(question: Question, limitMs = REPLY_LIMIT_MS): Promise<ConsoleReply> {
    if (this.#lastSeq === null) return Promise.reject(new RefusedError("not_connected", "There is no link to the server."));
    return this.#requests.ask(question, (request) => this.#send(request), limitMs);
  }

  /** Whether to come back quickly after a loss. Not for every console: all of them together would be a storm. */
  hurry(isHurried: boolean): void {
    this.#isHurried = isHurried;
  }

  /** Try again at once: the browser is back online, or someone pressed the button. */
  retryNow(): void {
    if (this.#socket !== null || this.#connection.phase === "outdated") return;
    clearTimeout(this.#retry);
    this.#connect();
  }

  /** The browser says that there is no network. */
  networkLost(): void {
    if (this.#socket === null) return;
    this.#drop();
    this.#reopenLater("offline", "This computer is offline.");
  }

  /** Ping, probe a silent link, give up on a dead one. Runs every second, and when a hidden page is shown again. */
  check(): void {
    if (this.#socket === null) return;
    const now = this.#options.now();
    const silence = now - this.#heardMs;
    const limit = this.#lastSeq === null ? OPEN_LIMIT_MS : SILENT_AFTER_MS;
    if (silence > limit) {
      this.#drop();
      this.#reopenLater("reconnecting", "The server has fallen silent.");
    } else if (this.#lastSeq !== null && silence > PROBE_AFTER_MS && !this.#isResyncing) {
      this.#resync();
    } else if (this.#lastSeq !== null && now - this.#pingedMs >= PING_EVERY_MS) {
      this.#pingedMs = now;
      this.#send({ type: "ping", clock_ms: now });
    }
  }

  #connect(): void {
    const socket = this.#options.open();
    this.#socket = socket;
    this.#lastSeq = null;
    this.#isResyncing = false;
    this.#sent = 0;
    this.#heardMs = this.#pingedMs = this.#options.now();
    socket.onmessage = (event: MessageEvent) => this.#receive(event.data);
    socket.onclose = (event: CloseEvent) => this.#closed(event.code);
  }

  #receive(data: unknown): void {
    const frame = parseFrame(data);
    if (frame === null) {
      this.#drop();
      this.#reopenLater("reconnecting", "The server sent something that is not understood.");
      return;
    }
    const [seq, message] = frame;
    const now = this.#options.now();
    this.#heardMs = now;
    if (message.type === "snapshot") {
      if (message.protocol !== PROTOCOL_VERSION) {
        this.#drop();
        this.#show("outdated", "The server was updated. Load this page again.");
        return;
      }
      this.#isResyncing = false;
      this.#attempt = 0;
      this.#show("connected", "Live.", now);
      if (this.#lastSeq === null && this.#watchedRun !== null) this.#send({ type: "watch_run", run_id: this.#watchedRun });
    } else if (message.type !== "fault" && (this.#lastSeq === null || seq !== this.#lastSeq + 1)) {
      this.#resync();
    }
    this.#lastSeq = seq;
    if (message.type === "reply") this.#requests.settle(message);
    this.#options.onMessage(message, now);
  }

  #resync(): void {
    if (this.#isResyncing) return;
    this.#isResyncing = true;
    this.#send({ type: "resync", last_seq: this.#lastSeq ?? 0 });
  }

  #send(body: ConsoleClientFrame[1]): void {
    this.#sent += 1;
    const frame: ConsoleClientFrame = [this.#sent, body];
    this.#socket?.send(JSON.stringify(frame));
  }

  #closed(code: number): void {
    this.#drop();
    if (code === 4401) {
      this.#show("signed-out", "You are signed out.");
      return;
    }
    this.#reopenLater("reconnecting", closeReason(code));
  }

  #reopenLater(phase: Phase, reason: string): void {
    const longest = this.#isHurried ? HURRIED_WAIT_MS : Number.POSITIVE_INFINITY;
    const wait = Math.min(longest, backoff(this.#attempt, this.#options.random()));
    this.#attempt += 1;
    this.#show(this.#attempt > OFFLINE_AFTER_ATTEMPTS ? "offline" : phase, reason);
    this.#retry = setTimeout(() => this.#connect(), wait);
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = null;
    if (socket === null) return;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close();
    this.#requests.abandon();
  }

  #show(phase: Phase, reason: string, heardMs = this.#connection.lastHeardMs): void {
    this.#connection = { phase, reason, lastHeardMs: phase === "connected" ? heardMs : this.#lastHeard() };
    this.#options.onConnection(this.#connection);
  }

  #lastHeard(): number | null {
    return this.#lastSeq === null ? this.#connection.lastHeardMs : this.#heardMs;
  }
}

/** Check the envelope only: both ends are generated from one source, and the snapshot states its version. */
function parseFrame(data: unknown): ConsoleServerFrame | null {
  try {
    const frame: unknown = JSON.parse(String(data));
    if (!Array.isArray(frame) || frame.length !== 2 || !Number.isInteger(frame[0])) return null;
    const body: unknown = frame[1];
    const isMessage = typeof body === "object" && body !== null && "type" in body && isKnownType(body.type);
    return isMessage ? (frame as unknown as ConsoleServerFrame) : null;
  } catch {
    return null;
  }
}

const KNOWN_TYPES: Readonly<Record<ServerMessage["type"], true>> = {
  snapshot: true,
  robots_changed: true,
  robot_removed: true,
  run_changed: true,
  metrics_changed: true,
  alerts_changed: true,
  run_rows: true,
  help_queue: true,
  reply: true,
  lease_lost: true,
  lease_asked: true,
  lease_offered: true,
  peer_answer: true,
  fault: true,
};

function isKnownType(type: unknown): type is ServerMessage["type"] {
  return typeof type === "string" && Object.hasOwn(KNOWN_TYPES, type);
}
