/** A session of this tab with one robot, connected while the component is there. */

import { useEffect, useState, useSyncExternalStore } from "react";

import { onConsoleEvent } from "@/lib/socket/console-events";
import { useFleetStore } from "@/lib/socket/fleet-store";
import { askServer } from "@/lib/socket/use-fleet-link";
import { readIceServers } from "@/features/teleop/api/ice-servers";
import type { RobotRecord } from "@/features/teleop/api/robot";
import { type CockpitView, CockpitSession, type SessionDeps } from "@/features/teleop/cockpit-session";
import { currentGamepad } from "@/features/teleop/input-listeners";
import { startTicking } from "@/features/teleop/ticker";

const deps: SessionDeps = {
  ask: askServer,
  onEvent: onConsoleEvent,
  onReconnect: (listener) =>
    useFleetStore.subscribe((state, before) => {
      if (state.connection.phase === "connected" && before.connection.phase !== "connected") listener();
    }),
  serverNow: () => Date.now() + useFleetStore.getState().fleet.clockOffset,
  iceServers: readIceServers,
  createConnection: (configuration) => new RTCPeerConnection(configuration),
  gamepad: currentGamepad,
  startTicking,
  now: () => performance.now(),
};

/** The session for as long as the component is mounted; another robot needs another component (a key). */
export function useCockpitSession(record: RobotRecord): CockpitSession {
  const [session] = useState(() => new CockpitSession(record, deps));
  useEffect(() => {
    const stop = session.start();
    const network = () => session.redial("The network changed. Connecting again.");
    window.addEventListener("online", network);
    return () => {
      window.removeEventListener("online", network);
      stop();
    };
  }, [session]);
  return session;
}

export const useCockpitView = (session: CockpitSession): CockpitView =>
  useSyncExternalStore(
    (listener) => session.subscribe(listener),
    () => session.view,
  );
