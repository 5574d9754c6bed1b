/**
 * Says in a word, always at the same place, that part of what the page shows could not be read again: it stays as it
 * was read last. In the bar, on a phone over the page's foot, so that nothing moves; a page that could read nothing at
 * all says so itself.
 */

import { notifyManager, type Query, type QueryCache, useQueryClient } from "@tanstack/react-query";
import { RefreshCwOff } from "lucide-react";
import { useCallback, useSyncExternalStore } from "react";

import { Button } from "@/components/ui/button";
import { Tooltip } from "@/components/ui/tooltip";
import { formatClock } from "@/lib/units/format";

/** Shown queries whose last reading failed and left what was read before. A next page that failed is its list's matter. */
const unrenewed = {
  type: "active",
  predicate: ({ state }: Query) => state.status === "error" && state.data !== undefined && state.fetchMeta?.fetchMore === undefined,
} as const;

function wordsOf(cache: QueryCache): string {
  const queries = cache.findAll(unrenewed);
  const [first] = queries;
  if (first === undefined) return "";
  const readMs = Math.min(...queries.map(({ state }) => state.dataUpdatedAt));
  return `Not read since ${formatClock(readMs)}: ${(first.state.error?.message ?? "").replace(/\.$/, "")}.`;
}

export function RenewalChip() {
  const client = useQueryClient();
  const cache = client.getQueryCache();
  const listen = useCallback((changed: () => void) => cache.subscribe(notifyManager.batchCalls(changed)), [cache]);
  const words = useSyncExternalStore(listen, () => wordsOf(cache));
  return (
    <div
      role="status"
      aria-label="What could not be read again"
      className="max-md:fixed max-md:inset-x-4 max-md:bottom-4 max-md:mx-auto max-md:w-fit max-md:rounded-md max-md:bg-surface max-md:shadow-overlay md:empty:-ml-3"
    >
      {words === "" ? null : (
        <Tooltip text={`${words} Press to try again.`} side="right">
          <Button variant="quiet" className="h-8 px-1.5 text-xs text-caution" onClick={() => void client.refetchQueries(unrenewed)}>
            <RefreshCwOff aria-hidden className="size-3.5" />
            Not renewed
            <span className="sr-only">. {words} Try again</span>
          </Button>
        </Tooltip>
      )}
    </div>
  );
}
