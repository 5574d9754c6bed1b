/** To the robot's cockpit; says what can be done there: take over, or watch while somebody else has it. */

import { Link } from "react-router";

import type { RobotCard } from "@/protocol/generated";

export function CockpitLink({ robot }: { readonly robot: RobotCard }) {
  const isFree = robot.is_online && robot.lease?.source !== "person" && !robot.stop && robot.mode !== "stopped";
  const word = isFree ? "Take over" : "Watch";
  return (
    <Link
      to={`/teleop/${robot.robot_id}`}
      aria-label={`${word}: cockpit of ${robot.name}`}
      data-testid="cockpit-link"
      className="inline-flex h-6 shrink-0 items-center self-start rounded-md border border-line-strong px-2 text-xs whitespace-nowrap hover:bg-raised"
    >
      {word}
    </Link>
  );
}
