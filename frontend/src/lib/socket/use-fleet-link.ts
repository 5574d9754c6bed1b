/** Keeps the live link open while mounted, and listens to the browser's hints about network and visibility. */

import { useEffect } from "react";

import type { ConsoleReply } from "@/protocol/generated";
import { passOn } from "@/lib/socket/console-events";
import { ConsoleLink } from "@/lib/socket/console-link";
import type { ServerMessage } from "@/lib/socket/fleet-state";
import { useFleetStore } from "@/lib/socket/fleet-store";
import { type Question, RefusedError } from "@/lib/socket/requests";
import { useHelpStore } from "@/lib/socket/help-store";
import { useTailStore } from "@/lib/socket/run-tail";
import { tabId } from "@/lib/socket/tab-id";

function openSocket(): WebSocket {
  const scheme = window.location.protocol === "https:" ? "wss" : "ws";
  return new WebSocket(`${scheme}://${window.location.host}/ws/console?tab=${tabId()}`);
}

let current: ConsoleLink | null = null;
/** Kept beside the link: a page may ask before the link is there, since children mount first. */
let watched: string | null = null;
let hurrying = 0;

/** Try again at once instead of waiting for the next try. */
export function retryLink(): void {
  current?.retryNow();
}

/** Ask the server and wait for its reply. Rejects with RefusedError. */
export function askServer(question: Question, limitMs?: number): Promise<ConsoleReply> {
  return current?.request(question, limitMs) ?? Promise.reject(new RefusedError("not_connected", "There is no link to the server."));
}

/** Come back quickly after a loss while mounted: somebody watches a robot here. */
export function useHurriedLink(): void {
  useEffect(() => {
    hurrying += 1;
    current?.hurry(true);
    return () => {
      hurrying -= 1;
      current?.hurry(hurrying > 0);
    };
  }, []);
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
  if (passOn(message)) return;
  if (message.type === "run_rows") useTailStore.getState().receive(message);
  else if (message.type === "help_queue") useHelpStore.getState().receive(message);
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
    link.hurry(hurrying > 0);
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
      useHelpStore.getState().reset();
    };
  }, []);
}
