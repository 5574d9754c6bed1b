/**
 * What the console knows of the fleet, and how each message changes it. Pure; the store in fleet-store.ts holds it.
 *
 * Cards are whole and the latest wins. A snapshot replaces everything, so a robot that vanished during an
 * interruption vanishes here too.
 */

import type { ConsoleServerFrame, RobotCard, RunCard } from "@/protocol/generated";
import { type Milliseconds, milliseconds } from "@/lib/units/quantity";

export type ServerMessage = ConsoleServerFrame[1];

export interface FleetState {
  /** False until the first snapshot; an empty fleet and an unknown one look different. */
  readonly isKnown: boolean;
  readonly robots: ReadonlyMap<string, RobotCard>;
  readonly run: RunCard | null;
  /** Server clock minus this browser's clock. */
  readonly clockOffset: Milliseconds;
  /** Grows when charts should be read again. */
  readonly metricsRevision: number;
  /** Grows when alerts should be read again. */
  readonly alertsRevision: number;
}

export const emptyFleet: FleetState = {
  isKnown: false,
  robots: new Map(),
  run: null,
  clockOffset: milliseconds(0),
  metricsRevision: 0,
  alertsRevision: 0,
};

/** Return the state after `message`, received at `nowMs` on the browser's clock. Faults and rows of runs change nothing here. */
export function applyMessage(state: FleetState, message: ServerMessage, nowMs: number): FleetState {
  switch (message.type) {
    case "snapshot":
      return {
        isKnown: true,
        robots: new Map(message.robots.map((robot) => [robot.robot_id, robot])),
        run: message.run,
        clockOffset: milliseconds(message.server_ms - nowMs),
        // After an interruption charts may have missed a change; on a page just opened they are being read anyway.
        metricsRevision: state.isKnown ? state.metricsRevision + 1 : state.metricsRevision,
        alertsRevision: state.isKnown ? state.alertsRevision + 1 : state.alertsRevision,
      };
    case "robots_changed": {
      const robots = new Map(state.robots);
      for (const robot of message.robots) robots.set(robot.robot_id, robot);
      return { ...state, robots, clockOffset: closer(state.clockOffset, message.server_ms - nowMs) };
    }
    case "robot_removed": {
      const robots = new Map(state.robots);
      robots.delete(message.robot_id);
      return { ...state, robots };
    }
    case "run_changed":
      return { ...state, run: message.run, clockOffset: closer(state.clockOffset, message.server_ms - nowMs) };
    case "metrics_changed":
      return { ...state, metricsRevision: state.metricsRevision + 1 };
    case "alerts_changed":
      return { ...state, alertsRevision: state.alertsRevision + 1 };
    case "run_rows": // kept in run-tail.ts
    case "help_queue": // kept in help-store.ts
    case "reply": // and those that follow are answers to the cockpit
    case "lease_lost":
    case "lease_asked":
    case "lease_offered":
    case "peer_answer":
    case "fault":
      return state;
  }
}

/** A message that waited on its way makes the server's clock look slow: the largest offset was delayed least. */
function closer(known: Milliseconds, seen: number): Milliseconds {
  return milliseconds(Math.max(known, seen));
}
