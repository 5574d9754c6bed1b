/**
 * Keeps one robot's video and channels up: offers, watches, offers again under the same peer id.
 *
 * The server only passes offer and answer on, so a connection that works outlives a server that goes away. Once there is
 * a server again it is offered anew all the same: the server looks after the rights of the peers that it knows. What
 * counts as working is that the robot was heard in the last seconds. A new offer replaces the old connection at the
 * robot; here the old picture stays until the new one is open, and counts as connected while it works.
 */

import type { ConsolePeerAnswer, PeerStop } from "@/protocol/generated";
import { backoff } from "@/lib/socket/backoff";
import { RefusedError, sentence } from "@/lib/socket/requests";
import { PeerLink, type PeerRobotMessage } from "@/features/teleop/peer-link";

export const WATCH_MS = 250;
const SILENT_MS = 2000;
const DOUBT_MS = 1000;
const ANSWER_LIMIT_MS = 12_000;
const OPEN_LIMIT_MS = 8000;
const LONGEST_WAIT_MS = 2500;
export const MOST_ATTEMPTS = 40;
/** Refusals that asking again does not mend; a change (network, server, the button) tries again all the same. */
const FINAL = new Set(["unknown_view", "not_found", "forbidden", "unauthorised"]);

const WORKING = "Live video and control.";

export type PeerPhase = "dialling" | "connected" | "redialling" | "refused" | "closed";

export interface PeerState {
  readonly phase: PeerPhase;
  readonly reason: string;
  readonly attempts: number;
}

export interface PeerOptions {
  readonly peerId: string;
  readonly views: readonly string[];
  readonly createConnection: (configuration: RTCConfiguration) => RTCPeerConnection;
  readonly iceServers: () => Promise<RTCIceServer[]>;
  /** Ask the server to pass the offer on. Rejects with RefusedError. */
  readonly sendOffer: (sdp: string) => Promise<unknown>;
  readonly sendClose: () => void;
  readonly now: () => number;
  readonly random: () => number;
  readonly onState: (state: PeerState) => void;
  readonly onMessage: (message: PeerRobotMessage) => void;
  readonly onTrack: (view: string, track: MediaStreamTrack) => void;
}

export class RobotPeer {
  readonly #options: PeerOptions;
  #live: PeerLink | null = null;
  #next: PeerLink | null = null;
  #state: PeerState = { phase: "closed", reason: "", attempts: 0 };
  #dial = 0;
  #silentTicks = 0;
  /** The live connection does not work any more, though its last picture may still be seen. */
  #isBroken = false;
  #isDialling = false;
  #answered: ((answer: ConsolePeerAnswer) => void) | null = null;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #doubt: ReturnType<typeof setTimeout> | undefined;
  #watch: ReturnType<typeof setInterval> | undefined;

  constructor(options: PeerOptions) {
    this.#options = options;
  }

  get state(): PeerState {
    return this.#state;
  }

  get link(): PeerLink | null {
    return this.#live;
  }

  start(): void {
    this.#watch = setInterval(() => this.#check(), WATCH_MS);
    this.#begin("Asking the robot for its video.");
  }

  stop(): void {
    const hadPeer = this.#live !== null || this.#next !== null;
    clearInterval(this.#watch);
    this.#abandonDial();
    this.#live?.close();
    this.#live = null;
    this.#isDialling = false;
    if (hadPeer) this.#options.sendClose();
    this.#show("closed", "");
  }

  /** Something changed that may mend a broken connection: the network, the robot, the operator's wish. */
  nudge(reason: string): void {
    if (this.#state.phase === "connected" && this.#options.now() - (this.#live?.heardMs ?? 0) < SILENT_MS / 2) return;
    this.renew(reason);
  }

  /** Offer again although all may be well: the server that passed the offer on is another one and knows nothing of it. */
  renew(reason: string): void {
    if (this.#state.phase === "closed") return;
    this.#begin(reason, 0);
  }

  /** The robot's answer, passed on by the server. */
  answer(message: ConsolePeerAnswer): void {
    if (message.peer_id === this.#options.peerId) this.#answered?.(message);
  }

  send(text: string): boolean {
    return this.#live?.send(text) ?? false;
  }

  stopRobot(message: PeerStop): boolean {
    return this.#live?.stop(message) ?? false;
  }

  #check(): void {
    if (this.#state.phase !== "connected" || this.#live === null) return;
    // Several looks in a row: after a hang of this page the messages of the meantime are still to come.
    const isSilent = this.#options.now() - this.#live.heardMs > SILENT_MS;
    this.#silentTicks = isSilent ? this.#silentTicks + 1 : 0;
    if (this.#silentTicks > 2) this.#broke("The robot fell silent. Connecting again.");
  }

  /** The live connection is gone: dial, unless that is under way. */
  #broke(reason: string): void {
    this.#isBroken = true;
    if (this.#isDialling) this.#showDialling(reason, this.#state.attempts);
    else this.#begin(reason);
  }

  #showDialling(reason: string, attempts: number): void {
    if (this.#live !== null && !this.#isBroken) this.#show("connected", WORKING, attempts);
    else this.#show(this.#live === null && attempts === 0 ? "dialling" : "redialling", reason, attempts);
  }

  #begin(reason: string, attempts = this.#state.attempts): void {
    this.#abandonDial();
    this.#silentTicks = 0;
    this.#isDialling = true;
    this.#showDialling(reason, attempts);
    const dial = this.#dial;
    this.#connect(dial).catch((error: unknown) => {
      if (dial === this.#dial) this.#failed(error);
    });
  }

  #abandonDial(): void {
    this.#dial += 1;
    clearTimeout(this.#retry);
    clearTimeout(this.#doubt);
    this.#doubt = undefined;
    this.#answered = null;
    this.#next?.close();
    this.#next = null;
  }

  async #connect(dial: number): Promise<void> {
    const { createConnection, iceServers, sendOffer, views, now, onMessage } = this.#options;
    const configuration = { iceServers: await iceServers(), bundlePolicy: "max-bundle" } as const;
    if (dial !== this.#dial) return;
    const tracks: [string, MediaStreamTrack][] = [];
    const open = new Promise<void>((resolve, reject) => {
      const next: PeerLink = new PeerLink(createConnection(configuration), views, {
        now,
        onMessage: (message) => onMessage(message),
        onTrack: (view, track) => tracks.push([view, track]),
        onOpen: resolve,
        onTrouble: (isSure) => {
          if (next === this.#live) this.#doubted(isSure);
          else if (isSure) reject(new RefusedError("ice_failed", "No way to the robot was found."));
        },
      });
      this.#next = next;
    });
    open.catch(() => undefined); // it is awaited below, unless something else fails before
    const next = this.#next;
    if (next === null) return;
    const sdp = await next.offer();
    if (dial !== this.#dial) return;
    const answer = this.#awaitAnswer();
    await Promise.all([sendOffer(sdp), answer]);
    const { sdp: answered = "", code = "", message = "" } = await answer;
    if (dial !== this.#dial) return;
    if (code || !answered) throw new RefusedError(code || "no_answer", sentence(message || "The robot refused the video"));
    await next.accept(answered);
    await limited(open, OPEN_LIMIT_MS, new RefusedError("ice_timed_out", "The robot answered, but no way to it was found."));
    if (dial === this.#dial) this.#opened(next, tracks);
  }

  #awaitAnswer(): Promise<ConsolePeerAnswer> {
    const answer = new Promise<ConsolePeerAnswer>((resolve) => (this.#answered = resolve));
    return limited(answer, ANSWER_LIMIT_MS, new RefusedError("no_answer", "The robot did not answer the offer of video."));
  }

  #opened(next: PeerLink, tracks: readonly [string, MediaStreamTrack][]): void {
    this.#live?.close();
    this.#live = next;
    this.#next = null;
    this.#answered = null;
    this.#isBroken = false;
    this.#isDialling = false;
    next.heardMs = this.#options.now();
    for (const [view, track] of tracks) this.#options.onTrack(view, track);
    this.#show("connected", WORKING, 0);
  }

  /** The browser doubts the live connection: `disconnected` may mend itself within a second. */
  #doubted(isSure: boolean): void {
    if (this.#state.phase !== "connected") return;
    if (isSure) this.#broke("The connection to the robot broke. Connecting again.");
    else this.#doubt ??= setTimeout(() => {
      this.#doubt = undefined;
      if (this.#live?.connection.connectionState !== "connected") this.#broke("The connection to the robot is interrupted. Connecting again.");
    }, DOUBT_MS);
  }

  #failed(error: unknown): void {
    const code = error instanceof RefusedError ? error.code : "failed";
    const reason = error instanceof Error ? error.message : "The connection could not be made.";
    const attempts = this.#state.attempts + 1;
    this.#abandonDial();
    if (FINAL.has(code) || attempts >= MOST_ATTEMPTS) {
      this.#isDialling = false;
      this.#show("refused", reason, attempts);
      return;
    }
    this.#showDialling(reason, attempts);
    const wait = Math.min(LONGEST_WAIT_MS, backoff(attempts - 1, this.#options.random()));
    this.#retry = setTimeout(() => this.#begin(reason), wait);
  }

  #show(phase: PeerPhase, reason: string, attempts = this.#state.attempts): void {
    this.#state = { phase, reason, attempts };
    this.#options.onState(this.#state);
  }
}

async function limited<T>(promise: Promise<T>, limitMs: number, error: Error): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(error), limitMs);
  });
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}
