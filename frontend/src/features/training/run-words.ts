/** A run's numbers as sentences: what they mean and what to do. Pure. */

import { latest, type RunFrames } from "@/features/training/run-frames";
import { formatNumber, formatPercent } from "@/lib/units/format";
import { fraction } from "@/lib/units/quantity";

const NEAR = 0.005;
const percent = (value: number) => formatPercent(fraction(value));

export interface Verdict {
  readonly text: string;
  readonly isFine: boolean;
}

/** What the learner's waiting means; `wait` is a share of its time. */
export function waitVerdict(wait: number): Verdict {
  if (wait < 0.05) return { text: "kept busy", isFine: true };
  if (wait < 0.2) return { text: "data a little slow", isFine: false };
  return { text: "starved of data", isFine: false };
}

/** Why this share of a task's training comes from the fleet; empty while the sampler has reported nothing. */
export function samplerStory(frames: RunFrames, task: string, config: Readonly<Record<string, unknown>>): string {
  const read = (name: string) => latest(frames, name.replace("*", task));
  const used = read("share/*/clipped");
  if (used === null) return "";
  if (read("frames/*/online") === 0) return "Nothing of the fleet yet: all of this task's training comes from demonstrations.";
  if (read("frames/*/offline") === 0) return "There are no demonstrations: all of this task's training comes from the fleet.";
  const split = `${percent(used)} of this task's training comes from the fleet, ${percent(1 - used)} from demonstrations.`;
  const strategy = strategyOf(config);
  if (strategy === "fixed") return `${split} The share is fixed for this run.`;
  if (strategy === "uniform") return `${split} Every frame is drawn equally often, so the share follows the buffers.`;
  return `${split} ${reason(used, read("share/*/raw"), read("share/*/cap"), read("window/*/online"), read("window/*/offline"))}`.trim();
}

type Maybe = number | null;

function reason(used: number, raw: Maybe, cap: Maybe, online: Maybe, offline: Maybe): string {
  if (raw === null) return "";
  const errors = online === null || offline === null ? "" : ` (error ${formatNumber(online)} on the fleet's work, ${formatNumber(offline)} on demonstrations)`;
  if (cap !== null && raw > cap + NEAR) return `The rule asked for ${percent(raw)}${errors}; the cap holds it until more has been recorded.`;
  if (raw < used - NEAR) return `The rule asked for ${percent(raw)}${errors}; the floor keeps some of the fleet's work in.`;
  return `That is what the rule asked for${errors}.`;
}

function strategyOf({ sampler }: Readonly<Record<string, unknown>>): unknown {
  return typeof sampler === "object" && sampler !== null && "strategy" in sampler ? sampler.strategy : undefined;
}

/** Whether RECAP's value knows more than a constant; empty while it has judged no fresh episode. */
export function valueStory(frames: RunFrames): string {
  const error = latest(frames, "recap/value/error");
  const spread = latest(frames, "recap/value/spread");
  if (error === null || spread === null || spread === 0) return "";
  const share = error / spread;
  const figure = `Its error on fresh episodes is ${percent(share)} of what the best constant errs`;
  if (share < 0.6) return `${figure}: it tells good steps from bad ones.`;
  return share < 0.95 ? `${figure}: it helps a little.` : `${figure}: it is of no use yet, and so are the advantages made from it.`;
}

const ADVICE: Readonly<Record<string, string>> = {
  non_finite_loss: "A loss was not a number. Start the run again with a lower learning rate (optim.learning_rate); the episodes are fine.",
  invalid_config: "The run's configuration is not one that the learner takes. The message names the key; create the run anew with it corrected.",
  artifact_mismatch: "A stored file differs from its hash, or the base policy is missing. Publish version 0, or restore the object store, then start the run.",
  checkpoint_mismatch: "The checkpoint is of another network or algorithm. Create a new run for the new one.",
  unknown_architecture: "The learner does not know this network. Install the learner that the base policy was made with, then start the run.",
  round_keeps_failing: "Workers died or errors came ten times in a row. The learner's log says why (var/logs/learner.log); then start the run.",
};

/** What to do about a failed run. */
export const failureAdvice = (code: string): string =>
  ADVICE[code] ?? "The learner's log has the details (var/logs/learner.log). When the cause is gone, start the run again.";

const ALGORITHMS: Readonly<Record<string, string>> = { hg_dagger: "HG-DAgger", recap: "RECAP" };

export const algorithmName = (name: string): string => ALGORITHMS[name] ?? name;
