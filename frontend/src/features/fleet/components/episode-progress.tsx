/** Step of the episode under way, with something before it on the same line; keeps its height between episodes. */

import type { ReactNode } from "react";

import { Progress } from "@/components/ui/progress";
import { isInEpisode } from "@/features/fleet/format-robot";
import { formatCount } from "@/lib/units/format";
import type { RobotCard } from "@/protocol/generated";

interface EpisodeProgressProps {
  readonly robot: RobotCard;
  readonly children: ReactNode;
}

export function EpisodeProgress({ robot, children }: EpisodeProgressProps) {
  const isRunning = isInEpisode(robot);
  return (
    <div>
      <div className="mb-2 flex h-6 items-center justify-between gap-3">
        {children}
        <span className="label numeric whitespace-nowrap">
          {isRunning ? `step ${formatCount(robot.step)} / ${formatCount(robot.max_steps)}` : null}
        </span>
      </div>
      <Progress
        label={`Episode progress of ${robot.name}`}
        value={isRunning ? Math.min(robot.step, robot.max_steps) : 0}
        max={isRunning ? robot.max_steps : 1}
      />
    </div>
  );
}
