/** The state of the live link as the console shows it, with a reason in words. */

export type Phase = "connecting" | "connected" | "reconnecting" | "offline" | "signed-out" | "outdated";

export interface Connection {
  readonly phase: Phase;
  readonly reason: string;
  /** Browser clock, ms: when the link was last in order; null before the first snapshot. */
  readonly lastHeardMs: number | null;
}

export const initialConnection: Connection = { phase: "connecting", reason: "Opening the live link.", lastHeardMs: null };

/** The reason for a close code of /ws/console; 4xxx are the server's own. */
export function closeReason(code: number): string {
  switch (code) {
    case 1000:
    case 1001:
      return "The server closed the link.";
    case 1012:
      return "The server is restarting.";
    case 4400:
      return "The server did not understand this console.";
    case 4408:
      return "The server heard nothing from this console.";
    case 4429:
      return "This console read too slowly.";
    default:
      return "The server cannot be reached.";
  }
}
