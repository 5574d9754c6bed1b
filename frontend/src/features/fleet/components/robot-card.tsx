/** One robot at a glance. Every row keeps its height whatever the robot does, so that a wall of cards stays still. */

import { memo } from "react";

import { Chip } from "@/components/ui/chip";
import { CockpitLink } from "@/features/fleet/components/cockpit-link";
import { EpisodeProgress } from "@/features/fleet/components/episode-progress";
import { RobotFigures } from "@/features/fleet/components/robot-figures";
import { Thumbnail } from "@/features/fleet/components/thumbnail";
import { needsAttention, type RobotRow } from "@/features/fleet/fleet-view";
import { stopText } from "@/features/fleet/format-robot";
import type { RobotStatus } from "@/features/fleet/robot-status";
import { cn } from "@/lib/class-names";
import type { RobotCard as Robot } from "@/protocol/generated";

interface RobotCardProps {
  readonly row: RobotRow;
  readonly onOpen: (robotId: string) => void;
}

// The edge repeats the chip's meaning for a look from afar; ordinary robots have none.
const edges: Readonly<Record<RobotStatus["tone"], string>> = {
  neutral: "border-line",
  assist: "border-assist",
  caution: "border-caution",
  fault: "border-fault",
};

export const RobotCard = memo(
  function RobotCard({ row: { robot, status }, onOpen }: RobotCardProps) {
    return (
      <article
        aria-label={robot.name}
        className={cn("flex flex-col overflow-hidden rounded-lg border bg-surface", edges[status.tone])}
      >
        <div className="flex gap-3 p-3 pb-2">
          <Thumbnail robot={robot} className="w-24 rounded-md" />
          <div className="flex min-w-0 grow flex-col">
            <div className="flex items-start justify-between gap-2">
              <h3 className="min-w-0 grow text-base font-semibold">
                <button
                  type="button"
                  aria-label={`${robot.name}, details`}
                  onClick={() => onOpen(robot.robot_id)}
                  className="-mx-1 -my-0.5 block max-w-full truncate rounded px-1 py-0.5 text-left hover:underline"
                >
                  {robot.name}
                </button>
              </h3>
              <CockpitLink robot={robot} />
            </div>
            <TaskLines robot={robot} status={status} />
          </div>
        </div>
        <div className="px-3 pb-3">
          <EpisodeProgress robot={robot}>
            <Chip icon={status.icon} tone={status.tone}>
              {status.text}
            </Chip>
          </EpisodeProgress>
        </div>
        <dl className="mt-auto grid grid-cols-2 gap-x-3 gap-y-1.5 border-t border-line bg-raised px-3 py-2">
          <RobotFigures robot={robot} />
        </dl>
      </article>
    );
  },
  (before, after) => before.row.robot === after.row.robot && before.onOpen === after.onOpen,
);

function TaskLines({ robot, status }: { readonly robot: Robot; readonly status: RobotStatus }) {
  const isDetail = needsAttention(status) && robot.detail !== "";
  const text = stopText(robot) || (isDetail ? robot.detail : robot.policy_hold || robot.instruction);
  return (
    <>
      <p className="mt-0.5 h-4.5 truncate text-sm">{robot.task || "No task"}</p>
      <p className="mt-1 line-clamp-3 h-12 text-xs text-ink-muted">{text}</p>
    </>
  );
}
