/** Reasons and rules of the help queue in words. */

import { CirclePause, Fence, Hourglass, LifeBuoy, type LucideIcon, Shuffle } from "lucide-react";

import type { Tone } from "@/components/ui/chip";
import type { HelpCard, HelpRanking, HelpReason } from "@/protocol/generated";

interface ReasonWords {
  readonly text: string;
  readonly icon: LucideIcon;
  readonly tone: Tone;
}

const reasons: Readonly<Record<HelpReason, ReasonWords>> = {
  no_progress: { text: "Makes no progress", icon: Hourglass, tone: "caution" },
  uncertain: { text: "Unsure what to do", icon: Shuffle, tone: "caution" },
  constraint: { text: "Runs into its limits", icon: Fence, tone: "caution" },
  paused: { text: "Stands still", icon: CirclePause, tone: "caution" },
};

/** What this console does not know, of a newer server, is shown as it is. */
export const reasonOf = (reason: string): ReasonWords =>
  Object.hasOwn(reasons, reason) ? reasons[reason as HelpReason] : { text: reason, icon: LifeBuoy, tone: "caution" };

export const RANKINGS: readonly { readonly value: HelpRanking; readonly label: string; readonly text: string }[] = [
  { value: "cur", label: "C.U.R.", text: "Standing still or at a limit first, then unsure, then no progress; in each the higher score first." },
  { value: "fifo", label: "First come", text: "Who waits longest comes first." },
  { value: "thrifty", label: "Thrifty", text: "By weighted risk and uncertainty, whatever the reason." },
];

const endings: Readonly<Record<string, string>> = {
  served: "A person helped",
  withdrawn: "Went on by itself",
  offline: "Left",
};

/** How a request ended; what this console does not know is shown as it is. */
export const endingText = (ending: string): string => endings[ending] ?? ending;

export const isWaiting = (card: HelpCard): boolean => card.claimed_ms === null;

/** "3", or "100+" where the server sent only the first of them. */
export function countText(shown: number, isCut: boolean): string {
  return isCut ? `${shown}+` : `${shown}`;
}
