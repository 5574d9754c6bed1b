/**
 * A query that is read again when the server says that something changed, under one key: what was read stays while it
 * is read again, and when that fails. app/renewal-chip.tsx says so then.
 */

import type { RefetchOptions } from "@tanstack/react-query";
import { useEffect, useRef } from "react";

import { useThrottled } from "@/hooks/use-throttled";
import { milliseconds } from "@/lib/units/quantity";

// Episodes of forty robots end several times a second; what is read again every three seconds is live enough.
const AT_MOST_EVERY = milliseconds(3000);

interface Query {
  readonly isFetching: boolean;
  readonly refetch: (options?: RefetchOptions) => Promise<unknown>;
}

/** Return `query`. `revision`: changes when it should be read again; never while it is being read, so a slow one ends. */
export function useRenewed<Q extends Query>(query: Q, revision: number, isEnabled = true): Q {
  const wanted = useThrottled(revision, AT_MOST_EVERY);
  const asked = useRef(wanted);
  const { isFetching, refetch } = query;
  useEffect(() => {
    if (!isEnabled || isFetching || asked.current === wanted) return;
    asked.current = wanted;
    // Whatever else shows the same query asks in this very moment too: one request is enough.
    void refetch({ cancelRefetch: false });
  }, [isEnabled, isFetching, refetch, wanted]);
  return query;
}
