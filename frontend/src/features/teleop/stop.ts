/**
 * Stopping a robot from here: over the websocket and over both channels, under one number, so that it counts once.
 *
 * The websocket's answer is waited for and asked again a few times; the channels deliver by themselves. A stop made here
 * is no safety-rated emergency stop, and docs/safety.md says what it is instead.
 */

import type { ConsoleReply, PeerStop } from "@/protocol/generated";
import { randomId } from "@/lib/random-id";
import { type Question, RefusedError } from "@/lib/socket/requests";

const TRIES = 6;
const RETRY_MS = 500;

export type StopPhase = "none" | "sending" | "sent" | "failed";

export interface StopState {
  readonly phase: StopPhase;
  readonly stopId: string;
  /** What became of it, in words. */
  readonly detail: string;
}

export const noStop: StopState = { phase: "none", stopId: "", detail: "" };

interface StopOptions {
  readonly robotId: string;
  readonly ask: (question: Question) => Promise<ConsoleReply>;
  readonly stopPeer: (message: PeerStop) => boolean;
  readonly onState: (state: StopState) => void;
}

/** Stop the robot now. Settles when the server has answered or every try is spent; never rejects. */
export async function stopRobot({ robotId, ask, stopPeer, onState }: StopOptions, reason: string): Promise<void> {
  const stopId = randomId();
  const isOnPeer = stopPeer({ type: "stop", stop_id: stopId, reason });
  onState({ phase: "sending", stopId, detail: isOnPeer ? "Sent over the control channel." : "Sending over the server." });
  for (let attempt = 1; ; attempt += 1) {
    try {
      await ask({ type: "stop", robot_id: robotId, stop_id: stopId, reason });
      onState({ phase: "sent", stopId, detail: isOnPeer ? "Sent over server and control channel." : "Sent over the server." });
      return;
    } catch (error) {
      const why = error instanceof RefusedError ? error.message : "The server failed.";
      if (attempt >= TRIES) {
        const detail = isOnPeer ? `Sent over the control channel only. ${why}` : `Not sent. ${why} Use the robot's own stop.`;
        onState({ phase: isOnPeer ? "sent" : "failed", stopId, detail });
        return;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}
