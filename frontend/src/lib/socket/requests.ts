/**
 * Questions to the server over the live link, each with one answer, a code, or a time limit.
 *
 * Used by ConsoleLink alone. Nothing is kept for later: what is asked while the link is down is refused at once,
 * because a stop or a lease that is granted a minute after it was asked for is worse than none.
 */

import type { ConsoleClientFrame, ConsoleReply } from "@/protocol/generated";
import { randomId } from "@/lib/random-id";

const AT_ONCE = 64;

export type ConsoleRequest = Extract<ConsoleClientFrame[1], { readonly request_id: string }>;
type WithoutId<T> = T extends unknown ? Omit<T, "request_id"> : never;
/** A request before it has its number. */
export type Question = WithoutId<ConsoleRequest>;

/** The server's refusal with its code, or `not_connected`, `link_lost`, `timed_out`, `busy`, made here. */
export class RefusedError extends Error {
  override name = "RefusedError";
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

interface Open {
  readonly resolve: (reply: ConsoleReply) => void;
  readonly reject: (error: RefusedError) => void;
  readonly timer: ReturnType<typeof setTimeout>;
}

export class Requests {
  readonly #open = new Map<string, Open>();

  /** Number the question, hand it to `send`, and wait for its reply. Rejects with RefusedError. */
  ask(question: Question, send: (request: ConsoleRequest) => void, limitMs: number): Promise<ConsoleReply> {
    if (this.#open.size >= AT_ONCE) return Promise.reject(new RefusedError("busy", "Too many questions are open."));
    const id = randomId();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#open.delete(id);
        reject(new RefusedError("timed_out", `The server did not answer within ${Math.round(limitMs / 1000)} s.`));
      }, limitMs);
      this.#open.set(id, { resolve, reject, timer });
      send({ ...question, request_id: id });
    });
  }

  /** A reply that nobody waits for any more is dropped. */
  settle(reply: ConsoleReply): void {
    const found = this.#open.get(reply.request_id);
    if (found === undefined) return;
    clearTimeout(found.timer);
    this.#open.delete(reply.request_id);
    if (reply.code) found.reject(new RefusedError(reply.code, sentence(reply.message ?? reply.code)));
    else found.resolve(reply);
  }

  /** The link is gone: whether the server heard the question is not known. */
  abandon(): void {
    for (const { reject, timer } of this.#open.values()) {
      clearTimeout(timer);
      reject(new RefusedError("link_lost", "The link to the server was lost before it answered."));
    }
    this.#open.clear();
  }
}

/** Messages of the server are lower-case clauses; here they stand alone. */
export function sentence(text: string): string {
  const trimmed = text.trim();
  if (trimmed === "") return "";
  return trimmed.charAt(0).toUpperCase() + trimmed.slice(1) + (/[.!?]$/.test(trimmed) ? "" : ".");
}
