/** What the server says to this tab alone, unasked: about its leases and its peers. use-fleet-link.ts fills it. */

import type { ServerMessage } from "@/lib/socket/fleet-state";

export type ConsoleEvent = Extract<ServerMessage, { readonly type: "lease_lost" | "lease_asked" | "lease_offered" | "peer_answer" }>;

const listeners = new Set<(event: ConsoleEvent) => void>();

/** Hear every event from now on. Returns how to stop. */
export function onConsoleEvent(listener: (event: ConsoleEvent) => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Pass an event on; false if the message is none. */
export function passOn(message: ServerMessage): boolean {
  switch (message.type) {
    case "lease_lost":
    case "lease_asked":
    case "lease_offered":
    case "peer_answer":
      for (const listener of [...listeners]) listener(message);
      return true;
    default:
      return false;
  }
}
