/** Keeps the live link open while mounted, and listens to the browser's hints about network and visibility. */

import { useEffect } from "react";

import { ConsoleLink } from "@/lib/socket/console-link";
import type { ServerMessage } from "@/lib/socket/fleet-state";
import { useFleetStore } from "@/lib/socket/fleet-store";
import { useTailStore } from "@/lib/socket/run-tail";

function openSocket(): WebSocket {
  const scheme = window.location.protocol === "https:" ? "wss" : "ws";
  return new WebSocket(`${scheme}://${window.location.host}/ws/console`);
}

let current: ConsoleLink | null = null;
/** Kept beside the link: a page may ask before the link is there, since children mount first. */
let watched: string | null = null;

/** Try again at once instead of waiting for the next try. */
export function retryLink(): void {
  current?.retryNow();
}

/** Keep the newest rows of a run in the tail store while mounted. One page watches one run. */
export function useWatchedRun(runId: string): void {
  useEffect(() => {
    watched = runId;
    current?.watchRun(runId);
    return () => {
      watched = null;
      current?.watchRun(null);
      useTailStore.getState().reset();
    };
  }, [runId]);
}

function receive(message: ServerMessage, nowMs: number): void {
  if (message.type === "run_rows") useTailStore.getState().receive(message);
  else useFleetStore.getState().receive(message, nowMs);
}

export function useFleetLink(): void {
  useEffect(() => {
    const { setConnection, reset } = useFleetStore.getState();
    const link = new ConsoleLink({ open: openSocket, onMessage: receive, onConnection: setConnection });
    const online = () => link.retryNow();
    const offline = () => link.networkLost();
    const shown = () => {
      if (document.visibilityState === "visible") link.check();
    };
    current = link;
    link.watchRun(watched);
    window.addEventListener("online", online);
    window.addEventListener("offline", offline);
    document.addEventListener("visibilitychange", shown);
    link.start();
    return () => {
      window.removeEventListener("online", online);
      window.removeEventListener("offline", offline);
      document.removeEventListener("visibilitychange", shown);
      link.stop();
      current = null;
      reset();
    };
  }, []);
}
