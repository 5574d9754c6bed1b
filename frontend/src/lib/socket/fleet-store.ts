/**
 * The store that components read the live fleet from, keyed by robot so that a card renders only when it changed.
 *
 * Written by the link alone (use-fleet-link.ts). Pages outside this folder call the hooks below.
 */

import { create } from "zustand";

import type { RobotCard, RunCard } from "@/protocol/generated";
import { type Connection, initialConnection } from "@/lib/socket/connection";
import { applyMessage, emptyFleet, type FleetState, type ServerMessage } from "@/lib/socket/fleet-state";
import type { Milliseconds } from "@/lib/units/quantity";

interface FleetStore {
  readonly fleet: FleetState;
  readonly connection: Connection;
  readonly receive: (message: ServerMessage, nowMs: number) => void;
  readonly setConnection: (connection: Connection) => void;
  readonly reset: () => void;
}

export const useFleetStore = create<FleetStore>()((set) => ({
  fleet: emptyFleet,
  connection: initialConnection,
  receive: (message, nowMs) => set((state) => ({ fleet: applyMessage(state.fleet, message, nowMs) })),
  setConnection: (connection) => set({ connection }),
  reset: () => set({ fleet: emptyFleet, connection: initialConnection }),
}));

export const useConnection = (): Connection => useFleetStore((store) => store.connection);
export const useRobots = (): ReadonlyMap<string, RobotCard> => useFleetStore((store) => store.fleet.robots);
export const useRun = (): RunCard | null => useFleetStore((store) => store.fleet.run);
export const useIsFleetKnown = (): boolean => useFleetStore((store) => store.fleet.isKnown);
export const useClockOffset = (): Milliseconds => useFleetStore((store) => store.fleet.clockOffset);
export const useAlertsRevision = (): number => useFleetStore((store) => store.fleet.alertsRevision);
export const useMetricsRevision = (): number => useFleetStore((store) => store.fleet.metricsRevision);
