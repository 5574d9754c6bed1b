/** How many robots wait for a person, beside the name of the page; nothing when nobody waits. */

import { countText } from "@/features/help/help-words";
import { useWaiting } from "@/features/help/hooks/use-waiting";

export function HelpBadge() {
  const waiting = useWaiting();
  if (waiting === null || waiting.count === 0) return null;
  return (
    <span className="numeric ml-1.5 rounded-full bg-caution-tint px-1.5 text-xs leading-5 font-medium text-caution">
      {countText(waiting.count, waiting.isCut)} <span className="sr-only">waiting</span>
    </span>
  );
}
