/** The fleet in one line of counts. A count of what needs attention is coloured only when there is any. */

import { Hand, LifeBuoy, type LucideIcon } from "lucide-react";

import { useFleetCounts } from "@/features/fleet/hooks/use-fleet-counts";
import { cn } from "@/lib/class-names";
import { formatCount } from "@/lib/units/format";

export function FleetSummary() {
  const counts = useFleetCounts();
  return (
    <ul aria-label="Summary" className="flex flex-wrap items-baseline gap-x-5 gap-y-1">
      <Count value={counts?.total} word={counts?.total === 1 ? "robot" : "robots"} />
      <Count value={counts?.working} word="working" />
      <Count value={counts?.assisted} word="under control" icon={Hand} className="text-assist" />
      <Count value={counts?.attention} word={counts?.attention === 1 ? "needs attention" : "need attention"} icon={LifeBuoy} className="text-caution" />
      <Count value={counts?.pendingEpisodes} word={counts?.pendingEpisodes === 1 ? "episode to upload" : "episodes to upload"} />
    </ul>
  );
}

interface CountProps {
  /** Undefined while nobody knows. */
  readonly value: number | undefined;
  readonly word: string;
  readonly icon?: LucideIcon;
  readonly className?: string;
}

function Count({ value, word, icon: Icon, className }: CountProps) {
  const isMarked = value !== undefined && value > 0 && className !== undefined;
  return (
    <li className={cn("flex items-baseline gap-1.5 text-sm", isMarked ? className : "text-ink-muted")}>
      {isMarked && Icon ? <Icon aria-hidden className="size-3.5 self-center" /> : null}
      <span className={cn("numeric text-lg font-semibold", !isMarked && "text-ink")}>{value === undefined ? "–" : formatCount(value)}</span>
      {word}
    </li>
  );
}
