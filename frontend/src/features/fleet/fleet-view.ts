/** Which robots are shown and in which order; counts for the summary. Pure, and kept in the URL by use-fleet-view.ts. */

import { type RobotStatus, type StatusKey, statusOf, statusRank } from "@/features/fleet/robot-status";
import type { RobotCard } from "@/protocol/generated";

export const STATUS_FILTERS = [
  { value: "all", label: "Every status" },
  { value: "attention", label: "Needs attention" },
  { value: "assisted", label: "Under control" },
  { value: "working", label: "Working" },
  { value: "paused", label: "Paused" },
  { value: "offline", label: "Offline" },
] as const;

export const SORTS = [
  { value: "name", label: "By name" },
  { value: "status", label: "By status" },
] as const;

export type StatusFilter = (typeof STATUS_FILTERS)[number]["value"];
export type Sort = (typeof SORTS)[number]["value"];
export type Layout = "cards" | "table";

export interface FleetView {
  readonly search: string;
  readonly status: StatusFilter;
  readonly sort: Sort;
  readonly layout: Layout;
}

export interface RobotRow {
  readonly robot: RobotCard;
  readonly status: RobotStatus;
}

// "arm-2" before "arm-10".
const byName = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

const isWorking = (key: StatusKey): boolean => key === "working" || key === "resetting";
export const needsAttention = (status: RobotStatus): boolean => status.tone === "caution" || status.tone === "fault";

/** The rows to show. The search looks at name, task, instruction, status and operator, each word somewhere. */
export function visibleRobots(robots: Iterable<RobotCard>, view: FleetView): readonly RobotRow[] {
  const words = view.search.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = [...robots]
    .map((robot) => ({ robot, status: statusOf(robot) }))
    .filter(({ robot, status }) => {
      const haystack = [robot.name, robot.task, robot.instruction, status.text, robot.operator].join("\n").toLowerCase();
      return passes(status, view.status) && words.every((word) => haystack.includes(word));
    });
  return rows.sort(
    (a, b) =>
      (view.sort === "status" ? statusRank(a.status.key) - statusRank(b.status.key) : 0) ||
      byName.compare(a.robot.name, b.robot.name),
  );
}

function passes(status: RobotStatus, filter: StatusFilter): boolean {
  switch (filter) {
    case "all":
      return true;
    case "attention":
      return needsAttention(status);
    case "working":
      return isWorking(status.key);
    default:
      return status.key === filter;
  }
}

export interface FleetCounts {
  readonly total: number;
  readonly working: number;
  readonly assisted: number;
  readonly attention: number;
  readonly pendingEpisodes: number;
}

export function countFleet(robots: Iterable<RobotCard>): FleetCounts {
  const counts = { total: 0, working: 0, assisted: 0, attention: 0, pendingEpisodes: 0 };
  for (const robot of robots) {
    const status = statusOf(robot);
    counts.total += 1;
    counts.pendingEpisodes += robot.pending_episodes;
    if (isWorking(status.key)) counts.working += 1;
    if (status.key === "assisted") counts.assisted += 1;
    if (needsAttention(status)) counts.attention += 1;
  }
  return counts;
}
