/** How many robots wait for a person, beside the name of the page; nothing when nobody waits. */

import { countText, isWaiting } from "@/features/help/help-words";
import { useHelpQueue } from "@/lib/socket/help-store";

export function HelpBadge() {
  const queue = useHelpQueue();
  const waiting = queue?.requests.filter(isWaiting).length ?? 0;
  if (queue === null || waiting === 0) return null;
  return (
    <span className="numeric ml-1.5 rounded-full bg-caution-tint px-1.5 text-xs leading-5 font-medium text-caution">
      {countText(waiting, queue.total > queue.requests.length)} <span className="sr-only">waiting</span>
    </span>
  );
}
