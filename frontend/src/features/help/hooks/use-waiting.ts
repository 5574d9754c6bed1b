/** How many robots wait for a person; null while nobody knows. `isCut`: the server sent only the first of them. */

import { isWaiting } from "@/features/help/help-words";
import { useHelpQueue } from "@/lib/socket/help-store";

export interface Waiting {
  readonly count: number;
  readonly isCut: boolean;
}

export function useWaiting(): Waiting | null {
  const queue = useHelpQueue();
  if (queue === null) return null;
  return { count: queue.requests.filter(isWaiting).length, isCut: queue.total > queue.requests.length };
}
