/** How alerts and their rules are put into words, and where an alert's subject is looked at. */

import { BellRing, Info, type LucideIcon, OctagonAlert } from "lucide-react";

import type { Tone } from "@/components/ui/chip";
import type { Alert, Severity } from "@/features/alerts/api/alerts";
import type { Kind, Params, Silence } from "@/features/alerts/api/rules";
import { unitSize, wholeUnit } from "@/lib/units/duration";
import { formatAge, formatCount, formatNoun, formatPercent, formatTick, withUnit } from "@/lib/units/format";
import { fraction, milliseconds } from "@/lib/units/quantity";

export const severities: Readonly<Record<Severity, { readonly label: string; readonly tone: Tone; readonly icon: LucideIcon }>> = {
  critical: { label: "critical", tone: "fault", icon: OctagonAlert },
  warning: { label: "warning", tone: "caution", icon: BellRing },
  info: { label: "info", tone: "neutral", icon: Info },
};

export const kinds: readonly { readonly value: Kind; readonly label: string }[] = [
  { value: "rate", label: "A success or intervention rate crosses a limit" },
  { value: "offline", label: "A robot is offline" },
  { value: "backlog", label: "Episodes wait for their upload" },
  { value: "stall", label: "A training run makes no step" },
  { value: "staleness", label: "The loop is slow, or robots drive with old versions" },
  { value: "refusals", label: "Episodes of a robot were refused" },
];

/** A duration in the largest unit that says it whole: "24 h", "90 min", "75 s". */
export function exactDuration(value: number): string {
  const unit = wholeUnit(value);
  return withUnit(formatCount(value / unitSize(unit)), unit);
}

/** What a rule watches for, with its limits: "No step for longer than 15 min". */
export function conditionText(kind: Kind, params: Params): string {
  const value = (name: string) => Number(params[name]);
  const chosen = (name: string) => optionLabel(kind, name, String(params[name]));
  const over = () => `over the last ${exactDuration(value("window_s"))}, n ≥ ${formatCount(value("min_n"))}`;
  switch (kind) {
    case "rate": {
      const isShare = params["measure"] !== "interventions";
      const limit = isShare ? formatPercent(fraction(value("threshold"))) : withUnit(formatTick(value("threshold")), "/ h");
      const [rate = "", side = ""] = chosen("measure").replace(")", "").split(" (fires ");
      return `${rate} of each ${chosen("by")} ${side} ${limit}, ${over()}`;
    }
    case "offline":
      return `A robot is offline for longer than ${exactDuration(value("after_s"))}`;
    case "backlog":
      return `More than ${formatNoun(value("above"), "episode")} on ${chosen("by")} wait for their upload`;
    case "stall":
      return `A training run makes no step for longer than ${exactDuration(value("after_s"))}`;
    case "staleness": {
      const isSteps = params["span"] === "staleness_steps";
      const limit = isSteps ? formatNoun(value("above"), "gradient step") : exactDuration(value("above"));
      return `${chosen("span").replace(/ \(.*\)$/, "")}, ${String(params["quantile"])} above ${limit}, ${over()}`;
    }
    case "refusals":
      return `More than ${formatNoun(value("above"), "episode")} of a robot refused over the last ${exactDuration(value("window_s"))}`;
  }
}

function optionLabel(kind: Kind, name: string, value: string): string {
  const field = paramFields[kind].find((each) => each.name === name);
  return field?.options?.find((each) => each.value === value)?.label ?? value;
}

const query = (values: Readonly<Record<string, string>>) => `?${new URLSearchParams(values).toString()}`;

/** Where to look: the robot's cockpit, the task's report, the version, the run, or the report of the whole fleet. */
export function subjectLink(alert: Alert): string {
  switch (alert.subject_kind) {
    case "robot":
      return alert.kind === "refusals" ? `/settings/robots/${alert.subject_id}/log` : `/teleop/${alert.subject_id}`;
    case "task":
      return `/reports${query({ task: alert.subject_name })}`;
    case "version":
      return `/versions/${alert.subject_id}`;
    case "run":
      return `/training/${alert.subject_id}`;
    default:
      return `/reports${query({ view: "loop" })}`;
  }
}

export const agoText = (time: string, now: number): string => formatAge(milliseconds(Math.max(now - Date.parse(time), 0)));

const dayNames = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"] as const;
export const days: readonly { readonly value: number; readonly label: string }[] = dayNames.map((label, value) => ({ value, label }));

export function silenceText(silence: Silence): string {
  if (silence.kind === "once") return `${silence.from.replace("T", " ")} until ${silence.until.replace("T", " ")}`;
  const named = (silence.days ?? []).map((day) => dayNames[day] ?? "");
  return `${named.length === dayNames.length ? "every day" : named.join(", ")} ${silence.from} until ${silence.until}`;
}

/** A rule's parameters as the editor shows them: what each is called, in which unit, and its choices or bounds. */
export interface ParamField {
  readonly name: string;
  readonly label: string;
  readonly options?: readonly { readonly value: string; readonly label: string }[];
  readonly min?: number;
  readonly max?: number;
  /** Seconds are asked for as a duration, shares as percent; the rule keeps seconds and shares. */
  readonly unit?: "seconds" | "share";
}

const windowField: ParamField = { name: "window_s", label: "Over the last", min: 900, max: 5_184_000, unit: "seconds" };
const countField: ParamField = { name: "min_n", label: "With at least n of", min: 1, max: 100_000 };

const paramFields: Readonly<Record<Kind, readonly ParamField[]>> = {
  rate: [
    {
      name: "measure",
      label: "Rate",
      options: [
        { value: "success", label: "Success rate (fires below)" },
        { value: "unaided", label: "Unaided success (fires below)" },
        { value: "autonomous", label: "Success of autonomous episodes (fires below)" },
        { value: "assisted", label: "Success of assisted episodes (fires below)" },
        { value: "human_share", label: "Intervention rate, share of frames (fires above)" },
        { value: "interventions", label: "Interventions per robot-hour (fires above)" },
      ],
    },
    { name: "by", label: "Of each", options: [{ value: "task", label: "task" }, { value: "version", label: "policy version" }] },
    { name: "threshold", label: "Limit", min: 0 },
    windowField,
    countField,
    { name: "interval", label: "Interval of success rates", options: [{ value: "wilson", label: "Wilson" }, { value: "jeffreys", label: "Jeffreys" }] },
  ],
  offline: [{ name: "after_s", label: "Offline for longer than", min: 30, max: 604_800, unit: "seconds" }],
  backlog: [
    { name: "above", label: "More episodes than", min: 1, max: 100_000 },
    { name: "by", label: "On", options: [{ value: "robot", label: "each robot" }, { value: "fleet", label: "all robots together" }] },
  ],
  stall: [{ name: "after_s", label: "No step for longer than", min: 30, max: 604_800, unit: "seconds" }],
  staleness: [
    {
      name: "span",
      label: "Span",
      options: [
        { value: "staleness_s", label: "Staleness of the driving version (time)" },
        { value: "staleness_steps", label: "Staleness of the driving version (gradient steps)" },
        { value: "captured_to_uploaded", label: "Upload lag" },
        { value: "episode_to_learner", label: "Episode to learner" },
      ],
    },
    { name: "quantile", label: "Percentile", options: [{ value: "p50", label: "p50" }, { value: "p90", label: "p90" }, { value: "p99", label: "p99" }] },
    { name: "above", label: "Above", min: 0 },
    windowField,
    countField,
  ],
  refusals: [{ name: "above", label: "More episodes than", min: 0, max: 100_000 }, windowField],
};

/** The fields of a kind; what a limit is measured in depends on what is watched. */
export function fieldsFor(kind: Kind, params: Params): readonly ParamField[] {
  return paramFields[kind].map((field) => {
    if (field.name === "threshold")
      return params["measure"] === "interventions" ? { ...field, label: "Limit, per robot-hour" } : { ...field, label: "Limit (%)", max: 1, unit: "share" };
    if (kind !== "staleness" || field.name !== "above") return field;
    return params["span"] === "staleness_steps" ? { ...field, label: "Above, gradient steps" } : { ...field, unit: "seconds" };
  });
}

export const defaultParams: Readonly<Record<Kind, Params>> = {
  rate: { measure: "success", by: "task", threshold: 0.5, window_s: 86_400, min_n: 20, interval: "wilson" },
  offline: { after_s: 300 },
  backlog: { above: 20, by: "robot" },
  stall: { after_s: 900 },
  staleness: { span: "staleness_s", quantile: "p50", above: 3600, window_s: 86_400, min_n: 20 },
  refusals: { above: 0, window_s: 86_400 },
};

/** Which kinds may be narrowed to tasks and robots. */
export const scopes: Readonly<Record<Kind, { readonly tasks: boolean; readonly robots: boolean }>> = {
  rate: { tasks: true, robots: true },
  offline: { tasks: false, robots: true },
  backlog: { tasks: false, robots: true },
  stall: { tasks: false, robots: false },
  staleness: { tasks: true, robots: true },
  refusals: { tasks: false, robots: true },
};
