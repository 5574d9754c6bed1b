/** Step of the episode under way; keeps its height between episodes. */

import { Progress } from "@/components/ui/progress";
import { isInEpisode } from "@/features/fleet/format-robot";
import { formatCount } from "@/lib/units/format";
import type { RobotCard } from "@/protocol/generated";

export function EpisodeProgress({ robot }: { readonly robot: RobotCard }) {
  const isRunning = isInEpisode(robot);
  return (
    <div>
      <p className="label numeric mb-1 flex justify-between gap-2">
        <span className="truncate">{isRunning ? "Episode" : "Between episodes"}</span>
        {isRunning ? (
          <span className="whitespace-nowrap">
            step {formatCount(robot.step)} / {formatCount(robot.max_steps)}
          </span>
        ) : null}
      </p>
      <Progress
        label={`Episode progress of ${robot.name}`}
        value={isRunning ? Math.min(robot.step, robot.max_steps) : 0}
        max={isRunning ? robot.max_steps : 1}
      />
    </div>
  );
}
