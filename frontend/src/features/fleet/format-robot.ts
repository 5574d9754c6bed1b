/** The numbers of a robot card in words, shared by card, table and details. */

import { formatAge, formatDuration, formatNoun, formatRate } from "@/lib/units/format";
import { elapsed, seconds, type UnixMilliseconds, unixMilliseconds } from "@/lib/units/quantity";
import type { RobotCard } from "@/protocol/generated";

/** "v12"; "v4 of shelf-2" where another run than that publishes now made it. */
export function policyText({ policy_number: number, policy_run: run }: RobotCard): string {
  if (number === null) return "none";
  return run ? `v${number} of ${run}` : `v${number}`;
}

/** A robot that does not follow the others says why instead. */
const STAGE_WORDS: Readonly<Record<string, string>> = { canary: "canary", pinned: "pinned", held: "held at the robot" };

/**
 * "newest", its stage, or how far behind: "2 behind, 31 s". With the version that is released "as released, 22 behind":
 * newer ones wait for somebody, and the robot for nothing. Empty while there is nothing to compare with.
 */
export function stalenessText(robot: RobotCard): string {
  if (robot.policy_number === null) return "";
  const stage = STAGE_WORDS[robot.policy_stage ?? ""];
  if (stage !== undefined) return stage;
  if (robot.versions_behind === null) return "";
  if (robot.versions_behind === 0) return "newest";
  if (robot.policy_stage === "current" && robot.policy_wanted === robot.policy_number) return `as released, ${robot.versions_behind} behind`;
  const age = robot.seconds_behind === null ? "" : `, ${formatDuration(seconds(robot.seconds_behind))}`;
  return `${robot.versions_behind} behind${age}`;
}

export function lastSeenText(robot: RobotCard, now: UnixMilliseconds): string {
  if (robot.last_seen_ms === null) return "never";
  return formatAge(elapsed(unixMilliseconds(robot.last_seen_ms), now));
}

/** What the loop last reported means nothing once the robot is out of reach. */
export const controlText = (robot: RobotCard): string => (robot.is_online ? formatRate(robot.control_rate_hz, "Hz") : "–");

export const overrunsText = (robot: RobotCard): string => (robot.overruns === 0 || !robot.is_online ? "" : formatNoun(robot.overruns, "overrun"));

/** Whether an episode is under way, so that its progress means something. */
export const isInEpisode = (robot: RobotCard): boolean => robot.episode_id !== null && robot.max_steps > 0;

/** Who stopped it and why: "Stopped by mara: hand in the way". Empty without a stop. */
export function stopText({ stop }: RobotCard): string {
  if (!stop) return "";
  const said = `Stopped by ${stop.by || "somebody"}${stop.reason ? `: ${stop.reason}` : ""}`;
  return stop.is_confirmed ? said : `${said} (not confirmed by the robot yet)`;
}

/** Who has control, apart from the policy: "mara", "scripted supervisor" (the robot's own needs no lease), "nobody". */
export function leaseText({ lease, mode, source }: RobotCard): string {
  const isScripted = lease ? lease.source === "scripted" : mode === "teleop" && source === "scripted";
  return isScripted ? "scripted supervisor" : (lease?.operator ?? "nobody");
}

const MODE_WORDS: Readonly<Record<RobotCard["mode"], string>> = {
  autonomous: "autonomous",
  handover: "handing over",
  teleop: "teleoperated",
  paused: "paused",
  stopped: "stopped",
};

/** Its mode in words; of a robot out of reach the one it last reported: "teleoperated, when last seen". */
export const modeText = ({ mode, is_online: isOnline }: RobotCard): string => `${MODE_WORDS[mode]}${isOnline ? "" : ", when last seen"}`;
