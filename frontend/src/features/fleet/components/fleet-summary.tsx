/** The fleet in one line of counts. A count of what needs attention is coloured only when there is any. */

import { Hand, LifeBuoy, type LucideIcon } from "lucide-react";
import { useMemo } from "react";

import { countFleet } from "@/features/fleet/fleet-view";
import { cn } from "@/lib/class-names";
import { useIsFleetKnown, useRobots } from "@/lib/socket/fleet-store";
import { formatCount } from "@/lib/units/format";

export function FleetSummary() {
  const robots = useRobots();
  const isKnown = useIsFleetKnown();
  const counts = useMemo(() => countFleet(robots.values()), [robots]);
  return (
    <ul aria-label="Summary" className="flex flex-wrap items-baseline gap-x-5 gap-y-1">
      <Count isKnown={isKnown} value={counts.total} word={counts.total === 1 ? "robot" : "robots"} />
      <Count isKnown={isKnown} value={counts.working} word="working" />
      <Count isKnown={isKnown} value={counts.assisted} word="under control" icon={Hand} className="text-assist" />
      <Count isKnown={isKnown} value={counts.attention} word={counts.attention === 1 ? "needs attention" : "need attention"} icon={LifeBuoy} className="text-caution" />
      <Count isKnown={isKnown} value={counts.pendingEpisodes} word={counts.pendingEpisodes === 1 ? "episode to upload" : "episodes to upload"} />
    </ul>
  );
}

interface CountProps {
  readonly isKnown: boolean;
  readonly value: number;
  readonly word: string;
  readonly icon?: LucideIcon;
  readonly className?: string;
}

function Count({ isKnown, value, word, icon: Icon, className }: CountProps) {
  const isMarked = value > 0 && className !== undefined;
  return (
    <li className={cn("flex items-baseline gap-1.5 text-sm", isMarked ? className : "text-ink-muted")}>
      {isMarked && Icon ? <Icon aria-hidden className="size-3.5 self-center" /> : null}
      <span className={cn("numeric text-lg font-semibold", !isMarked && "text-ink")}>{isKnown ? formatCount(value) : "–"}</span>
      {word}
    </li>
  );
}
