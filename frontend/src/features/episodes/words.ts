/** What the API's words are called on the page. */

import { Ban, Bot, CircleCheck, CircleX, Hourglass, type LucideIcon, User, Wrench } from "lucide-react";

import type { Tone } from "@/components/ui/chip";
import type { Facet } from "@/features/episodes/api/episodes";

interface Word {
  readonly text: string;
  readonly icon: LucideIcon;
  readonly tone: Tone;
}

const OUTCOMES: Readonly<Record<string, Word>> = {
  success: { text: "Success", icon: CircleCheck, tone: "neutral" },
  failure: { text: "Failure", icon: CircleX, tone: "caution" },
  timeout: { text: "Timeout", icon: Hourglass, tone: "caution" },
  aborted: { text: "Aborted", icon: Ban, tone: "fault" },
};

export const OUTCOME_NAMES = Object.keys(OUTCOMES);
export const outcomeWord = (outcome: string): Word => OUTCOMES[outcome] ?? { text: outcome, icon: Hourglass, tone: "neutral" };

interface Driver {
  readonly text: string;
  readonly icon: LucideIcon;
  /** Of its band in the timeline. */
  readonly band: string;
}

const DRIVERS: Readonly<Record<string, Driver>> = {
  policy: { text: "Policy", icon: Bot, band: "bg-line-strong/50" },
  person: { text: "Person", icon: User, band: "bg-assist" },
  scripted: { text: "Supervisor", icon: Wrench, band: "bg-caution" },
};
export const driverWord = (source: string): Driver => DRIVERS[source] ?? { text: source, icon: Bot, band: "bg-line" };

const VALUES: Readonly<Partial<Record<Facet, Readonly<Record<string, string>>>>> = {
  outcome: Object.fromEntries(Object.entries(OUTCOMES).map(([name, { text }]) => [name, text])),
  outcome_source: { person: "A person's word", environment: "As recorded" },
  origin: { online: "Online", demonstration: "Demonstration", evaluation: "Evaluation" },
  source: Object.fromEntries(Object.entries(DRIVERS).map(([name, { text }]) => [name, text])),
  robot: { none: "No robot" },
  policy_version: { none: "No policy" },
};

/** `label` is the server's word for the value. */
export const facetValue = (facet: Facet, value: string, label: string): string => VALUES[facet]?.[value] ?? label;

export const FACET_TITLES: Readonly<Record<Facet, string>> = {
  task: "Task",
  robot: "Robot",
  policy_version: "Policy version",
  outcome: "Outcome",
  outcome_source: "Outcome said by",
  origin: "Kind",
  source: "Driven by",
  operator: "Operator",
  tag: "Tag",
};
