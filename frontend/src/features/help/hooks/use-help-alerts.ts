/** Sounds for new requests and counts those that wait in the tab's title, on whatever page the user is. */

import { useEffect, useRef } from "react";

import { useAlertSettings } from "@/features/help/alert-settings";
import { beep } from "@/features/help/beep";
import { isWaiting } from "@/features/help/help-words";
import { useTitleBadge } from "@/hooks/use-page-title";
import { useHelpQueue } from "@/lib/socket/help-store";

/** A burst of requests is one tone. */
const QUIET_MS = 3000;

export function useHelpAlerts(): void {
  const queue = useHelpQueue();
  const { isSoundOn, isTitleOn } = useAlertSettings();
  const known = useRef<ReadonlySet<string> | null>(null);
  const soundedMs = useRef(-Infinity);
  const waiting = queue?.requests.filter(isWaiting) ?? [];
  useTitleBadge(isTitleOn ? waiting.length : 0);
  useEffect(() => {
    if (queue === null) return;
    const before = known.current;
    const open = queue.requests.filter(isWaiting);
    known.current = new Set(queue.requests.map((card) => card.request_id));
    // What waited already when the page was opened is on it, and no news.
    const isNew = before !== null && open.some((card) => !before.has(card.request_id));
    if (!isSoundOn || !isNew || Date.now() - soundedMs.current < QUIET_MS) return;
    soundedMs.current = Date.now();
    void beep();
  }, [queue, isSoundOn]);
}
