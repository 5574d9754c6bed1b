/** Keeps the live link open while mounted, and listens to the browser's hints about network and visibility. */

import { useEffect } from "react";

import { ConsoleLink } from "@/lib/socket/console-link";
import { useFleetStore } from "@/lib/socket/fleet-store";

function openSocket(): WebSocket {
  const scheme = window.location.protocol === "https:" ? "wss" : "ws";
  return new WebSocket(`${scheme}://${window.location.host}/ws/console`);
}

let current: ConsoleLink | null = null;

/** Try again at once instead of waiting for the next try. */
export function retryLink(): void {
  current?.retryNow();
}

export function useFleetLink(): void {
  useEffect(() => {
    const { receive, setConnection, reset } = useFleetStore.getState();
    const link = new ConsoleLink({ open: openSocket, onMessage: receive, onConnection: setConnection });
    const online = () => link.retryNow();
    const offline = () => link.networkLost();
    const shown = () => {
      if (document.visibilityState === "visible") link.check();
    };
    current = link;
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
