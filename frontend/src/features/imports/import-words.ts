/** How imports are spoken of. */

import { Ban, CircleCheck, CircleDashed, CircleX, ListChecks, LoaderCircle, type LucideIcon } from "lucide-react";

import type { Tone } from "@/components/ui/chip";
import type { Import, Mapping, Misfit, Problem, State } from "@/features/imports/api/imports";
import { formatCount, formatNoun, HARD_SPACE, withUnit } from "@/lib/units/format";

interface Word {
  readonly text: string;
  readonly icon: LucideIcon;
  readonly tone: Tone;
}

export const stateWords: Readonly<Record<State, Word>> = {
  created: { text: "Waits for its check", icon: CircleDashed, tone: "neutral" },
  checking: { text: "Checking", icon: LoaderCircle, tone: "neutral" },
  checked: { text: "Checked", icon: ListChecks, tone: "assist" },
  running: { text: "Importing", icon: LoaderCircle, tone: "neutral" },
  done: { text: "Done", icon: CircleCheck, tone: "neutral" },
  failed: { text: "Failed", icon: CircleX, tone: "fault" },
  cancelled: { text: "Cancelled", icon: Ban, tone: "neutral" },
};

const phases: Readonly<Record<string, string>> = {
  unpacking: "Unpacking",
  hashing: "Reading the files",
  checking: "Checking episodes",
  converting: "Converting episodes",
  registering: "Verifying what was written",
};

/** "Converting episodes, 3 of 20", "Unpacking, 12 MB". */
export function phaseText({ phase, progress, progress_total }: Import): string {
  const word = phases[phase];
  if (word === undefined) return "Waiting for a worker";
  if (phase === "unpacking" || phase === "hashing") return `${word}, ${formatSize(progress)}`;
  return `${word}, ${formatCount(progress)} of ${formatCount(progress_total)}`;
}

/** "3.2 GB": decimal, as disks are sold. */
export function formatSize(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const step = bytes < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1000 ** step;
  return withUnit(step === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1), units[step] ?? "B");
}

/** "episode 3, frame 17", "the dataset". */
export function placeText(episode: number | null, frame: number | null): string {
  if (episode === null) return "the dataset";
  return frame === null ? `episode${HARD_SPACE}${episode}` : `episode${HARD_SPACE}${episode}, frame${HARD_SPACE}${frame}`;
}

/** The features that a mapping reads; our own columns are read whole, so that every problem counts there. */
export function usedFeatures(mapping: Mapping): (feature: string) => boolean {
  const used = new Set([...mapping.state, mapping.action, mapping.intervention, mapping.reward, ...Object.keys(mapping.cameras), ""]);
  if (mapping.outcome.source === "frames") used.add(mapping.outcome.column);
  return (feature) => used.has(feature) || (mapping.is_own && !feature.startsWith("observation.images."));
}

/** What nothing here rests on; the server passes over it too (HARMLESS in services/dataset_import.py). */
const HARMLESS = new Set(["count_differs", "episode_missing"]);
/** What leaving episodes out does not mend. */
const OF_ALL = new Set(["dtype_unknown", "shape_unsupported"]);

/** Why a mapping cannot be run as it is, "" if it can. */
export function hindrance(mapping: Mapping, misfits: readonly Misfit[], problems: readonly Problem[]): string {
  if (misfits.length > 0) return `${formatNoun(misfits.length, "field")} of the mapping to mend`;
  const isUsed = usedFeatures(mapping);
  const left = problems.filter((problem) => isUsed(problem.feature) && !HARMLESS.has(problem.code));
  const hard = mapping.leave_out_broken ? left.filter((problem) => OF_ALL.has(problem.code)) : left;
  return hard.length === 0 ? "" : `${formatNoun(hard.reduce((sum, problem) => sum + problem.count, 0), "problem")} in what the mapping reads`;
}
