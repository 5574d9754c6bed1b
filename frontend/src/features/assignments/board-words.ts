/** What the board says of an assignment, in words. Pure. */

import type { BoardRobot, BoardTask, HoursWindow, Terms, Work } from "@/features/assignments/api/board";
import { fraction } from "@/lib/units/quantity";
import { formatPercent } from "@/lib/units/format";

export const DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"] as const;

/** "Mon to Fri 09:00 to 17:00". */
export function windowWords({ days, from, until }: HoursWindow): string {
  const sorted = [...days].toSorted((a, b) => a - b);
  const isRun = sorted.length > 2 && sorted.every((day, index) => index === 0 || day === (sorted[index - 1] ?? 0) + 1);
  const names = sorted.map((day) => DAYS[day] ?? "?");
  const when = sorted.length === DAYS.length ? "daily" : isRun ? `${names[0]} to ${names.at(-1)}` : names.join(", ");
  return `${when} ${from} to ${until}`;
}

export const hoursWords = ({ windows, time_zone }: Terms): string =>
  windows.length === 0 ? "Always" : `${windows.map(windowWords).join("; ")} (${time_zone})`;

/** How often the robot draws this task now, against its other active ones. */
export function shareOf(work: Work, robot: BoardRobot): string {
  if (!work.is_active) return "waits";
  const total = robot.assignments.reduce((sum, each) => sum + (each.is_active ? each.weight : 0), 0);
  return formatPercent(fraction(work.weight / total));
}

export const cannot = (robot: BoardRobot, task: BoardTask): boolean => robot.can !== null && !robot.can.includes(task.slug);
