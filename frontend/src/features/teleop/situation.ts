/**
 * What is going on with the robot, from its own word over the channel, else from its card. Pure.
 *
 * The robot's feedback comes twenty times a second and counts while the channel is up; the card is up to a second late.
 */

import type { Tone } from "@/components/ui/chip";
import type { Mode, RobotCard, Source } from "@/protocol/generated";
import type { CockpitView } from "@/features/teleop/cockpit-session";
import { type Seconds, seconds } from "@/lib/units/quantity";

export interface Holder {
  readonly epoch: number;
  readonly source: Source;
  readonly operator: string;
  readonly expiresMs: number;
}

export interface StopSeen {
  readonly stopId: string;
  readonly by: string;
  readonly reason: string;
  readonly isConfirmed: boolean;
}

export interface Situation {
  readonly mode: Mode;
  readonly source: Source;
  readonly operator: string;
  readonly episodeId: string | null;
  readonly step: number;
  readonly maxSteps: number;
  readonly timeLeft: Seconds | null;
  readonly detail: string;
  readonly stop: StopSeen | null;
  /** This tab holds the lease, as the server said last. */
  readonly isOurs: boolean;
  /** And the robot takes its commands. */
  readonly isArmed: boolean;
  /** We hold the lease, but the robot needs a new one: it was stopped or lapsed meanwhile. */
  readonly needsNewLease: boolean;
  /** Somebody else's lease: a person's, or our own from another tab. */
  readonly otherPerson: Holder | null;
  readonly headline: string;
  readonly tone: Tone;
}

export function situationOf(view: CockpitView, card: RobotCard | null, user: string, controlRateHz: number): Situation {
  const word = view.peer.phase === "connected" ? view.feedback : null;
  const mode = word?.mode ?? card?.mode ?? "stopped";
  const source = word?.source ?? card?.source ?? "policy";
  const operator = word?.operator ?? card?.operator ?? "";
  const step = word?.step ?? card?.step ?? 0;
  const maxSteps = word?.max_steps ?? card?.max_steps ?? 0;
  const episodeId = word === null ? (card?.episode_id ?? null) : word.episode_id;
  const isOurs = view.lease.lease !== null;
  const isArmed = word !== null && word.is_driver && word.is_armed && word.epoch === view.lease.lease?.epoch;
  const stop = stopOf(view, card);
  const facts = {
    mode,
    source,
    operator,
    episodeId,
    step,
    maxSteps,
    // Standing still counts in `step` and takes none of the time: the robot alone knows how much is left.
    timeLeft: word?.steps_left != null && controlRateHz > 0 ? seconds(word.steps_left / controlRateHz) : null,
    detail: word?.detail ?? card?.detail ?? "",
    stop,
    isOurs,
    isArmed,
    needsNewLease: isOurs && (mode === "paused" || mode === "stopped"),
    otherPerson: otherPerson(view, card),
  };
  return { ...facts, ...headline(facts, card, user, view) };
}

function stopOf({ feedback, peer }: CockpitView, card: RobotCard | null): StopSeen | null {
  const own = peer.phase === "connected" ? feedback?.stop : null;
  if (own) return { stopId: own.stop_id, by: own.by, reason: own.reason ?? "", isConfirmed: true };
  const seen = card?.stop;
  return seen ? { stopId: seen.stop_id, by: seen.by, reason: seen.reason, isConfirmed: seen.is_confirmed } : null;
}

function otherPerson(view: CockpitView, card: RobotCard | null): Holder | null {
  const lease = card?.lease;
  if (!lease || lease.source !== "person" || lease.epoch === view.lease.lease?.epoch) return null;
  // The card may lag behind a lease that was just granted to us.
  if (view.lease.lease !== null && lease.epoch < view.lease.lease.epoch) return null;
  return { epoch: lease.epoch, source: lease.source, operator: lease.operator, expiresMs: lease.expires_ms };
}

type Facts = Pick<Situation, "mode" | "source" | "operator" | "stop" | "isOurs" | "isArmed">;

function headline(facts: Facts, card: RobotCard | null, user: string, view: CockpitView): { headline: string; tone: Tone } {
  const { mode, source, operator, stop, isOurs, isArmed } = facts;
  if (card?.is_online === false) return { headline: "Offline", tone: "caution" };
  if (stop !== null) return { headline: `Stopped by ${stop.by || "somebody"}${stop.isConfirmed ? "" : ", not confirmed by the robot yet"}`, tone: "fault" };
  if (view.stop.phase === "sending") return { headline: "Stopping", tone: "fault" };
  if (mode === "stopped") return { headline: "Stopped", tone: "fault" };
  if (mode === "paused") return { headline: "Paused: the robot stands", tone: "caution" };
  if (isOurs && isArmed) return { headline: "You drive", tone: "assist" };
  if (isOurs) return { headline: "Yours: let go of everything, then move", tone: "assist" };
  const who = source === "scripted" ? "the scripted supervisor" : operator === user ? "you, elsewhere" : operator || "a person";
  if (mode === "teleop") return { headline: `Driven by ${who}`, tone: "assist" };
  if (mode === "handover") return { headline: `Handing over to ${who}`, tone: "assist" };
  return { headline: "The policy drives", tone: "neutral" };
}
