/**
 * This tab's lease of one robot: asked for, renewed in time, lost with a reason.
 *
 * The server decides who holds it and the robot checks it again with every command; what is kept here only decides what
 * is sent and shown. A link that is down loses nothing by itself: the lease is renewed as soon as it is back, and counts
 * as lost here when its time is up.
 */

import type { ConsoleLease, ConsoleReply } from "@/protocol/generated";
import type { ConsoleEvent } from "@/lib/socket/console-events";
import { type Question, RefusedError } from "@/lib/socket/requests";

const RETRY_MS = 500;
/** Refusals made on this side of the link: the server has not spoken. */
const UNHEARD = new Set(["not_connected", "link_lost", "timed_out", "busy"]);

export interface LeaseState {
  readonly lease: ConsoleLease | null;
  readonly isAsking: boolean;
  /** Why the last one ended against the operator's wish; "" otherwise. */
  readonly lostBecause: string;
  /** Who would like to have it. */
  readonly askedBy: string | null;
  /** The holder offers it to this user: to be taken from that epoch. */
  readonly offered: { readonly epoch: number; readonly by: string } | null;
}

export const noLease: LeaseState = { lease: null, isAsking: false, lostBecause: "", askedBy: null, offered: null };

interface LeaseOptions {
  readonly robotId: string;
  readonly ask: (question: Question) => Promise<ConsoleReply>;
  /** The server's clock, Unix ms. */
  readonly serverNow: () => number;
  readonly onState: (state: LeaseState) => void;
}

export class LeaseKeeper {
  readonly #options: LeaseOptions;
  #state: LeaseState = noLease;
  #renewal: ReturnType<typeof setTimeout> | undefined;
  #isRenewing = false;

  constructor(options: LeaseOptions) {
    this.#options = options;
  }

  get state(): LeaseState {
    return this.#state;
  }

  /** The epoch to drive with; null without a lease in force. */
  get epoch(): number | null {
    const { lease } = this.#state;
    return lease !== null && this.#options.serverNow() < lease.expires_ms ? lease.epoch : null;
  }

  acquire(reason: string): Promise<void> {
    return this.#obtain({ type: "acquire", robot_id: this.#options.robotId, reason });
  }

  take(fromEpoch: number, reason: string): Promise<void> {
    return this.#obtain({ type: "take", robot_id: this.#options.robotId, from_epoch: fromEpoch, reason });
  }

  async release(reason: string): Promise<void> {
    const { lease } = this.#state;
    if (lease === null) return;
    await this.#options.ask({ type: "release", robot_id: lease.robot_id, epoch: lease.epoch, reason });
    this.#end("");
  }

  async askHolder(epoch: number): Promise<void> {
    await this.#options.ask({ type: "ask", robot_id: this.#options.robotId, epoch });
  }

  async transfer(toUser: string): Promise<void> {
    const { lease } = this.#state;
    if (lease === null) throw new RefusedError("no_lease", "You do not drive this robot.");
    await this.#options.ask({ type: "transfer", robot_id: lease.robot_id, epoch: lease.epoch, to_user: toUser });
    this.#show({ askedBy: null });
  }

  hear(event: ConsoleEvent): void {
    if (event.type === "peer_answer" || event.robot_id !== this.#options.robotId) return;
    const isOwn = event.epoch === this.#state.lease?.epoch;
    if (event.type === "lease_lost" && isOwn) this.#end(`${event.taken_by} took over.`);
    else if (event.type === "lease_asked" && isOwn) this.#show({ askedBy: event.by });
    else if (event.type === "lease_offered") this.#show({ offered: { epoch: event.epoch, by: event.by } });
  }

  /** Renew now: the link is back. */
  renewNow(): void {
    if (this.#state.lease !== null) this.#schedule(0);
  }

  /** An offer is over: its epoch is in force no more. */
  forgetOffer(): void {
    if (this.#state.offered !== null) this.#show({ offered: null });
  }

  /** Stop renewing without a word: the page is closing, and a release would set the policy going. */
  abandon(): void {
    clearTimeout(this.#renewal);
    this.#state = noLease;
  }

  async #obtain(question: Question): Promise<void> {
    this.#show({ isAsking: true, lostBecause: "" });
    try {
      const { lease } = await this.#options.ask(question);
      if (!lease) throw new RefusedError("no_lease", "The server did not give you control.");
      this.#show({ lease, askedBy: null, offered: null });
      this.#schedule(lease.renew_s * 1000);
    } finally {
      this.#show({ isAsking: false });
    }
  }

  #schedule(afterMs: number): void {
    clearTimeout(this.#renewal);
    this.#renewal = setTimeout(() => void this.#renew(), afterMs);
  }

  async #renew(): Promise<void> {
    const { lease } = this.#state;
    if (lease === null || this.#isRenewing) return;
    this.#isRenewing = true;
    try {
      const reply = await this.#options.ask({ type: "renew", robot_id: lease.robot_id, epoch: lease.epoch });
      if (this.#state.lease?.epoch !== lease.epoch) return;
      if (reply.lease) this.#show({ lease: reply.lease });
      this.#schedule((reply.lease ?? lease).renew_s * 1000);
    } catch (error) {
      if (this.#state.lease?.epoch === lease.epoch) this.#notRenewed(lease, error);
    } finally {
      this.#isRenewing = false;
    }
  }

  #notRenewed(lease: ConsoleLease, error: unknown): void {
    const isUnheard = error instanceof RefusedError && UNHEARD.has(error.code);
    if (!isUnheard) this.#end(error instanceof Error ? error.message : "The server did not renew your control.");
    else if (this.#options.serverNow() >= lease.expires_ms) this.#end("Your control ran out while the server was out of reach.");
    else this.#schedule(RETRY_MS);
  }

  #end(because: string): void {
    clearTimeout(this.#renewal);
    this.#show({ lease: null, askedBy: null, lostBecause: because });
  }

  #show(change: Partial<LeaseState>): void {
    this.#state = { ...this.#state, ...change };
    this.#options.onState(this.#state);
  }
}
