/**
 * What a robot does, in a word with an icon, and how unusual that is. Pure: card in, status out.
 *
 * The order of the checks is the order of importance: a robot out of reach is offline whatever it last said.
 */

import {
  CircleDashed,
  CirclePause,
  CirclePlay,
  Hand,
  HardDrive,
  Hourglass,
  LifeBuoy,
  type LucideIcon,
  OctagonX,
  RotateCcw,
  TriangleAlert,
  WifiOff,
} from "lucide-react";

import type { Tone } from "@/components/ui/chip";
import type { RobotCard } from "@/protocol/generated";

export type StatusKey =
  | "fault"
  | "stopped"
  | "needs-help"
  | "spool-full"
  | "offline"
  | "assisted"
  | "paused"
  | "waiting"
  | "idle"
  | "resetting"
  | "working";

export interface RobotStatus {
  readonly key: StatusKey;
  /** The whole phrase, with who drives. */
  readonly text: string;
  readonly icon: LucideIcon;
  readonly tone: Tone;
}

/** What needs somebody's eye first: the order when sorting by status. */
export const STATUS_ORDER: readonly StatusKey[] = [
  "fault",
  "stopped",
  "needs-help",
  "spool-full",
  "offline",
  "assisted",
  "paused",
  "waiting",
  "idle",
  "resetting",
  "working",
];

const fixed: Readonly<Record<Exclude<StatusKey, "assisted">, RobotStatus>> = {
  fault: { key: "fault", text: "Fault", icon: TriangleAlert, tone: "fault" },
  stopped: { key: "stopped", text: "Stopped", icon: OctagonX, tone: "fault" },
  "needs-help": { key: "needs-help", text: "Needs help", icon: LifeBuoy, tone: "caution" },
  "spool-full": { key: "spool-full", text: "Spool full", icon: HardDrive, tone: "caution" },
  offline: { key: "offline", text: "Offline", icon: WifiOff, tone: "caution" },
  paused: { key: "paused", text: "Paused", icon: CirclePause, tone: "neutral" },
  waiting: { key: "waiting", text: "Waiting for policy", icon: Hourglass, tone: "neutral" },
  idle: { key: "idle", text: "Idle", icon: CircleDashed, tone: "neutral" },
  resetting: { key: "resetting", text: "Resetting", icon: RotateCcw, tone: "neutral" },
  working: { key: "working", text: "Working", icon: CirclePlay, tone: "neutral" },
};

const byActivity: Readonly<Record<string, RobotStatus>> = {
  idle: fixed.idle,
  resetting: fixed.resetting,
  waiting_policy: fixed.waiting,
};

/** Who drives when it is not the policy: "scripted supervisor" or the person's name. */
export function driverOf(robot: RobotCard): string {
  if (robot.source === "scripted") return "scripted supervisor";
  return robot.operator || "an operator";
}

export function statusOf(robot: RobotCard): RobotStatus {
  if (!robot.is_online) return fixed.offline;
  if (robot.activity === "error") return fixed.fault;
  if (robot.mode === "stopped" || robot.stop) return fixed.stopped;
  if (robot.activity === "spool_full") return fixed["spool-full"];
  if (robot.mode === "handover" || robot.mode === "teleop") {
    const phrase = robot.mode === "teleop" ? "Under control by" : "Handing over to";
    return { key: "assisted", text: `${phrase} ${driverOf(robot)}`, icon: Hand, tone: "assist" };
  }
  // The lease is granted, the robot has not followed yet.
  if (robot.lease?.source === "person" && robot.mode === "autonomous")
    return { key: "assisted", text: `Handing over to ${robot.lease.operator}`, icon: Hand, tone: "assist" };
  if (robot.is_paused) return fixed.paused;
  // Nobody asked for this pause: the robot holds still because control lapsed, and waits for somebody.
  if (robot.mode === "paused") return fixed["needs-help"];
  return byActivity[robot.activity] ?? fixed.working;
}

/** Where a status stands in STATUS_ORDER. */
export const statusRank = (key: StatusKey): number => STATUS_ORDER.indexOf(key);
