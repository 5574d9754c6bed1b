/** What must hold before somebody takes over, looked at by the console itself, each with why not. Pure. */

import type { RobotCard } from "@/protocol/generated";
import { formatRate, withUnit } from "@/lib/units/format";

export const ROUND_TRIP_LIMIT_MS = 250;
/** From here on the robot would stand still anyway (docs/safety.md, teleop.video_stop_s). */
export const PICTURE_LIMIT_MS = 700;

export interface CheckInput {
  readonly card: RobotCard | null;
  /** The name that the server's record of this robot has. */
  readonly recordName: string;
  readonly isPeerConnected: boolean;
  readonly peerReason: string;
  /** The episode that the robot itself reports over the channel; undefined before its first word. */
  readonly peerEpisodeId: string | null | undefined;
  readonly videoAgeMs: number;
  readonly canSeeFrames: boolean;
  readonly rttMs: number | null;
  readonly isAtRest: boolean;
  readonly isStopped: boolean;
}

export interface Check {
  readonly key: "robot" | "online" | "stop" | "link" | "video" | "rtt" | "input";
  readonly label: string;
  readonly isOk: boolean;
  /** In words: what was found, or why not. */
  readonly detail: string;
}

const ms = (value: number): string => withUnit(`${Math.round(value)}`, "ms");
const inSeconds = (value: number): string => (value < 1000 ? ms(value) : formatRate(value / 1000, "s"));

export function checksOf(input: CheckInput): readonly Check[] {
  return [robotCheck(input), onlineCheck(input), stopCheck(input), linkCheck(input), videoCheck(input), rttCheck(input), inputCheck(input)];
}

/** A stop does not keep anybody from taking the robot: who holds its lease may clear it, and nothing moves before. */
export const isReady = (checks: readonly Check[]): boolean => checks.every((check) => check.isOk || check.key === "stop");

function robotCheck({ card, recordName, peerEpisodeId }: CheckInput): Check {
  const base = { key: "robot", label: "Right robot" } as const;
  if (card === null) return { ...base, isOk: false, detail: "The fleet does not know this robot." };
  if (card.name !== recordName) return { ...base, isOk: false, detail: `Called ${card.name} by the fleet, ${recordName} by its record.` };
  // The card is a little late when an episode begins; a mix-up would not pass by itself.
  if (peerEpisodeId !== undefined && peerEpisodeId !== card.episode_id)
    return { ...base, isOk: false, detail: "The video's robot and the fleet's are in different episodes." };
  return { ...base, isOk: true, detail: peerEpisodeId === undefined ? card.name : `${card.name}, by video and fleet` };
}

function onlineCheck({ card }: CheckInput): Check {
  const isOk = card?.is_online === true;
  return { key: "online", label: "Robot online", isOk, detail: isOk ? "Yes" : "The robot is not connected to the server." };
}

function stopCheck({ isStopped }: CheckInput): Check {
  return { key: "stop", label: "Not stopped", isOk: !isStopped, detail: isStopped ? "A stop is latched: take over, then clear it." : "No stop is latched" };
}

function linkCheck({ isPeerConnected, peerReason }: CheckInput): Check {
  return { key: "link", label: "Control channel", isOk: isPeerConnected, detail: isPeerConnected ? "Open" : peerReason || "Not connected." };
}

function videoCheck({ videoAgeMs, canSeeFrames }: CheckInput): Check {
  const base = { key: "video", label: "Fresh video" } as const;
  if (!canSeeFrames) return { ...base, isOk: false, detail: "This browser cannot tell when a frame is shown." };
  if (!Number.isFinite(videoAgeMs)) return { ...base, isOk: false, detail: "No picture yet." };
  const isOk = videoAgeMs < PICTURE_LIMIT_MS;
  return { ...base, isOk, detail: isOk ? `Newest picture under ${ms(PICTURE_LIMIT_MS)} old` : `The newest picture is ${inSeconds(videoAgeMs)} old.` };
}

function rttCheck({ rttMs }: CheckInput): Check {
  const base = { key: "rtt", label: "Round trip" } as const;
  if (rttMs === null) return { ...base, isOk: false, detail: "The robot has not measured it yet." };
  const isOk = rttMs <= ROUND_TRIP_LIMIT_MS;
  return { ...base, isOk, detail: isOk ? `${ms(rttMs)}, limit ${ms(ROUND_TRIP_LIMIT_MS)}` : `${ms(rttMs)} is above ${ms(ROUND_TRIP_LIMIT_MS)}: commands would come too late.` };
}

function inputCheck({ isAtRest }: CheckInput): Check {
  return { key: "input", label: "Input at rest", isOk: isAtRest, detail: isAtRest ? "Nothing is held" : "Let go of keys, pads and sticks." };
}
